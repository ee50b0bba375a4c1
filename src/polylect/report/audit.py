"""The page of an audit: verdicts first, then every figure with its definition and interval."""

from collections.abc import Sequence
from pathlib import Path

from polylect.auditing import BROKEN, KEPT, Audit, Figure, Finding, Recommendation, Swap
from polylect.ranking import Ratings
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.page import Html, section, table, tag, write_page

_SHOWN_SWAPS = 25
_SHOWN_VOTERS = 20
_CHARTED = {"sampling_provider", "sampling_license", "data_access", "languages", "retirements"}
_CLASSES = {KEPT: "better", BROKEN: "worse"}


def write_audit_page(path: Path, audit: Audit, title: str = "Audit of a leaderboard") -> None:
    """Write the page; it appears whole or not at all.

    Args:
        path: the HTML file.
        audit: what ``auditing.audit_board`` returns.
        title: of the page.
    """
    parts = [_verdicts(audit.recommendations)]
    for finding in audit.findings:
        extra: list[Html] = []
        if finding.key == "fragility" and audit.ratings is not None:
            extra = [_swaps(audit.swaps, audit.ratings)]
        if finding.key == "voters" and audit.voters is not None:
            extra = [_voters(audit)]
        parts.append(_finding(finding, extra))
    parts.append(_ledger(audit))
    sources = ", ".join(audit.sources)
    counted = [one.verdict for one in audit.recommendations]
    lead = tag(
        "p",
        f"{counted.count(KEPT)} of the five recommendations of “The Leaderboard Illusion” are "
        f"kept, {counted.count(BROKEN)} are broken, "
        f"{len(counted) - counted.count(KEPT) - counted.count(BROKEN)} cannot be decided from "
        "these data.",
        class_="lead",
    )
    write_page(path, title, Html(lead + tag("p", f"From {sources}.", class_="note")), parts)


def _verdicts(found: Sequence[Recommendation]) -> Html:
    rows = [
        [
            Html(f"{one.number}. {tag('span', one.title)}"),
            tag("strong", one.verdict, class_=_CLASSES.get(one.verdict, "level")),
            one.reason,
        ]
        for one in found
    ]
    items = [
        tag("li", tag("div", title, " — ", verdict), tag("small", reason))
        for title, verdict, reason in rows
    ]
    return section(
        "The five recommendations",
        tag("ul", *items, class_="found"),
        note="Kept or broken only where the data decide; silence of the data is no acquittal.",
    )


def _finding(finding: Finding, extra: Sequence[Html]) -> Html:
    parts: list[Html] = []
    if finding.key in _CHARTED and finding.figures:
        parts.append(_chart(finding))
    if finding.figures:
        parts.append(_figures(finding))
    parts += [tag("p", words) for words in finding.remarks]
    parts += extra
    parts.append(tag("p", f"Interval: {finding.interval}.", class_="note"))
    return section(finding.title, *parts, note=finding.definition)


def _chart(finding: Finding) -> Html:
    has_reference = any(one.reference is not None for one in finding.figures)
    rows = []
    for one in finding.figures[:20]:
        lower, upper = _limits(one)
        dots = [Dot(100 * one.value, 100 * lower, 100 * upper, 0, f"{one.value:.1%}")]
        if one.reference is not None:
            at = 100 * one.reference
            dots.append(Dot(at, at, at, 1, f"equal part {one.reference:.1%}"))
        rows.append((_short(one.label), dots))
    names = ["measured, 95 %", "equal part"] if has_reference else ["measured, 95 %"]
    return tag("figure", legend(names), dot_plot(rows, "per cent", zero=True))


def _figures(finding: Finding) -> Html:
    has_reference = any(one.reference is not None for one in finding.figures)
    has_limits = any(one.lower is not None for one in finding.figures)
    has_num = any(one.num for one in finding.figures)
    head = ["", finding.unit]
    head += ["95 %"] if has_limits else []
    head += ["equal part"] if has_reference else []
    head += ["of" if finding.unit == "count" else "observations"] if has_num else []
    rows = []
    for one in finding.figures:
        row = [one.label, _value(one.value, finding.unit)]
        if has_limits:
            lower, upper = _limits(one)
            known = one.lower is not None
            ends = f"{_value(lower, finding.unit)} … {_value(upper, finding.unit)}"
            row.append(ends if known else "–")
        if has_reference:
            row.append("–" if one.reference is None else _value(one.reference, finding.unit))
        if has_num:
            row.append(f"{one.num:,.0f}" if one.num else "–")
        rows.append(row)
    return table(head, rows, numbers=range(1, len(head)))


def _swaps(swaps: Sequence[Swap], ratings: Ratings) -> Html:
    by_pair: dict[tuple[str, str], dict[str, Swap]] = {}
    for one in swaps:
        by_pair.setdefault((one.better, one.worse), {})[one.way] = one
    rows = []
    for (better, worse), ways in by_pair.items():
        any_way = next(iter(ways.values()))
        rank = ratings.order.index(ratings.position(better)) + 1
        nums = [ways[way].num_votes if way in ways else None for way in ("flip", "remove", "add")]
        shown = ["–" if num is None else f"{num:,}" for num in nums]
        least = min((num for num in nums if num is not None), default=10**9)
        rows.append((least, rank, [f"{better} › {worse}", rank, f"{any_way.gap:.2f}", *shown]))
    head = ["neighbors", "rank", "gap, Elo", "flips", "removals", "additions"]
    top = sorted(rows, key=lambda one: one[1])[:_SHOWN_SWAPS]
    frail = sorted(rows, key=lambda one: one[:2])[:_SHOWN_SWAPS]
    numbers = range(1, 6)
    return Html(
        tag("h3", "At the top of the board")
        + table(head, [row for _, _, row in top], numbers=numbers)
        + tag("h3", "Where the fewest votes decide")
        + table(head, [row for _, _, row in frail], numbers=numbers)
        + tag("p", f"All {len(rows)} pairs are in audit.json.", class_="note")
    )


def _voters(audit: Audit) -> Html:
    test = audit.voters
    assert test is not None
    order = sorted(range(len(test.voters)), key=lambda i: (test.p_value[i], -test.statistic[i]))
    found = test.discovered()
    rows = [
        [
            test.voters[i],
            int(test.num_votes[i]),
            f"{test.statistic[i]:.1f}",
            f"{test.p_value[i]:.2g}",
            test.suspect[i],
            "found" if found[i] else "",
        ]
        for i in order[:_SHOWN_VOTERS]
    ]
    head = ["voter", "votes", "statistic", "p", "leans towards", ""]
    return Html(tag("h3", "Smallest p-values") + table(head, rows, numbers=(1, 2, 3)))


def _ledger(audit: Audit) -> Html:
    rows = [[event, f"{num:,}"] for event, num in audit.ledger.by_event().items()]
    if not rows:
        return section("Left out", tag("p", "Nothing was left out."))
    note = "What was dropped, and what could not be computed from these files."
    return section("Left out", table(["event", "count"], rows, numbers=(1,)), note=note)


def _limits(one: Figure) -> tuple[float, float]:
    lower = one.value if one.lower is None else one.lower
    return lower, one.value if one.upper is None else one.upper


def _value(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.2%}" if value < 0.1 else f"{value:.1%}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"


def _short(label: str) -> str:
    return label if len(label) <= 22 else label[:21] + "…"
