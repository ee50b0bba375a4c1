"""The page of a judgment: who wins where, and every reason to doubt the judge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger
from polylect.base import language as language_of
from polylect.judging import Controlled, agreement, by_prompt, by_row, rates, separated
from polylect.report.charts import Dot, dot_plot
from polylect.report.page import Html, language_cell, section, table, tag, write_page

_MOST_GROUPS = 20


@dataclass(frozen=True)
class Judged:
    """All that the page of a judgment is drawn from.

    Attributes:
        models: baseline, and the model that is held against it.
        found: outcomes of all judges that are reported on.
        beside: outcomes of whom they are compared with only: a length rule, and judges by both
            orders together.
        together: outcomes of judges by both orders together; None where verdicts are words.
        controlled: win rates at equal length, and at equal length and style, by judge.
        points: rows of arena-hard's score by judge; empty where the protocol has none.
        seen: tags of languages that the second model was trained in; empty for unknown.
        self_judged: judges that judged answers of their own.
        about: settings, in words.
        ledger: what was counted.
        length: what a length was counted in.
    """

    models: tuple[str, str]
    found: pl.DataFrame
    beside: pl.DataFrame | None = None
    together: pl.DataFrame | None = None
    controlled: Mapping[str, Sequence[Controlled]] = field(default_factory=dict)
    points: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    self_judged: Sequence[Mapping[str, str]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    length: str = "characters"

    @property
    def judges(self) -> list[str]:
        """Their names, in order."""
        return self.found["judge"].unique(maintain_order=True).to_list()


def judging_summary(judged: Judged) -> str:
    """A few lines for the terminal."""
    a, b = judged.models
    lines = [f"{b} against {a}"]
    for row in rates(judged.found, "judge").iter_rows(named=True):
        lines.append(
            f"{row['judge']}: win {_share(row, 'wins')}, tie {_share(row, 'ties')}, loss"
            f" {_share(row, 'losses')} of {_valid(row):,}; win rate {_rate(row)}; flips"
            f" {_percent(row['flip'])}, invalid {_percent(row['invalid'])}, first place preferred"
            f" {_percent(row['first'])}"
        )
        lines.append("  " + _decided(judged, row["judge"]))
    for row in _together(judged).iter_rows(named=True):
        lines.append(
            f"{row['judge']}: win {_share(row, 'wins')}, loss {_share(row, 'losses')}; win rate"
            f" {_rate(row)}"
        )
    for row in agreement(_all(judged), beside=_beside(judged)).iter_rows(named=True):
        lines.append(
            f"agreement {row['judges']}: {_percent(row['equal'])} of {row['cases']:,},"
            f" {_kappa(row)}"
        )
    return "\n".join(lines) + "\n"


def write_judging_page(path: Path, judged: Judged) -> None:
    """Write the page; it appears whole or not at all."""
    a, b = judged.models
    lead = [
        tag(
            "p",
            f"Answers of {b} beside those of {a}, each pair shown in both orders. A win needs both"
            " orders; two that contradict each other are a flip, and a tie. A verdict that cannot"
            " be read is INVALID, and never averaged. The win rate counts a tie as a half.",
            class_="lead",
        )
    ]
    for one in judged.self_judged:
        words = f"{one['judge']} judged answers of {one['model']}: its own. Expect it to like them."
        lead.append(tag("p", tag("strong", words)))
    parts = [_overall(judged), _both_orders(judged)]
    for judge in judged.judges:
        parts.append(_by_language(judged, judge))
        parts += _groups(judged, judge)
    parts.append(_agreement(judged))
    parts += [_style(judged), _arena(judged), _counted(judged)]
    rows = [[name, tag("code", str(value))] for name, value in judged.about.items()]
    parts.append(section("How it was made", table(["setting", "value"], rows)))
    write_page(path, f"{b} against {a}", Html("".join(lead)), [one for one in parts if one])


def _overall(judged: Judged) -> Html:
    head = ["judge", *_RATES]
    rows = [
        [row["judge"], *_cells(row)] for row in rates(judged.found, "judge").iter_rows(named=True)
    ]
    words = [tag("p", f"{one}: {_decided(judged, one)}") for one in judged.judges]
    return section(
        "All languages together",
        table(head, rows, numbers=range(1, len(head))),
        *words,
        note="Intervals are over prompts: the samples and the translations of a prompt hang"
        " together.",
    )


def _by_language(judged: Judged, judge: str) -> Html:
    own = judged.found.filter(pl.col("judge") == judge)
    found = {row["language"]: row for row in rates(own, "language").iter_rows(named=True)}
    decided = {row["language"]: row for row in separated(own).iter_rows(named=True)}
    order = sorted(found, key=lambda one: (found[one]["win_rate"] is None, found[one]["win_rate"]))
    dots, rows = [], []
    for language in order:
        row, at_once = found[language], decided.get(language)
        known = language_of(language)
        if at_once is not None:
            ends = (100 * at_once["lower"], 100 * at_once["upper"])
            dots.append((known, [Dot(100 * at_once["win_rate"], *ends, 0, _rate(row))]))
        verdict = {"A": judged.models[0], "B": judged.models[1]}.get(
            at_once["verdict"] if at_once else "", "open"
        )
        rows.append([language_cell(known), *_cells(row), verdict])
    head = ["language", *_RATES, "decided for"]
    return section(
        f"By language, {judge}",
        # A judge without one valid verdict has nothing to draw.
        tag("figure", dot_plot(dots, f"win rate of {judged.models[1]}, per cent")) if dots else "",
        table(head, rows, numbers=range(1, len(head) - 1)),
        note="The intervals of the chart and the last column hold for all languages at once, those"
        " of the table one at a time.",
    )


def _together(judged: Judged) -> pl.DataFrame:
    if judged.together is None or judged.together.is_empty():
        return pl.DataFrame()
    return rates(judged.together, "judge")


def _both_orders(judged: Judged) -> Html:
    """Win rates when the log-odds of the two orders are added, where there are any."""
    if judged.together is None or judged.together.is_empty():
        return Html("")
    head = ["judge", "", "pairs", "win", "loss", "win rate", "95 %"]
    rows = [
        [row["judge"], place, f"{row['pairs']:,}", _share(row, "wins"), _share(row, "losses"),
         _percent(row["win_rate"]), _interval(row)]
        for place, row in [
            *(("all languages", row) for row in _together(judged).iter_rows(named=True)),
            *(
                (language_cell(language_of(row["language"])), row)
                for row in rates(judged.together, "judge", "language").iter_rows(named=True)
            ),
        ]
    ]  # fmt: skip
    return section(
        "Both orders together",
        table(head, rows, numbers=range(2, len(head))),
        note="The log-odds of the two orders added: what place and letter are worth cancels."
        " Told beside the verdicts, which count a flip as a tie; not a win rate of theirs.",
    )


def _groups(judged: Judged, judge: str) -> list[Html]:
    """By origin of the prompt's text, by category, and by languages seen in training."""
    own = judged.found.filter(pl.col("judge") == judge)
    parts = []
    if judged.seen:
        seen = pl.when(pl.col("language").is_in(list(judged.seen))).then(pl.lit("seen"))
        own = own.with_columns(seen=seen.otherwise(pl.lit("unseen")))
        parts.append(("seen", "By languages seen in training"))
    for column, title in (("origin", "By origin of the prompt"), ("category", "By category")):
        kinds = set(own[column].unique())
        # One origin is told as well: that all prompts were translated is worth knowing.
        if 1 < len(kinds) <= _MOST_GROUPS or (column == "origin" and kinds != {""}):
            parts.append((column, title))
    head = ["", *_RATES]
    return [
        section(
            f"{title}, {judge}",
            table(
                head,
                [
                    [row[column] or "not said", *_cells(row)]
                    for row in rates(own, column).iter_rows(named=True)
                ],
                numbers=range(1, len(head)),
            ),
        )
        for column, title in parts
    ]


