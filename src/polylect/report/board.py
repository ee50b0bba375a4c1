"""The page of a ranking."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polylect.report.charts import curves
from polylect.report.formats import DASH, language_cell_of
from polylect.report.page import Html, join, section, table, table_section, tag, write_page
from polylect.stats import two_sided_z

_SIDES = {
    "above": "won every vote against the rated models",
    "below": "lost every vote against the rated models",
    "apart": "never met the rated models, directly or through others",
    "won": "won every vote",
    "between": "won against some models, lost against others",
    "lost": "lost every vote",
}
_BIASES = {
    "bias_as_shown": "score as shown",
    "bias_median_unbiased": "from all scores",
    "bias_lower_bound": "lower bound from N alone",
}
_HELP = (
    (
        "rating",
        "Elo points: 400 points are odds of ten to one. Without an anchor the mean is 1000; an "
        "anchor shifts every number and changes no difference and no interval.",
    ),
    (
        "interval",
        "95 %, of the rating itself. Overlapping intervals do not mean that two models are equal: "
        "their difference has an interval of its own.",
    ),
    (
        "ranks",
        "All ranks that the votes leave open. The sets hold together: in 95 of 100 repetitions "
        "every model's true rank lies inside its set. The dark part of the bar is the set for that "
        "model looked at alone.",
    ),
    (
        "to the next",
        "How many more votes, in today's mix of pairs, would separate this model from the one "
        "below it with 80 % power, if the difference is what it seems; in brackets, how many if "
        "all of them were cast on these two.",
    ),
)
_UNRATED = (
    "No number of points explains a model that won, or lost, every vote across: its rating is "
    "not finite. The votes give a one-sided 95 % limit (of the mean, for a group), with the "
    "other ratings taken as they are, on the scale of the group that is named. These models have "
    "no rank on that board; those with votes in both directions among them have their own. Where "
    "no two models have a rating there is no scale, so no limit either."
)
_SHOWN_NAMES = 30


def write_board_page(path: Path, board: Mapping[str, Any], name: str, by: str = "") -> None:
    """Write the page; the file appears complete or not at all.

    Args:
        path: the HTML file.
        board: what ``ranking.Board.to_json`` returns.
        name: shown in the title; usually that of the file of votes.
        by: the column by which the votes are parted.
    """
    joint = bool(board["ratings"])
    boards = [board["ratings"]] if joint else board["boards"]
    lead = _lead(board)
    if not joint:
        lead = join([lead, _refusal(board["components"], sum(map(bool, boards)))])
    parts = []
    for number, rows in enumerate(boards, 1):
        if rows:
            title, note = "Board", ""
            if len(boards) > 1:
                title = f"Group {number} of {len(boards)}"
                note = _scale(board["groups"][number - 1], board["settings"]["anchor"])
            parts.append(section(title, _ratings(rows), note=note))
    parts += [
        _separated(board["separated"], len(boards)),
        *[_selection(selection) for selection in board["selections"]],
        _parameters(board["parameters"]),
        _strata(board["strata"], are_languages=by == "language"),
        _how(board),
    ]
    write_page(path, f"Ranking · {name}", lead, parts)


def _lead(board: Mapping[str, Any]) -> Html:
    shares, anchor = board["shares"], board["settings"]["anchor"]
    num = sum(len(models) for models in board["components"])
    votes = (
        f"{num:,} models, {board['votes']:,} votes: {shares['decisive']:.1%} decisive, "
        f"{shares['tie']:.1%} ties, {shares['both_bad']:.1%} both bad."
    )
    interval = f"; intervals: {board['interval']}, 95 %" if board["interval"] else ""
    origin = f"Anchored: {anchor[0]} = {anchor[1]:g}." if anchor else "The mean is 1000."
    fit = f"{board['method']}{interval}. {origin}"
    return join([tag("p", votes, class_="lead"), tag("p", fit, class_="note")])


def _refusal(groups: Sequence[Sequence[str]], num_boards: int) -> Html:
    """Why there is no joint ranking, and the groups of models between which there are no votes."""
    what = "No two models have finite ratings on one scale: see what the votes do say below."
    items: object = ""
    if num_boards > len(groups):
        what = (
            f"The votes give {num_boards} groups of models with ratings, and between them no votes "
            "in both directions: how far they are apart is not known. Each has a board of its own."
        )
    elif len(groups) > 1:
        what = (
            f"No votes link these {len(groups)} groups of models, so the votes say nothing about "
            "who is better across them. Each group has a board of its own."
        )
    if len(groups) > 1:
        items = tag("ul", *[tag("li", f"{len(models)} models: ", _names(models))
                            for models in groups])  # fmt: skip
    reason = tag("p", tag("strong", "No joint rank."), f" {what}")
    return tag("div", reason, items, class_="alert")


def _ratings(rows: Sequence[Mapping[str, Any]]) -> Html:
    has_contrast = rows[0]["difference"] is not None
    head = ["rank", "ranks", "model", "rating", "interval", "open ranks", "battles", "to the next"]
    body = []
    for row in rows:
        low, high = row["rank_low"], row["rank_high"]
        cells: list[object] = [
            row["rank"],
            low if low == high else f"{low}–{high}",
            tag("bdi", row["model"]),
            f"{row['rating']:.1f}",
            _interval(row),
            _track(row, len(rows)),
            f"{row['battles']:,}",
            _next(row),
        ]
        if has_contrast:
            span = f"{row['difference_lower']:+.1f} … {row['difference_upper']:+.1f}"
            cells.append(
                tag("span", f"{row['difference']:+.1f} ", tag("small", span))
                if row["difference_lower"] < row["difference_upper"]
                else DASH  # the model itself
            )
        body.append(cells)
    if has_contrast:
        head.append("difference")
    classes = {4: "n wide", 5: "ranks", 7: "n wide"}
    return table(head, body, numbers=(0, 1, 3, 6, 8), classes=classes)


def _track(row: Mapping[str, Any], num: int) -> Html:
    """The open ranks on a scale of all ranks, best at the left: of all models, and of this one."""

    def span(low: int, high: int, class_: str) -> Html:
        start, width = 100 * (low - 1) / num, 100 * (high - low + 1) / num
        return tag("i", class_=class_, style=f"left:{start:.2f}%;width:{width:.2f}%")

    dot = 100 * (row["rank"] - 0.5) / num
    return tag(
        "div",
        span(row["rank_low"], row["rank_high"], "all"),
        span(row["marginal_rank_low"], row["marginal_rank_high"], "alone"),
        tag("b", style=f"left:{dot:.2f}%"),
        class_="track",
    )


def _next(row: Mapping[str, Any]) -> Html | str:
    votes, direct = row["votes_to_next"], row["direct_votes_to_next"]
    if votes is None or direct is None:
        return DASH
    if votes == 0:
        return "enough"
    return tag("span", f"{_short(votes)} ", tag("small", f"({_short(direct)})"))


def _scale(group: Mapping[str, Any], anchor: Sequence[Any] | None) -> str:
    """What a group's scale rests on."""
    origin = "the mean is 1000"
    if group["anchor"] and anchor:
        origin = f"{anchor[0]} = {anchor[1]:g}"
    return f"{group['votes']:,} votes. A scale of its own: {origin}."


