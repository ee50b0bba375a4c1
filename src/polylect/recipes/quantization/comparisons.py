"""Who pays for quantizing: every variant against full precision, and against its neighbors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.base import InputError, read_json, write_json
from polylect.comparison import Comparison, compare
from polylect.judging import outcomes, rates
from polylect.quantization import RECORD
from polylect.rows import Judgment, ScoreTable, read_rows
from polylect.runs import VOLATILE, StepContext, step

FULL = "full"
"""What the full-precision checkpoint is called."""

CONTRASTS: tuple[tuple[str, str, str], ...] = (
    ("group-wise for column-wise, nearest", "w4", "w4-g128"),
    ("group-wise for column-wise, GPTQ", "w4-gptq", "w4-g128-gptq"),
    ("GPTQ for nearest, column-wise", "w4", "w4-gptq"),
    ("GPTQ for nearest, group-wise", "w4-g128", "w4-g128-gptq"),
    ("AWQ's scaling for none, group-wise", "w4-g128", "awq"),
    ("SmoothQuant on", "w8a8", "w8a8-smooth"),
)
"""Pairs of schemes that differ in one thing."""


@dataclass(frozen=True, kw_only=True)
class DamageConfig:
    """How the variants are compared.

    Attributes:
        variants: scheme by label.
        people: names of judges that are people.
        note: that stands at the top of the page.
        seed: of the bootstrap.
    """

    variants: Mapping[str, str]
    people: tuple[str, ...] = ()
    note: str = ""
    seed: int = 0


@step(version=2)
def compare_schemes(config: DamageConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Writes ``scores``, ``cells``, ``languages``, ``groups``, ``gaps`` (Parquet), ``damage.json``.

    Inputs: ``score-LABEL`` of full precision and every variant (``score_tasks``), ``model-LABEL``
    of every variant, and files of judgments, ``judged-0``, ``judged-1`` ….

    Raises:
        InputError: a judgment is of other models.
    """
    tables = {name.removeprefix("score-"): ScoreTable.read(one.path / "scores.parquet")
              for name, one in inputs.items() if name.startswith("score-")}  # fmt: skip
    ScoreTable.concat(list(tables.values())).write(context.out / "scores.parquet")
    pairs = [(FULL, label, "damage") for label in config.variants]
    pairs += _contrasts(config.variants)
    cells, languages, groups, gaps, told = [], [], [], [], []
    for number, (before, after, what) in enumerate(pairs):
        one = compare(tables[before], tables[after], seed=config.seed)
        for rows, frame in ((cells, one.cells), (languages, one.languages), (groups, one.groups)):
            rows.append(_named(frame, one, what))
        gaps.append(_between(one.gaps, one, what))
        told.append({"before": before, "after": after, "what": what, "sentence": one.sentence()})
        context.report.update(number + 1, len(pairs), "comparisons")
    for name, rows in (("cells", cells), ("languages", languages), ("groups", groups),
                       ("gaps", gaps)):  # fmt: skip
        pl.concat(rows).write_parquet(context.out / f"{name}.parquet", compression="zstd")
    write_json(
        context.out / "damage.json",
        {
            "note": config.note,
            "told": told,
            "variants": [
                _about(label, config.variants[label], inputs) for label in config.variants
            ],
            "full": _cost(inputs[f"score-{FULL}"].path),
            "preferences": _preferences(config, inputs),
        },
    )


def _contrasts(variants: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Pairs of labels that differ in one thing, and in what."""
    found = []
    for what, first, second in CONTRASTS:
        for after in (label for label, scheme in variants.items() if scheme == second):
            quota = after.partition(".")[2]
            before = next(
                (label for label, scheme in variants.items()
                 if scheme == first and label.partition(".")[2] in ("", quota)), None,
            )  # fmt: skip
            if before is not None:
                found.append((before, after, f"{what}{f' ({quota})' if quota else ''}"))
    for label, scheme in variants.items():
        other = f"{scheme}.uniform"
        if label == f"{scheme}.english" and other in variants:
            found.append((label, other, f"mixed for English calibration, {scheme}"))
    return found


def _named(frame: pl.DataFrame, found: Comparison, what: str) -> pl.DataFrame:
    return _between(frame.rename({"before": "score_before", "after": "score_after"}), found, what)


def _between(frame: pl.DataFrame, found: Comparison, what: str) -> pl.DataFrame:
    return frame.select(
        pl.lit(what).alias("what"),
        pl.lit(found.before).alias("before"),
        pl.lit(found.after).alias("after"),
        pl.all(),
    )


def _about(label: str, scheme: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a variant is and costs: definition, bytes, seconds, divergence by language."""
    folder = inputs[f"model-{label}"].path
    record = read_json(folder / RECORD)
    return {
        "label": label,
        "scheme": scheme,
        "definition": definition_of(record["definitions"], scheme),
        "read_by": record["read_by"],
        "group_sizes": record["group_sizes"],
        "calibration": record["calibration"],
        "bytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        "quantize": _cost(folder),
        "score": _cost(inputs[f"score-{label}"].path),
        "damage": record["damage"],
        "ledger": record["ledger"],
    }


def definition_of(definitions: Mapping[str, str], scheme: str) -> str:
    """A scheme's definition; where a mixture has none of it, those of what is there."""
    told = (f"{name}: {one}" for name, one in definitions.items())
    return definitions.get(scheme) or "; ".join(told)


def _cost(folder: Any) -> dict[str, float]:
    spent = read_json(folder / VOLATILE)
    return {"cpu_seconds": spent["cpu_seconds"], "wall_seconds": spent["wall_seconds"]}


def _preferences(config: DamageConfig, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Wins, ties and losses of every variant against full precision, by language and kind of judge.

    Both readings of the paper's figure are given: (wins + ties/2)/n and (wins − losses)/n.
    """
    rows: list[Judgment] = []
    for name, one in inputs.items():
        if name.startswith("judged-"):
            rows += read_rows(one.path, Judgment)
    known = set(config.variants)
    odd = next((one for one in rows if one.model_a != FULL or one.model_b not in known), None)
    if odd is not None:
        raise InputError(
            f"a judgment of {odd.model_a!r} and {odd.model_b!r}",
            f"model_a is {FULL!r}, model_b one of {', '.join(sorted(known))}",
        )
    found = []
    for people in (False, True):
        own = [one for one in rows if (one.judge in config.people) is people]
        if not own:
            continue
        for label in sorted({one.model_b for one in own}):
            table = rates(outcomes([one for one in own if one.model_b == label]), "language")
            for row in table.iter_rows(named=True):
                num = row["wins"] + row["ties"] + row["losses"]
                net = (row["wins"] - row["losses"]) / num if num else None
                found.append(
                    {"label": label, "by": "people" if people else "judge", "net": net}
                    | {key: _plain(row[key]) for key in (
                        "language", "wins", "ties", "losses", "win_rate", "lower", "upper",
                        "num_prompts")}
                )  # fmt: skip
    return found


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
