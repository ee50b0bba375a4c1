"""``rank``: rank models by votes, with intervals and rank sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.results import Plan, Result, run_call, settings_of
from polylect.api.verbs import verb
from polylect.base import (
    CountOrZero,
    InputError,
    Ledger,
    NonNegative,
    Positive,
    Range,
    Seed,
    one_blas_thread,
    read_json,
    write_json,
)

if TYPE_CHECKING:
    import polars

    from polylect.ranking import BestOfN, Board, BoardSettings
    from polylect.runs import StepContext

_SHOWN_ROWS = 20
_SIDES = {
    "won": "above: won every vote",
    "between": "between: won against some, lost against others",
    "lost": "below: lost every vote",
}


@dataclass(frozen=True, kw_only=True)
class RankOptions:
    """Rank models by paired comparisons: ratings, intervals and rank sets.

    Writes board.json and board.html. Exit code 3 when the votes do not link all models: then there
    is one board per group, and no joint rank.

    Examples:
        polylect rank votes.parquet
        polylect rank votes.jsonl --by language --features tokens lists --cluster voter
        polylect rank votes.jsonl --anchor my-model=1100 --json
    """

    votes: Positional[Path]
    """Votes: .parquet, .jsonl or .ndjson with model_a, model_b and verdict (A, B, TIE, BOTH_BAD,
    INVALID), optionally count, language, category, voter, time, prompt; or LMArena's form."""
    anchor: Annotated[str | None, Mark(metavar="MODEL=SCORE")] = None
    """Shift the ratings so that this model has this score. Default: the mean is 1000."""
    contrast: str | None = None
    """Also print every model's difference to this one, with its interval."""
    tie_model: Literal["bradley-terry", "davidson", "rao-kupper", "both-bad"] = "bradley-terry"
    """How ties count: half a point each (bradley-terry, as in arenas), or outcomes of their own."""
    by: Literal["language", "category"] | None = None
    """Also make a board for each value of this column."""
    features: tuple[str, ...] = ()
    """Style features to control for: NAME reads NAME_a and NAME_b; tokens, headers, lists and bold
    are also read from LMArena's conv_metadata."""
    bootstrap: CountOrZero = 0
    """Bootstrap resamples for percentile intervals, in place of the sandwich estimator."""
    cluster: Literal["voter", "prompt"] | None = None
    """Column of clusters of dependent votes, for the sandwich estimator and the bootstrap."""
    reweight: Positive | None = None
    """Weight each pair of models by 1 / max(its votes, this floor). The arena uses 50."""
    prior: Annotated[float, Range(1)] | None = None
    """Standard deviation, in Elo, of a normal prior on each rating, 1 or more; the board states
    it."""
    best_of: Annotated[str | None, Mark(metavar="MODEL=N")] = None
    """Correct the score of MODEL, the best of N privately tested variants."""
    variants: tuple[str, ...] = ()
    """With --best-of: names of all N variants, if the file has votes on them."""
    spread: NonNegative | None = None
    """With --best-of: standard deviation of the variants' true scores in Elo, if known."""
    chosen_at: str | None = None
    """With --best-of: time of the choice (ISO time or seconds since 1970); adds the score from the
    votes after it. Needs a time column."""
    seed: Seed = 0
    """Seed of the bootstrap and the rank sets."""
    output: Group[Output] = field(default_factory=Output)


class RankResult(Result):
    """A board: ratings, intervals and rank sets; one board per group without a joint rank."""

    page_name = "board.html"

    @cached_property
    def board(self) -> Mapping[str, Any]:
        """The value of board.json."""
        return read_json(self.path / "board.json")

    def table(self) -> "polars.DataFrame":
        """A row per model and group: rank, rank set, rating, interval."""
        import polars

        boards = self.board["boards"] or [self.board["ratings"]]
        rows = [
            {"group": number, **row} for number, part in enumerate(boards, start=1) for row in part
        ]
        return polars.DataFrame(rows, infer_schema_length=None)

    @cached_property
    def ledger(self) -> Ledger:
        """Votes that were dropped, names that look alike."""
        return Ledger.from_json(self.board["ledger"])

    @property
    def refusal(self) -> str:
        """Why there is no joint rank; empty where there is one."""
        return "" if self.board["ratings"] else _refusal(self.board)

    def lines(self) -> list[str]:
        """The board, or one per group."""
        return _summary(self.board, self.path)