def _separated(groups: Sequence[Mapping[str, Any]], num_boards: int = 1) -> Html:
    rows = []
    for group in groups:
        limit = DASH
        if group["limit"] is not None:
            limit = f"{'at least' if group['side'] == 'above' else 'at most'} {group['limit']:.0f}"
            if num_boards > 1 and "on_scale_of_group" in group:
                limit += f" (group {group['on_scale_of_group']})"
        rows.append(
            [_names(group["models"]), _SIDES[group["side"]], f"{group['num_votes']:,.0f}", limit]
        )
    head = ["models", "what the votes say", "votes", "95 % limit"]
    return table_section("Without a rating", head, rows, numbers=(2, 3), note=_UNRATED)


def _selection(selection: Mapping[str, Any]) -> Html:
    rows = [[score["estimate"], _point(score), _interval(score)] for score in selection["scores"]]
    fresh = selection["fresh_votes"]
    lines = {
        words: [(point["spread"], point[name]) for point in selection["curve"]]
        for name, words in _BIASES.items()
    }
    return section(
        "Picked as the best of several",
        table(["score", "points", "95 % interval"], rows, numbers=(1, 2)),
        tag("p", fresh, class_="note") if fresh else "",
        tag("p", "Mean error of each estimate, in points:", class_="note"),
        curves(lines, "standard deviation of the variants’ true scores, points",
               "bias, points", zero=True),
        note=f"{selection['model']} was picked as the best of {selection['num_variants']} privately"
        " tested variants. The best of several is partly the luckiest: its score is too high by an"
        f" amount between 0 and {selection['luck_of_identical_variants']:.1f} points, which depends"
        " on how much the variants truly differ. No estimate is unbiased whatever they are; votes"
        " cast after the choice need no correction.",
    )  # fmt: skip


