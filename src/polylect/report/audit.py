"""The page of an audit: verdicts, then every figure with its definition and interval."""

from collections.abc import Sequence
from pathlib import Path

from polylect.auditing import BROKEN, KEPT, Audit, Figure, Finding, Recommendation, Swap
from polylect.ranking import Ratings
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.formats import DASH
from polylect.report.page import Html, section, table, tag, write_page

_SHOWN_SWAPS = 25
_SHOWN_VOTERS = 20
_CHARTED = {"sampling_provider", "sampling_license", "data_access", "languages", "retirements"}
_CLASSES = {KEPT: "better", BROKEN: "worse"}


def write_audit_page(path: Path, audit: Audit, title: str = "Audit of a leaderboard") -> None:
    """Write the page; the file appears complete or not at all.

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
    verdicts = [recommendation.verdict for recommendation in audit.recommendations]
    kept, broken = verdicts.count(KEPT), verdicts.count(BROKEN)
    lead = tag(
        "p",
        f"{kept} of the five recommendations of “The Leaderboard Illusion” are kept, {broken} are "
        f"broken, {len(verdicts) - kept - broken} cannot be decided from these data.",
        class_="lead",
    )
    write_page(path, title, Html(lead + tag("p", f"From {sources}.", class_="note")), parts)


def _verdicts(recommendations: Sequence[Recommendation]) -> Html:
    items = []
    for advice in recommendations:
        verdict = tag("strong", advice.verdict, class_=_CLASSES.get(advice.verdict, "level"))
        line = tag("div", f"{advice.number}. ", tag("span", advice.title), " — ", verdict)
        items.append(tag("li", line, tag("small", advice.reason)))
    return section(
        "The five recommendations",
        tag("ul", *items, class_="found"),
        note="Kept or broken only where the data decide; missing data do not acquit.",
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
    has_reference = any(figure.reference is not None for figure in finding.figures)
    rows = []
    for figure in finding.figures[:20]:
        lower, upper = _limits(figure)
        dots = [Dot(100 * figure.value, 100 * lower, 100 * upper, 0, f"{figure.value:.1%}")]
        if figure.reference is not None:
            at = 100 * figure.reference
            dots.append(Dot(at, at, at, 1, f"equal share {figure.reference:.1%}"))
        rows.append((_short(figure.label), dots))
    names = ["measured, 95 %", "equal share"] if has_reference else ["measured, 95 %"]
    return tag("figure", legend(names), dot_plot(rows, "%", zero=True))


def _figures(finding: Finding) -> Html:
    has_reference = any(figure.reference is not None for figure in finding.figures)
    has_limits = any(figure.lower is not None for figure in finding.figures)
    has_num = any(figure.num for figure in finding.figures)
    head = ["", finding.unit]
    head += ["95 %"] if has_limits else []
    head += ["equal share"] if has_reference else []
    head += ["of" if finding.unit == "count" else "observations"] if has_num else []
    rows = []
    for figure in finding.figures:
        row = [figure.label, _value(figure.value, finding.unit)]
        if has_limits:
            ends = " … ".join(_value(limit, finding.unit) for limit in _limits(figure))
            row.append(DASH if figure.lower is None else ends)
        if has_reference:
            reference = figure.reference
            row.append(DASH if reference is None else _value(reference, finding.unit))
        if has_num:
            row.append(f"{figure.num:,.0f}" if figure.num else DASH)
        rows.append(row)
    return table(head, rows, numbers=range(1, len(head)))


def _swaps(swaps: Sequence[Swap], ratings: Ratings) -> Html:
    by_pair: dict[tuple[str, str], dict[str, Swap]] = {}
    for swap in swaps:
        by_pair.setdefault((swap.better, swap.worse), {})[swap.way] = swap
    rows = []
    for (better, worse), ways in by_pair.items():
        any_way = next(iter(ways.values()))
        rank = ratings.order.index(ratings.position(better)) + 1
        nums = [ways[way].num_votes if way in ways else None for way in ("flip", "remove", "add")]
        shown = [DASH if num is None else f"{num:,}" for num in nums]
        least = min((num for num in nums if num is not None), default=10**9)
        rows.append((least, rank, [f"{better} › {worse}", rank, f"{any_way.gap:.2f}", *shown]))
    head = ["neighbors", "rank", "gap, Elo", "flips", "removals", "additions"]
    top = sorted(rows, key=lambda row: row[1])[:_SHOWN_SWAPS]
    frail = sorted(rows, key=lambda row: row[:2])[:_SHOWN_SWAPS]
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
    named = test.discovered()
    rows = [
        [
            test.voters[i],
            int(test.num_votes[i]),
            f"{test.statistic[i]:.1f}",
            f"{test.p_value[i]:.2g}",
            test.suspect[i],
            "named" if named[i] else "",
        ]
        for i in order[:_SHOWN_VOTERS]
    ]
    head = ["voter", "decisive votes", "statistic", "p", "leans towards", ""]
    return Html(tag("h3", "Smallest p-values") + table(head, rows, numbers=(1, 2, 3)))


def _ledger(audit: Audit) -> Html:
    rows = [[event, f"{num:,}"] for event, num in audit.ledger.by_event().items()]
    if not rows:
        return section("Left out", tag("p", "Nothing was left out."))
    note = "Rows that were dropped, and what could not be computed from these files."
    return section("Left out", table(["event", "count"], rows, numbers=(1,)), note=note)


def _limits(figure: Figure) -> tuple[float, float]:
    """The interval of a figure; without one, the value itself."""
    lower = figure.value if figure.lower is None else figure.lower
    return lower, figure.value if figure.upper is None else figure.upper


def _value(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.2%}" if value < 0.1 else f"{value:.1%}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"


def _short(label: str) -> str:
    return label if len(label) <= 22 else label[:21] + "…"
