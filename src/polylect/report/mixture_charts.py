"""Charts of a sweep over mixtures: plans as bars, response curves, bits of streams, the front."""

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from polylect.report.charts import Dot, Point, curves, dot_plot, legend, scatter
from polylect.report.folder import Folder
from polylect.report.formats import language_name, language_of
from polylect.report.heatmaps import heat_map
from polylect.report.page import Html, join, section, tag
from polylect.report.stacked_bars import Part, stacked_bars

_SWEPT = re.compile(r"^(?P<name>.+)-(?P<percent>\d+(\.\d+)?)$")
_FEWEST_POINTS = 3
_TOLERANCE = 0.005
"""So much a share may differ from the percentage in a name: whole sequences are read."""


def plan_chart(frame: pl.DataFrame, unit: str = "tokens") -> Html:
    """Every variant with its stages as bars.

    Args:
        frame: columns model, scale, seed, stage, kind, stream, tokens.
        unit: what the column tokens counts.
    """
    streams = list(dict.fromkeys(frame["stream"]))
    first = frame.filter(pl.col("seed") == frame["seed"].min())
    parts = []
    for (scale,), of_scale in first.group_by(["scale"], maintain_order=True):
        rows = []
        for (model,), of_run in of_scale.group_by(["model"], maintain_order=True):
            bars = []
            for (number, kind), of_stage in of_run.sort("stage").group_by(
                ["stage", "kind"], maintain_order=True
            ):
                sums = of_stage.group_by("stream").agg(pl.col("tokens").sum())
                tokens = dict(sums.iter_rows())
                whole = sum(tokens.values())
                used = [name for name in streams if tokens.get(name)]
                for name in used:
                    share = 100 * tokens[name] / whole
                    title = f"{model}, {kind}: {name} {share:.0f} %, {tokens[name]:,} {unit}"
                    begins = name == used[0] and number != 1
                    bars.append(Part(tokens[name], streams.index(name), title, begins))
            rows.append((str(model), bars, f"{of_run['tokens'].sum():,}"))
        if frame["scale"].n_unique() > 1:
            parts.append(tag("h3", f"scale {scale:g}"))
        parts.append(stacked_bars(rows, f"{unit} of every run by stage and stream"))
    return join([legend([language_name(name) for name in streams]), *parts])


def sweeps(runs: pl.DataFrame) -> dict[str, dict[str, float]]:
    """The variants that differ in one share: per cent by variant, by the sweep's name.

    A variant of a sweep is called NAME-PERCENT, and the share of a stream, or what is left of it,
    is that percentage.

    Args:
        runs: columns variant and ``share:STREAM``.
    """
    shares = [name for name in runs.columns if name.startswith("share:") and "/" not in name]
    means = runs.group_by("variant", maintain_order=True).agg(pl.col(shares).mean())
    by_name: dict[str, dict[str, float]] = {}
    for row in means.iter_rows(named=True):
        if match := _SWEPT.match(row["variant"]):
            by_name.setdefault(match["name"], {})[row["variant"]] = float(match["percent"])
    rows = {row["variant"]: row for row in means.iter_rows(named=True)}
    return {
        name: dict(sorted(values.items(), key=lambda pair: pair[1]))
        for name, values in by_name.items()
        if len(values) >= _FEWEST_POINTS and any(_is_share(rows, values, key) for key in shares)
    }


def _is_share(rows: Mapping[str, Mapping[str, Any]], values: Mapping[str, float], key: str) -> bool:
    """Whether the percentages are those of a stream, or of all others."""
    pairs = [(rows[variant][key] or 0.0, percent / 100) for variant, percent in values.items()]
    return all(abs(share - wanted) < _TOLERANCE for share, wanted in pairs) or all(
        abs(1 - share - wanted) < _TOLERANCE for share, wanted in pairs
    )