def _point(row: Mapping[str, Any]) -> str:
    if row["rating"] is not None:
        return f"{row['rating']:.1f}"
    return f"{row['rating_lower']:.1f} … {row['rating_upper']:.1f}"


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['lower']:.1f} … {row['upper']:.1f}"


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> Html:
    rows = []
    for parameter in parameters:
        value, half = parameter["value"], two_sided_z(0.95) * parameter["standard_error"]
        span = f"{value - half:+.4f} … {value + half:+.4f}"
        rows.append([parameter["name"], f"{value:+.4f}", span])
    return table_section(
        "Beside the ratings",
        ["coefficient", "value", "95 % interval"],
        rows,
        numbers=(1, 2),
        note="In log-odds; of a feature, per root mean square of its difference between the sides.",
    )


def _strata(strata: Mapping[str, Sequence[Mapping[str, Any]]], *, are_languages: bool) -> Html:
    """A board per stratum, folded away."""
    parts = []
    for name, boards in strata.items():
        inner = [
            _ratings(board["ratings"])
            if board["ratings"]
            else tag("p", f"No board: {board['method']}.", class_="note")
            for board in boards
        ]
        inner += [_separated(board["separated"]) for board in boards]
        words = f" · {sum(board['votes'] for board in boards):,} votes"
        if len(boards) > 1:
            words += f", {len(boards)} groups without votes in both directions between them"
        cell = (
            language_cell_of(name) if are_languages and name else tag("bdi", name or "not stated")
        )
        summary = tag("summary", cell, words)
        parts.append(tag("details", summary, *inner))
    if not parts:
        return Html("")
    return section(
        "Parts", *parts,
        note="Each from its own votes alone; where the anchor is not rated, the mean is 1000.",
    )  # fmt: skip


def _how(board: Mapping[str, Any]) -> Html:
    items = [tag("dt", name) + tag("dd", words) for name, words in _HELP]
    facts: list[list[object]] = [
        ["gradient norm at the solution", f"{board['gradient_norm']:.1e} per vote"]
    ]
    facts += [[entry["event"], f"{entry['count']:,}"] for entry in board["ledger"]]
    if board["unfought"]:
        facts.append(["models without a valid vote", _names(board["unfought"])])
    return section(
        "How to read this",
        tag("dl", *map(Html, items), class_="note"),
        table(["ledger", ""], facts, numbers=(1,)),
    )


def _names(models: Sequence[str]) -> Html:
    shown = join([tag("bdi", name) for name in models[:_SHOWN_NAMES]], ", ")
    rest = len(models) - _SHOWN_NAMES
    return shown if rest <= 0 else join([shown, f" and {rest} more"])


def _short(number: float) -> str:
    """The number with a unit of thousands, millions or billions; a bound beyond a thousand billion.

    >>> _short(950), _short(1500), _short(25000), _short(8.5e28)
    ('950', '1.5 k', '25 k', '> 1000 G')
    """
    if number > 1e12:
        return "> 1000 G"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.{0 if number >= 10 * size else 1}f} {letter}"
    return f"{number:.0f}"