@verb("rank", RankOptions)
def rank(options: RankOptions) -> RankResult | Plan:
    """Rank models by paired comparisons: ratings, intervals and rank sets.

    Returns a ``RankResult``: ``.table()`` has a row per model. Votes are a file or a table.

        pl.rank("votes.parquet").table()
        pl.rank([{"model_a": "x", "model_b": "y", "verdict": "A"}, …])
    """
    with one_blas_thread():
        return _rank(options)


def _rank(options: RankOptions) -> RankResult | Plan:
    from polylect.ranking import BoardSettings
    from polylect.report import write_board_page
    from polylect.runs import Call, Files, Step, headline

    settings = BoardSettings(
        model=options.tie_model,
        anchor=_anchor(options.anchor),
        bootstrap=options.bootstrap,
        cluster=options.cluster or "",
        features=options.features,
        reweight=options.reweight,
        prior_sd=options.prior,
        contrast=options.contrast or "",
        seed=options.seed,
    )
    choice = _best_of(options)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        board = _board(options, settings, choice).to_json()
        headline(_headline(board))
        write_json(context.out / "board.json", board)
        write_board_page(context.out / "board.html", board, options.votes.name, by=options.by or "")

    def plan(out: Path) -> list[str]:
        board = _board(options, settings, choice)
        num = sum(map(len, board.components))
        return [
            f"would rank {num:,} models by {board.num_votes:,} votes of {options.votes}",
            *board.ledger.lines(),
            f"would write board.json and board.html into {out}",
        ]

    call = Call(
        Step("polylect rank", 4, write),
        "rank",
        settings_of(options, ["votes"], {"tie_model": "model"}),
        {"votes": Files(options.votes)},
    )
    return run_call(call, options.output, "rank", RankResult, plan)


def _headline(board: Mapping[str, Any]) -> str:
    """Who leads, and with what rank set."""
    if not board["ratings"]:
        return "no joint rank"
    first = board["ratings"][0]
    ranks = f"{first['rank_low']}–{first['rank_high']}"
    return f"first: {first['model']} {first['rating']:.0f} (ranks {ranks})"


def _board(options: RankOptions, settings: "BoardSettings", choice: "BestOfN | None") -> "Board":
    """The board of the votes in the file."""
    from polylect.ranking import build_board, read_counts, read_strata, read_votes, with_best_of_n

    by, cluster = options.by or "", options.cluster or ""
    numbers = ("time",) if choice and choice.since is not None else ()
    table, strata = None, None
    if cluster or numbers or options.features:
        codes = [name for name in (by, cluster) if name]
        table = read_votes(options.votes, codes=codes, numbers=numbers, features=options.features)
        counts = table.counts()
        strata = table.strata(by) if by else None
    elif by:
        counts, strata = read_strata(options.votes, by)
    else:
        counts = read_counts(options.votes)
    board = build_board(counts, settings, table, strata, by)
    return with_best_of_n(board, counts, choice, table) if choice else board


def _anchor(text: str | None) -> tuple[str, float] | None:
    if text is None:
        return None
    model, equals, score = text.rpartition("=")
    try:
        value = float(score)
    except ValueError:
        value = float("nan")
    if not equals or not model or not abs(value) < float("inf"):
        raise InputError(f"--anchor {text!r} is not MODEL=SCORE", "e.g. --anchor my-model=1100")
    return model, value


def _best_of(options: RankOptions) -> "BestOfN | None":
    from polylect.ranking import BestOfN, parse_timestamp

    if options.best_of is None:
        for name, value in (
            ("--variants", options.variants),
            ("--spread", options.spread),
            ("--chosen-at", options.chosen_at),
        ):
            if value:
                raise InputError(f"{name} goes with --best-of", "e.g. --best-of my-model=5")
        return None
    model, _, number = options.best_of.rpartition("=")
    if not model or not number.isdigit() or int(number) < 2:
        raise InputError(
            f"--best-of {options.best_of!r} is not MODEL=N with N of 2 or more",
            "e.g. --best-of my-model=5",
        )
    since = None if options.chosen_at is None else parse_timestamp(options.chosen_at, "--chosen-at")
    return BestOfN(model, int(number), options.variants, options.spread, since)