def curve_section(folder: Folder) -> Html:
    """Bits of every stream, and of every language, as a share grows."""
    frame = folder.table("findings", "bits.parquet").filter(cooldown="")
    parts: list[Html] = []
    for name, percents in sweeps(folder.table("findings", "runs.parquet")).items():
        chosen = frame.filter(pl.col("variant").is_in(list(percents)))
        for (scale,), of_scale in chosen.group_by(["scale"], maintain_order=True):
            title = f"{name}, scale {scale:g}" if frame["scale"].n_unique() > 1 else name
            parts += [tag("h3", title), _streams_curve(of_scale, percents, name),
                      _languages_map(of_scale, percents)]  # fmt: skip
    if not parts:
        return Html("")
    return section(
        "As a share grows",
        *parts,
        note="Bits per byte of held-out text, with intervals over seeds and documents; less is"
        " better. The map: change of bits against the smallest share, in per cent, languages of"
        " every stream; below 0 is better.",
    )


def _streams_curve(frame: pl.DataFrame, percents: Mapping[str, float], name: str) -> Html:
    lines: dict[str, list[tuple[float, float]]] = {}
    bars: dict[str, list[tuple[float, float, float]]] = {}
    for stream in dict.fromkeys(frame["stream"]):
        of_stream = frame.filter(stream=stream)
        whole = "" if (of_stream["language"] == "").any() else of_stream["language"][0]
        rows = {row["variant"]: row
                for row in of_stream.filter(language=whole).iter_rows(named=True)}  # fmt: skip
        known = [(percents[variant], rows[variant]) for variant in percents if variant in rows]
        lines[stream] = [(x, row["bits"]) for x, row in known]
        bars[stream] = [(x, row["lower"], row["upper"]) for x, row in known
                        if row["lower"] is not None]  # fmt: skip
    return curves(lines, f"{name}, % of the tokens", "bits per byte", intervals=bars)


def _languages_map(frame: pl.DataFrame, percents: Mapping[str, float]) -> Html:
    bits = {(row["variant"], row["stream"], row["language"]): row["bits"]
            for row in frame.filter(pl.col("language") != "").iter_rows(named=True)}  # fmt: skip
    cells = list(dict.fromkeys((stream, language) for _, stream, language in bits))
    per_stream = [stream for stream, _ in cells]
    first = next(iter(percents))
    rows = []
    for stream, language in cells:
        start = bits.get((first, stream, language))
        values = [
            None if start is None or (now := bits.get((variant, stream, language))) is None
            else now / start - 1
            for variant in percents
        ]  # fmt: skip
        label = language_of(language) if per_stream.count(stream) > 1 else stream
        rows.append((label, values))
    most = max((abs(value) for _, values in rows for value in values if value is not None),
               default=0.0) or 1.0  # fmt: skip
    scaled = [
        (label, [None if value is None else value / most for value in values])
        for label, values in rows
    ]
    columns = [f"{percent:g} %" for percent in percents.values()]
    return heat_map(scaled, columns, "change of bits by language and share", digits=1,
                    factor=100.0 * most)  # fmt: skip


def bits_chart(frame: pl.DataFrame) -> Html:
    """Bits of every run on every stream, with intervals."""
    streams = list(dict.fromkeys(frame["stream"]))
    parts = [legend([language_name(name) for name in streams])]
    for (scale,), of_scale in frame.group_by(["scale"], maintain_order=True):
        rows = []
        for (model,), of_model in of_scale.group_by(["model"], maintain_order=True):
            dots = []
            for number, stream in enumerate(streams):
                of_stream = of_model.filter(stream=stream)
                if not of_stream.height:
                    continue
                whole = "" if (of_stream["language"] == "").any() else of_stream["language"][0]
                row = of_stream.filter(language=whole).row(0, named=True)
                lower, upper = (
                    row["bits"] if row[end] is None else row[end] for end in ("lower", "upper")
                )
                dots.append(Dot(row["bits"], lower, upper, number,
                                f"{model}, {stream}: {row['bits']:.3f}"))  # fmt: skip
            rows.append((str(model), dots))
        if frame["scale"].n_unique() > 1:
            parts.append(tag("h3", f"scale {scale:g}"))
        parts.append(dot_plot(rows, "bits per byte", line=30))
    return join(parts)


def front_chart(frame: pl.DataFrame) -> Html:
    """Bits of code against bits of text, a point per run."""
    names = ["behind the front", "on the front"]
    points = [
        Point(row["code_bits"], row["text_bits"], int(row["on_front"]),
              f"{row['model']}, seed {row['seed']}: code {row['code_bits']:.3f},"
              f" text {row['text_bits']:.3f}")
        for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    return scatter(points, names, "bits per byte of code", "bits per byte of text")