def _agreement(judged: Judged) -> Html:
    everyone = _all(judged)
    rows = [
        [
            "all languages",
            row["judges"],
            f"{row['cases']:,}",
            _percent(row["equal"]),
            _kappa(row),
            _ordinal(row),
        ]
        for row in agreement(everyone, beside=_beside(judged)).iter_rows(named=True)
    ]
    rows += [
        [language_cell(language_of(row["language"])), row["judges"], f"{row['cases']:,}",
         _percent(row["equal"]), _kappa(row), _ordinal(row)]
        for row in agreement(everyone, "language", beside=_beside(judged)).iter_rows(named=True)
    ]  # fmt: skip
    if not rows:
        return Html("")
    return section(
        "Agreement",
        table(
            ["", "judges", "pairs", "same verdict", "beyond chance", "ordinal alpha"],
            rows,
            numbers=(2, 3, 4, 5),
        ),
        note="Kappa is Cohen's, for two; alpha is Krippendorff's, for more; the ordinal one puts a"
        " tie between the two models. 0 is chance, 1 is always. The longer answer is a rule without"
        f" a model, lengths in {judged.length}.",
    )


def _style(judged: Judged) -> Html:
    rows = []
    for judge, found in judged.controlled.items():
        (plain,) = rates(judged.found.filter(pl.col("judge") == judge), "judge").iter_rows(
            named=True
        )
        rows.append([judge, "nothing", _rate(plain), ""])
        for one in found:
            shown = f"{one.win_rate:.1%} ({one.lower:.1%} to {one.upper:.1%})"
            rows.append(
                [judge, ", ".join(one.features) or "nothing differs",
                 "–" if one.problem else shown, one.problem]
            )  # fmt: skip
    if not rows:
        return Html("")
    return section(
        "Win rate at equal length and style",
        table(["judge", "held equal", "win rate", ""], rows, numbers=(2,)),
        note=f"Bradley–Terry with the differences as features; lengths in {judged.length}, headers,"
        " list items and bold words of Markdown per unit of length.",
    )


