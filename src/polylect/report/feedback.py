"""The pages of a pool and of a route: teacher by language, and what each router gains."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, numbered, read_json
from polylect.feedback import ALL_LANGUAGES, GAINS, MATRIX, POOL, ROUTE, TEACHERS
from polylect.report.formats import (
    DASH,
    language_cell_of,
    language_name,
    language_of,
    lead,
    ledger_section,
    percent,
    signed,
    with_interval,
)
from polylect.report.heatmaps import heat_map
from polylect.report.page import Html, section, table, table_section, tag, write_page

_ROUTERS = {
    "best": "the single best teacher", "fixed": "best of each language",
    "reward": "highest reward", "learned": "learned", "random": "random", "all": "all answers",
}  # fmt: skip
_SHOWN_TEXTS = 3


def write_pool_page(out: Path, ledger: Ledger) -> Path:
    """Write the page of a pool; returns its path.

    Args:
        out: folder with the pool's tables.
        ledger: what was counted.
    """
    answers, teachers = pl.read_parquet(out / POOL), pl.read_parquet(out / TEACHERS)
    about = answers.group_by("language", "teacher").agg(
        answers=pl.len(), right=_in_language(), length=pl.col("answer").str.len_chars().mean(),
    )  # fmt: skip
    cells = {(row["language"], row["teacher"]): row for row in about.to_dicts()}
    names = teachers["teacher"].to_list()
    tags = sorted(answers["language"].unique(), key=language_name)
    words = [
        f"{numbered(answers.height, 'answer')} of {numbered(len(names), 'teacher')} to"
        f" {numbered(answers.select('language', 'id').n_unique(), 'prompt')} in"
        f" {numbered(len(tags), 'language')}.",
        f"Missing: {int(teachers['missing'].sum()):,}; empty or refused:"
        f" {int(teachers['empty'].sum()):,}.",
    ]
    parts = [
        _teachers(teachers, answers),
        section(
            "In the language that was asked for",
            heat_map([(language_of(tag_), [_value(cells, tag_, name, "right") for name in names])
                      for tag_ in tags], names, "share of answers in the language, in %"),
            note="Share of answers, in %, that the identifier finds in the prompt's language; those"
            " of which it cannot tell are left out. An empty cell has no answer of which it can.",
        ),
        section(
            "Answers",
            table(["language", *names],
                  [[language_cell_of(tag_), *(_counts(cells.get((tag_, name))) for name in names)]
                   for tag_ in tags], numbers=range(1, len(names) + 1)),
            note="Number of answers, and their mean length in characters.",
        ),
        _examples(answers),
        ledger_section(ledger.rows()),
    ]  # fmt: skip
    write_page(out / "index.html", "Pool of answers",
               lead("Every prompt, answered by every teacher.", words), parts)  # fmt: skip
    return out / "index.html"


def _in_language() -> pl.Expr:
    """Share of the answers whose identified language is the one asked for (primary tags)."""
    asked, seen = (pl.col(name).str.split("-").list.first() for name in ("language", "identified"))
    return pl.when(pl.col("identified") != "").then((asked == seen).cast(pl.Float64)).mean()


def _value(cells: Mapping[Any, Mapping[str, Any]], language: str, teacher: str, name: str) -> Any:
    row = cells.get((language, teacher))
    return None if row is None else row[name]


def _counts(row: Mapping[str, Any] | None) -> Html:
    if row is None:
        return Html(DASH)
    return tag("span", f"{row['answers']:,} ", tag("small", f"{row['length']:,.0f}"))


def _teachers(teachers: pl.DataFrame, answers: pl.DataFrame) -> Html:
    origins = answers.group_by("teacher", "answer_origin").len().sort("len", descending=True)
    rows = []
    for row in teachers.iter_rows(named=True):
        own = origins.filter(pl.col("teacher") == row["teacher"])
        words = ", ".join(f"{origin or 'not stated'} {num:,}" for _, origin, num in own.rows())
        rows.append([
            tag("bdi", row["teacher"]), row["kind"], row["license"] or "not stated",
            row["terms"] or "not stated", words, f"{row['answers']:,}", f"{row['missing']:,}",
            f"{row['reused']:,}", tag("code", row["model_digest"][:12]),
        ])  # fmt: skip
    head = ["teacher", "kind", "license", "terms", "origin of the answers", "answers", "missing",
            "reused", "digest"]  # fmt: skip
    return table_section("Teachers", head, rows, numbers=(5, 6, 7))


def _examples(answers: pl.DataFrame) -> Html:
    """The first prompt of a few languages with every teacher's first answer."""
    parts = []
    for language in sorted(answers["language"].unique(), key=language_name)[:_SHOWN_TEXTS]:
        own = answers.filter(pl.col("language") == language)
        own = own.filter((pl.col("id") == own["id"][0]) & (pl.col("sample") == own["sample"][0]))
        rows = [[tag("bdi", teacher), _text(text, language), language_name(seen) if seen else DASH]
                for teacher, text, seen in
                own.select("teacher", "answer", "identified").iter_rows()]  # fmt: skip
        parts += [tag("h3", language_name(language)), tag("p", _text(own["prompt"][0], language)),
                  table(["teacher", "answer", "seems to be"], rows)]  # fmt: skip
    return section("First prompts", *parts)