def _summary(board: Mapping[str, Any], out: Path) -> list[str]:
    lines = [f"{board['votes']:,} votes · {board['method']} · {out / 'board.html'}"]
    boards = board["boards"] or [board["ratings"]]
    for number, (rows, group) in enumerate(zip(boards, board["groups"], strict=True), 1):
        if len(boards) > 1:
            lines.append(_heading(number, len(boards), group, board["settings"]["anchor"]))
        for row in rows[:_SHOWN_ROWS]:
            half = (row["upper"] - row["lower"]) / 2
            ranks = f"{row['rank_low']}–{row['rank_high']}"
            lines.append(
                f"{row['rank']:>4}  {ranks:>9}  {row['rating']:8.1f} ± {half:<6.1f} {row['model']}"
            )
        if len(rows) > _SHOWN_ROWS:
            lines.append(f"      and {len(rows) - _SHOWN_ROWS} more")
        bounds = [bound for bound in board["separated"] if bound["on_scale_of_group"] == number]
        if rows:
            lines += [_bound(bound, number if len(boards) > 1 else 0) for bound in bounds]
        else:
            lines += [f"   –  no rating ({_SIDES[b['side']]}): {b['models'][0]}" for b in bounds]
    for selection in board["selections"]:
        lines.append(f"{selection['model']}, the best of {selection['num_variants']}:")
        for score in selection["scores"]:
            point = f"{score['rating_lower']:.1f} … {score['rating_upper']:.1f}"
            if score["rating"] is not None:
                point = f"{score['rating']:.1f}"
            interval = f"({score['lower']:.1f} … {score['upper']:.1f})"
            lines.append(f"      {score['estimate']}: {point} {interval}")
        if selection["fresh_votes"]:
            lines.append(f"      {selection['fresh_votes']}")
    return [*lines, *Ledger.from_json(board["ledger"]).summary()]


def _heading(number: int, num_groups: int, group: Mapping[str, Any], anchor: Any) -> str:
    """Which group a board is of, and what sets its scale."""
    if not group["models"]:
        return f"Group {number} of {num_groups}: no rating ({group['method']})"
    scale = f"{group['anchor']} = {anchor[1]:g}" if group["anchor"] else "their mean is 1000"
    return (
        f"Group {number} of {num_groups}: {group['models']} models, {group['votes']:,} votes; "
        f"{scale}, a scale of its own"
    )


def _bound(bound: Mapping[str, Any], group: int) -> str:
    """What the votes say of models without a rating on the scale of a group; 0: the only one."""
    limit = "no limit"
    if bound["limit"] is not None:
        sign = "≥" if bound["side"] == "above" else "≤"
        mean = "mean " if len(bound["models"]) > 1 else ""
        limit = f"{mean}{sign} {bound['limit']:.0f}"
    scale = f" on the scale of group {group}" if group else ""
    return f"   –  no rating{scale} ({bound['side']}, {limit}): {_names(bound['models'], 5)}"


def _names(models: Sequence[str], num: int) -> str:
    rest = f" and {len(models) - num} more" if len(models) > num else ""
    return ", ".join(models[:num]) + rest


def _refusal(board: Mapping[str, Any]) -> str:
    components, boards = board["components"], board["boards"]
    if len(boards) == 1:
        return (
            "no joint rank: every model only won or only lost — collect votes until "
            "some model has both"
        )
    groups = components
    what = f"no votes link {len(groups)} groups of models"
    if len(components) < len(boards):
        groups = [[row["model"] for row in rows] for rows in boards if rows]
        what = f"{len(groups)} groups of models are not linked by votes in both directions"
    names = "; ".join(_names(group, 3) for group in groups[:5])
    rest = f"; and {len(groups) - 5} more groups" if len(groups) > 5 else ""
    return f"no joint rank: {what} ({names}{rest}) — collect votes between them"
