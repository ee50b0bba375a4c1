"""The page of a ranking: one static file without network, script or fonts of its own."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SIDES = {
    "above": "won every vote against the rated models",
    "below": "lost every vote against the rated models",
    "apart": "never met the rated models, directly or through others",
}
_HELP = (
    (
        "rating",
        "Elo points: 400 points are odds of ten to one. Without an anchor the mean is 1000; an "
        "anchor shifts every number and changes no difference and no interval.",
    ),
    (
        "interval",
        "95 %, of the rating itself. Two overlapping intervals do not mean that two models are "
        "equal: their difference has an interval of its own.",
    ),
    (
        "ranks",
        "All the ranks that the votes leave open. The sets hold together: in 95 of 100 repetitions "
        "every model's true rank lies inside its set. The dark part of the bar is the set for that "
        "model looked at alone.",
    ),
    (
        "to the next",
        "How many more votes, in today's mix of pairs, would tell this model from the one below "
        "it with 80 % power, if the difference is what it seems; in brackets, how many if all of "
        "them were cast on these two.",
    ),
)


def draw_board(board: Mapping[str, Any], title: str) -> str:
    """The HTML of a board, from the value of ``board.json``.

    Args:
        board: what ``rank.Board.to_json`` gives.
        title: of the page; usually the name of the file of votes.
    """
    refused = not board["ratings"]
    boards = board["boards"] if refused else [board["ratings"]]
    parts = [f"<header><h1>Ranking · {_text(title)}</h1>{_lead(board)}</header>"]
    if refused:
        parts.append(_refusal(board))
    for number, rows in enumerate(boards):
        if rows:
            name = f"Group {number + 1} of {len(boards)}" if len(boards) > 1 else "Board"
            parts.append(f"<section><h2>{name}</h2>{_ratings(rows)}</section>")
    parts.append(_separated(board["separated"]))
    parts.append(_selections(board["selections"]))
    parts.append(_parameters(board["parameters"]))
    parts.append(_strata(board["strata"]))
    parts.append(_how(board))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Ranking · {_text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _lead(board: Mapping[str, Any]) -> str:
    shares = board["shares"]
    num = sum(len(one) for one in board["components"])
    words = (
        f"{num:,} models, {board['votes']:,} votes: {shares['decisive']:.1%} decisive, "
        f"{shares['tie']:.1%} ties, {shares['both_bad']:.1%} both bad."
    )
    interval = f"; intervals: {board['interval']}, 95 %" if board["interval"] else ""
    anchor = board["settings"]["anchor"]
    shown = f" Anchored: {anchor[0]} = {anchor[1]:g}." if anchor else " The mean is 1000."
    fit = _text(f"{board['method']}{interval}.{shown}")
    return f'<p class="lead">{words}</p><p class="note">{fit}</p>'


def _refusal(board: Mapping[str, Any]) -> str:
    groups = board["components"]
    if len(groups) > 1:
        items = "".join(f"<li>{len(one)} models: {_names(one)}</li>" for one in groups)
        what = (
            f"No votes link these {len(groups)} groups of models, so the votes say nothing about "
            "who is better across them. Each group has a board of its own."
        )
        return _alert(what, f"<ul>{items}</ul>")
    what = "No two models have finite ratings on one scale: see what the votes do say below."
    return _alert(what, "")


def _alert(what: str, inside: str) -> str:
    return f'<div class="alert"><p><strong>No joint rank.</strong> {what}</p>{inside}</div>'


def _ratings(rows: Sequence[Mapping[str, Any]]) -> str:
    has_contrast = rows[0]["difference"] is not None
    head = ["rank", "ranks", "model", "rating", "interval", "open ranks", "battles", "to the next"]
    kinds = ["n", "n", "", "n", "n wide", "bar", "n", "n wide"]
    if has_contrast:
        head.append("difference")
        kinds.append("n")
    body = []
    for row in rows:
        cells = [
            str(row["rank"]),
            _range(row["rank_low"], row["rank_high"]),
            f"<bdi>{_text(row['model'])}</bdi>",
            f"{row['rating']:.1f}",
            f"{row['lower']:.1f} … {row['upper']:.1f}",
            _bar(row, len(rows)),
            f"{row['battles']:,}",
            _next(row),
        ]
        if has_contrast:
            cells.append(
                f"{row['difference']:+.1f} "
                f"<small>{row['difference_lower']:+.1f} … {row['difference_upper']:+.1f}</small>"
            )
        body.append(cells)
    return _table(head, body, kinds)


def _bar(row: Mapping[str, Any], num: int) -> str:
    """The open ranks on a scale of all ranks, best at the left: all together, and alone."""

    def span(low: int, high: int, name: str) -> str:
        start, width = 100 * (low - 1) / num, 100 * (high - low + 1) / num
        return f'<i class="{name}" style="left:{start:.2f}%;width:{width:.2f}%"></i>'

    wide = span(row["rank_low"], row["rank_high"], "all")
    tight = span(row["marginal_rank_low"], row["marginal_rank_high"], "own")
    dot = 100 * (row["rank"] - 0.5) / num
    return f'<div class="track">{wide}{tight}<b style="left:{dot:.2f}%"></b></div>'


def _next(row: Mapping[str, Any]) -> str:
    votes, direct = row["votes_to_next"], row["direct_votes_to_next"]
    if votes is None or direct is None:
        return "–"
    return "enough" if votes == 0 else f"{_short(votes)} <small>({_short(direct)})</small>"


def _separated(groups: Sequence[Mapping[str, Any]]) -> str:
    if not groups:
        return ""
    rows = []
    for one in groups:
        limit = "–"
        if one["limit"] is not None:
            limit = f"{'at least' if one['side'] == 'above' else 'at most'} {one['limit']:.0f}"
        rows.append([_names(one["models"]), _SIDES[one["side"]], f"{one['num_votes']:,.0f}", limit])
    note = (
        "No number of points explains a model that won, or lost, every vote across: its rating is "
        "not finite. The votes give a one-sided 95 % limit (of the mean, for a group), with the "
        "other ratings taken as they are. These models have no rank on the board."
    )
    head = ["models", "what the votes say", "votes", "95 % limit"]
    return _section("Without a rating", note, _table(head, rows, ["", "", "n", "n"]))


def _selections(found: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for one in found:
        rows = [
            [_text(row["estimate"]), _point(row), f"{row['lower']:.1f} … {row['upper']:.1f}"]
            for row in one["scores"]
        ]
        note = (
            f"{one['model']} was picked as the best of {one['num_variants']} privately tested "
            "variants. The best of several is partly the luckiest: its score is too high by an "
            f"amount between 0 and {one['luck_of_identical_variants']:.1f} points, which depends "
            "on how much the variants truly differ. No estimate is unbiased whatever they are; "
            "votes cast after the choice need no correction."
        )
        table = _table(["score", "points", "95 % interval"], rows, ["", "n", "n"])
        extra = f'<p class="note">{_text(one["fresh_votes"])}</p>' if one["fresh_votes"] else ""
        parts.append(
            _section("Picked as the best of several", note, table + extra + _curves(one["curve"]))
        )
    return "".join(parts)


def _curves(points: Sequence[Mapping[str, float]]) -> str:
    """Bias of three estimates by the spread of the variants' true scores, as a drawing."""
    names = {
        "bias_as_shown": "score as shown",
        "bias_median_unbiased": "from all scores",
        "bias_lower_bound": "lower bound from N alone",
    }
    width, height, left, right, top, low_edge = 640.0, 260.0, 44.0, 12.0, 12.0, 40.0
    values = [point[name] for point in points for name in names]
    low, high = min(0.0, *values), max(0.0, *values)
    span, last = (high - low) or 1.0, points[-1]["spread"] or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + x / last * (width - left - right)
        return across, top + (high - y) / span * (height - top - low_edge)

    parts = []
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if span / s <= 8)
    for number in range(int(low // step), int(high // step) + 1):
        _, y = at(0, number * step)
        if not top - 1 <= y <= height - low_edge + 1:
            continue
        kind = "zero" if number == 0 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{number * step:g}</text>'
        )
    for value in range(0, int(last) + 1, max(1, int(last) // 5)):
        x, _ = at(value, 0)
        parts.append(f'<text x="{x:.1f}" y="{height - 22}" text-anchor="middle">{value}</text>')
    parts.append(
        f'<text x="{width / 2}" y="{height - 4}" text-anchor="middle">standard deviation of the '
        "variants’ true scores, points</text>"
    )
    for index, name in enumerate(names):
        line = " ".join("{:.1f},{:.1f}".format(*at(p["spread"], p[name])) for p in points)
        parts.append(f'<polyline class="s{index}" points="{line}"/>')
    keys = "".join(f'<li class="s{i}">{words}</li>' for i, words in enumerate(names.values()))
    return (
        f'<p class="note">Mean error of each estimate, in points:</p><ul class="keys">{keys}</ul>'
        f'<div class="scroll"><svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="bias by spread">{"".join(parts)}</svg></div>'
    )


def _point(row: Mapping[str, Any]) -> str:
    if row["rating"] is not None:
        return f"{row['rating']:.1f}"
    return f"{row['rating_lower']:.1f} … {row['rating_upper']:.1f}"


def _parameters(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return ""
    rows = [
        [
            _text(one["name"]),
            f"{one['value']:+.4f}",
            f"{one['value'] - 1.96 * one['standard_error']:+.4f} … "
            f"{one['value'] + 1.96 * one['standard_error']:+.4f}",
        ]
        for one in found
    ]
    note = "In log-odds; of a feature, per root mean square of its difference between the sides."
    table = _table(["coefficient", "value", "95 % interval"], rows, ["", "n", "n"])
    return _section("Beside the ratings", note, table)


def _strata(strata: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    parts = []
    for name, sections in strata.items():
        votes = sum(one["votes"] for one in sections)
        inner = "".join(
            _ratings(one["ratings"])
            if one["ratings"]
            else f'<p class="note">No board: {_text(one["method"])}.</p>'
            for one in sections
        )
        inner += "".join(_separated(one["separated"]) for one in sections)
        many = f", {len(sections)} groups without votes between them" if len(sections) > 1 else ""
        parts.append(
            f"<details><summary><bdi>{_text(name or 'not stated')}</bdi> · {votes:,} votes{many}"
            f"</summary>{inner}</details>"
        )
    note = (
        "Each from its own votes alone; an anchor that is not rated in one leaves its mean at 1000."
    )
    return _section("Parts", note, "".join(parts)) if parts else ""


def _how(board: Mapping[str, Any]) -> str:
    items = "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in _HELP)
    facts = [["gradient norm at the solution", f"{board['gradient_norm']:.1e} per vote"]]
    facts += [[_text(one["event"]), f"{one['count']:,}"] for one in board["ledger"]]
    if board["unfought"]:
        facts.append(["models without a valid vote", _names(board["unfought"])])
    table = _table(["ledger", ""], facts, ["", "n"])
    return f'<section><h2>How to read this</h2><dl class="note">{items}</dl>{table}</section>'


def _section(title: str, note: str, inside: str) -> str:
    return f'<section><h2>{title}</h2><p class="note">{_text(note)}</p>{inside}</section>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kinds: Sequence[str]) -> str:
    top = "".join(f'<th class="{k}">{h}</th>' for h, k in zip(head, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{k}">{c}</td>' for c, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _names(models: Sequence[str]) -> str:
    shown = ", ".join(f"<bdi>{_text(one)}</bdi>" for one in models[:30])
    return shown if len(models) <= 30 else f"{shown} and {len(models) - 30} more"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.{0 if number >= 10 * size else 1}f} {letter}"
    return f"{number:.0f}"


def _text(value: str) -> str:
    return html.escape(value)


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #d9dee3; --paper: #fff;
  --tint: #f5f7f9; --mark: #3465a4; --alert: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a2acb6; --line: #363d45;
  --paper: #14171a; --tint: #1d2125; --mark: #7aa7e8; --alert: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Noto Sans", "Segoe UI", sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 66rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
p { margin: .3rem 0 .7rem; } .lead { font-size: 1.08rem; } small, .note { color: var(--soft); }
.note { max-width: 48rem; } dt { font-weight: 600; color: var(--ink); } dd { margin: 0 0 .6rem; }
.alert { background: var(--tint); border-inline-start: 4px solid var(--alert);
  padding: .6rem .9rem; margin: 1rem 0; border-radius: 0 6px 6px 0; }
.alert ul { margin: .3rem 0; padding-inline-start: 1.2rem; }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .92rem; width: 100%; }
th, td { text-align: start; padding: .26rem .55rem; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.n { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.bar { width: 28%; min-width: 7rem; } th.bar { text-align: start; }
.track { position: relative; height: 1.1rem; }
.track i { position: absolute; top: .3rem; height: .5rem; background: var(--mark); opacity: .3;
  border-radius: 2px; } .track .own { opacity: .45; }
.track b { position: absolute; top: .3rem; width: .5rem; height: .5rem; margin-left: -.25rem;
  border-radius: 50%; background: var(--mark); }
svg { width: 100%; max-width: 46rem; min-width: 26rem; display: block; }
svg text { fill: var(--soft); font-size: 12px; } svg line { stroke: var(--line); }
svg .zero { stroke: var(--soft); } polyline { fill: none; stroke-width: 2; }
.s0 { --c: #b3261e; } .s1 { --c: #3465a4; } .s2 { --c: #6b7580; } polyline { stroke: var(--c); }
.keys { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.keys li::before { content: ""; display: inline-block; width: .7rem; height: .7rem;
  border-radius: 50%; margin-inline-end: .4rem; background: var(--c); }
details { margin: .4rem 0; } summary { cursor: pointer; }
@media (max-width: 44rem) { main { padding: 1rem .7rem 3rem; } h1 { font-size: 1.4rem; }
  table { font-size: .85rem; } th, td { padding: .22rem .35rem; } .wide { display: none; }
  td.bar { min-width: 4.5rem; } }
"""