def _text(text: str, language: str) -> Html:
    shown = text if len(text) <= 240 else f"{text[:239]}…"
    return tag("span", shown, lang=language, dir="auto")


def write_route_page(out: Path, ledger: Ledger) -> Path:
    """Write the page of a route; returns its path.

    Args:
        out: folder with the route's tables.
        ledger: what was counted.
    """
    content = read_json(out / ROUTE)
    gains = pl.read_parquet(out / GAINS).to_dicts()
    matrix = pl.read_parquet(out / MATRIX).to_dicts()
    parts = [_overall(gains, content), *_matrices(matrix, content), _by_language(gains, content),
             ledger_section(ledger.rows())]  # fmt: skip
    words = (
        f"Which teacher answers which prompt: chosen by {content['reward']}, compared by"
        f" {content['judged_by']} on {numbered(content['evaluated'], 'prompt')} of which none was"
        f" learned from ({content['calibration']:,} others are the calibration part)."
    )
    write_page(out / "index.html", "Route", lead(words, route_sentences(content)), parts)
    return out / "index.html"


def route_sentences(content: Mapping[str, Any]) -> list[str]:
    """What the routers learned, in words."""
    lines = []
    if content["same_judge"]:
        lines.append("One reward chooses and compares: the gains are its own opinion.")
    if content["best"]:
        lines.append(f"Best teacher overall on the calibration part: {content['best']}.")
        chosen: dict[str, list[str]] = {}
        for language, teacher in content["fixed"].items():
            chosen.setdefault(teacher, []).append(language)
        lines += [f"Best in {', '.join(tags)}: {teacher}." for teacher, tags in chosen.items()]
        cost = f"{content['calibration_cost']:,.0f} {content['unit']}"
        lines.append(f"The answers of the calibration part cost {cost}, once.")
    return lines