def _arena(judged: Judged) -> Html:
    rows = []
    for judge, points in judged.points.items():
        if points:
            ours, theirs = by_prompt(points), by_row(points)
            rows.append(
                [judge, f"{100 * ours.score:.1f}",
                 f"{100 * ours.lower:.1f} to {100 * ours.upper:.1f}",
                 f"{100 * theirs.lower:.1f} to {100 * theirs.upper:.1f}"]
            )  # fmt: skip
    if not rows:
        return Html("")
    return section(
        "Arena-hard's score",
        table(["judge", "score", "95 %, over prompts", "its own 90 %, over rows"], rows,
              numbers=(1, 2, 3)),
        note="A strong verdict counts three times, a tie a half, over all prompts with two"
        " verdicts. Its own interval draws the copies of a verdict apart: it is too narrow, and"
        " shown for comparison.",
    )  # fmt: skip


def _counted(judged: Judged) -> Html:
    rows = [[event, where, f"{num:,}"] for event, where, num in judged.ledger.rows()]
    if not rows:
        return Html("")
    return section("Counted", table(["what", "where", "how often"], rows, numbers=(2,)))


def _decided(judged: Judged, judge: str) -> str:
    """Which languages decide for whom, in words."""
    own = judged.found.filter(pl.col("judge") == judge)
    if own["value"].drop_nulls().is_empty():
        return "no valid verdict"
    by: dict[str, list[str]] = {"B": [], "A": [], "open": []}
    for row in separated(own).iter_rows(named=True):
        by[row["verdict"]].append(row["language"])
    words = [
        f"{name} wins in {' '.join(tags)}"
        for name, tags in ((judged.models[1], by["B"]), (judged.models[0], by["A"]))
        if tags
    ]
    words += [f"open in {' '.join(by['open'])}"] if by["open"] else []
    return "; ".join(words)


def _beside(judged: Judged) -> list[str]:
    return [] if judged.beside is None else judged.beside["judge"].unique().to_list()


def _all(judged: Judged) -> pl.DataFrame:
    return judged.found if judged.beside is None else pl.concat([judged.found, judged.beside])


_RATES = ("pairs", "win", "tie", "loss", "win rate", "95 %", "flips", "ties given", "invalid",
          "abstained", "first preferred")  # fmt: skip


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['pairs']:,}", _share(row, "wins"), _share(row, "ties"), _share(row, "losses"),
        _percent(row["win_rate"]), _interval(row), _percent(row["flip"]), _percent(row["tie"]),
        _percent(row["invalid"]), _percent(row["abstained"]), _percent(row["first"]),
    ]  # fmt: skip


def _valid(row: Mapping[str, Any]) -> int:
    return row["pairs"] - row["invalid_pairs"]


def _share(row: Mapping[str, Any], name: str) -> str:
    return _percent(row[name] / _valid(row) if _valid(row) else None)


def _rate(row: Mapping[str, Any]) -> str:
    return f"{_percent(row['win_rate'])} ({_interval(row)})"


def _interval(row: Mapping[str, Any]) -> str:
    lower, upper = row["lower"], row["upper"]
    if lower is None or not math.isfinite(upper - lower) or row["num_prompts"] < 2:
        return "too few prompts"
    return f"{lower:.1%} to {upper:.1%}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _ordinal(row: Mapping[str, Any]) -> str:
    return "–" if row["ordinal"] is None else f"{row['ordinal']:.3f}".replace("-", "−")


def _kappa(row: Mapping[str, Any]) -> str:
    name = "alpha" if row["judges"] == "all" else "kappa"
    return f"{name} –" if row["kappa"] is None else f"{name} {row['kappa']:.3f}".replace("-", "−")