def route_rows(gains: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the routers over all languages, as plain text."""
    rows = []
    for row in gains:
        if row["language"] != ALL_LANGUAGES:
            continue
        bounds = _bounds(row["lower"], row["upper"], 4)
        rows.append([
            row["router"], _number(row["judged"], 4), _signed(row["gain"], 4), bounds,
            percent(row["relative"]), percent(row["wins"]), percent(row["losses"]),
            percent(row["in_language"]), f"{row['generated']:,.0f}",
        ])  # fmt: skip
    unit = gains[0]["unit"] if gains else "tokens"
    head = ["router", "judged", "gain", "95 %", "relative", "wins", "losses", "in language", unit]
    return head, rows


def _number(value: float | None, digits: int) -> str:
    return DASH if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def _signed(value: float | None, digits: int) -> str:
    return DASH if value is None else signed(value, digits)


def _bounds(lower: float | None, upper: float | None, digits: int) -> str:
    if lower is None or upper is None:
        return DASH
    return f"{signed(lower, digits)} to {signed(upper, digits)}"


def _gain(row: Mapping[str, Any]) -> Html:
    if row["gain"] is None:
        return Html(DASH)
    lower, upper = row["lower"], row["upper"]
    if lower is None or upper is None:
        return tag("span", signed(row["gain"], 3))
    class_ = "better" if lower > 0 else "worse" if upper < 0 else "level"
    return with_interval(signed(row["gain"], 3), lower, upper, 3, class_)


def _relative(row: Mapping[str, Any]) -> Html:
    if row["relative"] is None:
        return Html(DASH)
    words = f"{signed(100 * row['relative'], 1)} %"
    if row["relative_lower"] is None:
        return tag("span", words)
    lower, upper = 100 * row["relative_lower"], 100 * row["relative_upper"]
    return with_interval(words, lower, upper, 1)


def _overall(gains: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> Html:
    everywhere = [row for row in gains if row["language"] == ALL_LANGUAGES]
    best = next((row["generated"] for row in everywhere if row["router"] == "best"), None)
    rows = [
        [
            _ROUTERS[row["router"]], _number(row["judged"], 3), _gain(row), _relative(row),
            "/".join(f"{100 * row[name]:.0f}" for name in ("wins", "ties", "losses"))
            if row["wins"] is not None else DASH,
            percent(row["in_language"]), f"{row['generated']:,.0f}",
            f"{row['generated'] / best:.1f}×" if best else DASH,
        ]
        for row in everywhere
    ]  # fmt: skip
    head = ["router", f"reward {content['judged_by']}", "gain", "relative", "win/tie/loss, %",
            "in language", content["unit"], "cost"]  # fmt: skip
    return table_section(
        "Routers", head, rows, numbers=range(1, len(head)),
        note="Gain: over the single best teacher, paired by prompt; 95 % intervals over"
        " prompts, of which translations count as one. A relative gain needs a reward that is"
        " nowhere below 0. 'Highest reward' and"
        " 'all answers' need every teacher's answers; the others generate only the chosen one."
        " Cost: what is generated, as a multiple of the best teacher's.",
    )  # fmt: skip


def _matrices(matrix: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> list[Html]:
    names = content["teachers"]
    tags = sorted({row["language"] for row in matrix}, key=language_name)
    cells = {(row["language"], row["teacher"]): row for row in matrix}
    marked = [names.index(content["fixed"][tag_]) if tag_ in content["fixed"] else None
              for tag_ in tags]  # fmt: skip

    def shares(name: str) -> list[tuple[Any, list[float | None]]]:
        return [(language_of(tag_), [_value(cells, tag_, teacher, name) for teacher in names])
                for tag_ in tags]  # fmt: skip

    won = section(
        "Who wins where", heat_map(shares("won"), names, "share of prompts won, in %",
                                   marked=marked),
        note=f"Share of prompts, in %, at which a teacher has the highest reward"
        f" ({content['reward']}); equal ones share a prompt. Framed: the best of the calibration"
        " part.",
    )  # fmt: skip
    routed = section(
        f"Who is asked: {_ROUTERS[content['by']]}",
        heat_map(shares("routed"), names, "share of prompts routed to each teacher, in %"),
        note="Share of each language's prompts, in %, whose answer is the teacher's.",
    )
    rewards = table(
        ["language", *names],
        [[language_cell_of(tag_), *(_two(cells.get((tag_, teacher))) for teacher in names)]
         for tag_ in tags], numbers=range(1, len(names) + 1),
    )  # fmt: skip
    behind = " behind the language gate" if content["gate"] else ""
    note = f"Mean of {content['judged_by']}; in small letters of {content['reward']}{behind}."
    means = section("Mean rewards", rewards, note=note)
    return [won, routed, means]


def _two(row: Mapping[str, Any] | None) -> Html:
    if row is None or row["reward"] is None:
        return Html(DASH)
    return tag("span", _number(row["judged"], 2), " ", tag("small", _number(row["reward"], 2)))


def _by_language(gains: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> Html:
    routers = [name for name in dict.fromkeys(row["router"] for row in gains) if name != "best"]
    cells = {(row["language"], row["router"]): row for row in gains}
    tags = sorted({row["language"] for row in gains} - {ALL_LANGUAGES}, key=language_name)
    rows = [
        [language_cell_of(tag_), f"{cells[tag_, routers[0]]['prompts']:,}",
         *(_gain(cells[tag_, router]) for router in routers)]
        for tag_ in tags
    ]  # fmt: skip
    head = ["language", "prompts", *(_ROUTERS[name] for name in routers)]
    return table_section(
        "Gain over the best teacher, by language", head, rows, numbers=range(1, len(head)),
        note=f"In units of {content['judged_by']}.",
    )  # fmt: skip
