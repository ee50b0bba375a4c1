"""``polylect simulate``: attacks, holes and sampling rules, on real counts or on the paper's."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from polylect.base import Count, CountOrZero, Positive, Range, Seed, Share
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines, write_result
from polylect.cli.values import limit_blas_threads

_FILES = ("votes", "registry")
_USERS = {
    "votes": ("rigging", "sampling", "retire"),
    "target": ("rigging", "retire"),
    **dict.fromkeys(("attack", "accounts", "votes_each", "honest_share", "rivals"), ("rigging",)),
    **dict.fromkeys(("unknown", "level"), ("rigging",)),
    "keep_share": ("retire",),
    **dict.fromkeys(("width", "registry", "floor"), ("sampling",)),
    "bridges": ("sparse-graph",),
    "worlds": ("rigging", "task-mix", "sparse-graph"),
}
"""The simulations that use an option, where not all do."""

if TYPE_CHECKING:
    from polylect.ranking import PairCounts


@dataclass(frozen=True, kw_only=True)
class Options:
    """Simulate attacks on a board, retired models, sampling rules, and sparse votes."""

    what: tyro.conf.Positional[Literal["rigging", "sampling", "retire", "task-mix", "sparse-graph"]]
    """What is simulated. rigging, sampling and retire need --votes; the others repeat the paper's
    simulations."""
    votes: Path | None = None
    """Real votes to replay on (.parquet, .jsonl), as for 'polylect rank'."""
    target: tuple[str, ...] = ()
    """rigging: the model to push; retire: the models to remove."""
    attack: Literal["omnipresent", "target-only", "random"] = "omnipresent"
    """rigging: how the riggers vote."""
    accounts: Count = 1000
    """rigging: number of riggers, and of honest accounts beside them."""
    votes_each: Count = 20
    """rigging: votes of each account."""
    honest_share: Share = 0.0
    """rigging: fraction of a rigger's votes that are honest."""
    rivals: CountOrZero = 0
    """rigging: number of models above the target that it should overtake; 0 raises its rating."""
    unknown: Switch = False
    """rigging: the detector does not know the target."""
    level: Share = 0.01
    """rigging: rate of honest accounts that may be flagged."""
    keep_share: Annotated[float, Range(0, below=1)] = 0.0
    """retire: fraction of the votes on the removed models that is kept."""
    width: Positive = 16.0
    """sampling: mean width of the intervals to reach, in Elo points."""
    registry: Path | None = None
    """sampling: file of models; adds fair variants by its providers and licenses."""
    floor: Share = 0.9
    """sampling: least fraction of its equal share that a group gets."""
    bridges: CountOrZero = 0
    """sparse-graph: number of battles between the groups."""
    worlds: CountOrZero = 0
    """Number of repetitions. Default: 5 (rigging), 400 (task-mix), 200 (sparse-graph)."""
    seed: Seed = 0
    """Seed of the simulation."""
    out: Path = Path("runs/simulate")
    """Folder for simulate.json."""
    force: Switch = False
    """Replace what --out holds, once the new simulation is complete."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect simulate WHAT``."""
    options = parse(Options, arguments, "simulate")
    _check_used(options)
    limit_blas_threads()
    from polylect.base import write_json
    from polylect.runs import Files, StepContext

    runs = {
        "rigging": _rigging,
        "sampling": _sampling,
        "retire": _retire,
        "task-mix": _task_mix,
        "sparse-graph": _sparse_graph,
    }
    lines: list[str] = []

    def write(context: StepContext) -> None:
        value, shown = runs[options.what](options)
        write_json(context.out / "simulate.json", {"simulation": options.what, **value})
        lines.extend(shown)

    inputs = {name: Files(path) for name in _FILES if (path := getattr(options, name)) is not None}
    write_result("simulate", 3, options, inputs, write, leave_out=_FILES)
    print_lines([*lines, options.out / "simulate.json"])
    return 0


def _check_used(options: Options) -> None:
    """Refuse an option that the simulation would ignore."""
    from polylect.base import InputError

    for field in fields(Options):
        users = _USERS.get(field.name)
        if users and options.what not in users and getattr(options, field.name) != field.default:
            raise InputError(
                f"simulate {options.what}: --{field.name.replace('_', '-')} belongs to"
                f" {' and '.join(users)}",
                "leave it out",
            )


def _counts(options: Options) -> tuple["PairCounts", dict[str, Any], list[str]]:
    """The votes of the largest group of models with finite ratings on one scale.

    Returns them with what was left out of them, for the result and as lines to print.
    """
    from polylect.base import InputError, UndecidableError
    from polylect.ranking import identify, read_counts

    if options.votes is None:
        raise InputError(f"{options.what} needs real votes", "add --votes FILE")
    counts = read_counts(options.votes)
    core = identify(counts).largest_core
    for name in options.target:
        counts.position(name)  # a name that no vote has
        if name not in core:
            raise UndecidableError(
                f"{options.votes}: {name!r} has no finite rating on the scale of the largest group"
                f" ({len(core)} of {len(counts.models)} models)",
                f"choose one of them, e.g. --target {core[0]}" if core else "collect more votes",
            )
    if len(core) < 2:
        raise UndecidableError(
            f"{options.votes}: no two models have finite ratings on one scale",
            "collect votes until some model both won and lost",
        )
    used = counts.restricted(core)
    out = [name for name in counts.models if name not in core]
    lines = []
    if out:
        names = ", ".join(out[:5]) + (f" and {len(out) - 5} more" if len(out) > 5 else "")
        lines.append(
            f"{len(core)} of {len(counts.models)} models, {used.num_votes:,.0f} of"
            f" {counts.num_votes:,.0f} votes: left out are models without a finite rating on their"
            f" scale ({names})"
        )
    votes = {"models": len(core), "left_out": out, "votes": used.num_votes,
             "votes_left_out": counts.num_votes - used.num_votes}  # fmt: skip
    return used, votes, lines


def _rigging(options: Options) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import Attack, simulate_attacks
    from polylect.base import InputError, plain

    if len(options.target) != 1:
        raise InputError(f"rigging needs one target, not {len(options.target)}", "add --target M")
    attack = Attack(
        target=options.target[0],
        kind=options.attack,
        rivals=options.rivals,
        num_accounts=options.accounts,
        votes_per_account=options.votes_each,
        honest_share=options.honest_share,
    )
    counts, votes, before = _counts(options)
    results = simulate_attacks(
        counts,
        attack,
        target_known=not options.unknown,
        num_honest=options.accounts,
        level=options.level,
        num_worlds=options.worlds or 5,
        seed=options.seed,
    )
    lines = [*before, "found  false   rating: honest (interval)        rigged  cleaned   rank"]
    lines += [
        f"{result.found:5.1%}  {result.false_flags:5.2%}  {result.honest_rating:9.1f} "
        f"({result.honest_lower:.1f} … {result.honest_upper:.1f})  {result.rigged_rating:7.1f}"
        f"  {result.cleaned_rating:7.1f}   {result.honest_rank} › {result.rigged_rank} › "
        f"{result.cleaned_rank}"
        for result in results
    ]
    rows = [{**plain(result), "repaired": result.is_repaired} for result in results]
    attacked = {"attack": plain(attack), "target_known": not options.unknown, "replays": rows}
    return attacked | {"replayed_on": votes}, lines


def _sampling(options: Options) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import Registry, compare_sampling_rules
    from polylect.base import plain

    registry = None if options.registry is None else Registry.read(options.registry)
    counts, votes, before = _counts(options)
    comparison = compare_sampling_rules(
        counts, options.width, registry, options.floor, options.seed
    )
    least = comparison.least_share
    lines = [*before, f"no rule needs less than {least:.0%} of uniform's votes (without ties)"]
    for run in comparison.runs:
        votes = "not reached" if run.num_votes is None else f"{run.num_votes:12,.0f} votes"
        parts = "".join(f", {kind} {part:.2f}" for kind, part in run.least_part.items())
        lines.append(f"{run.rule:30} {votes}, error {run.root_mean_square:.1f} Elo{parts}")
    if registry is not None:
        lines.append("(behind the commas: the least part of its equal share that a group got)")
    compared = {"width": options.width, "least_share": least, "rules": plain(comparison.runs)}
    return compared | {"replayed_on": votes}, lines


def _retire(options: Options) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import retire
    from polylect.base import InputError, plain

    if not options.target:
        raise InputError("retire needs models", "add --target MODEL [MODEL …]")
    counts, votes, before = _counts(options)
    result = retire(counts, options.target, options.keep_share)
    lines = [
        *before,
        f"{result.votes_lost:,.0f} votes go; {result.num_moved} of {len(result.moves)} models "
        f"change rank; {len(result.lost_pairs)} pairs are not separable any more, "
        f"{len(result.gained_pairs)} newly are",
    ]
    for move in result.moves:
        if move.rank_after != move.rank_before:
            after = "no joint rank" if move.rank_after is None else str(move.rank_after)
            change = "" if move.change is None else f" ({move.change:+.1f} Elo)"
            lines.append(f"  {move.model}: {move.rank_before} › {after}{change}")
    lines += [f"  split off: {', '.join(models)}" for models in result.split_off]
    if result.separated:
        names = ", ".join(result.separated)
        lines.append(f"  now only won or only lost, so without a rating: {names}")
    return plain(result) | {"replayed_on": votes}, lines


def _task_mix(options: Options) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import task_mix
    from polylect.base import plain

    result = task_mix(num_worlds=options.worlds or 400, seed=options.seed)
    lines = [
        f"true order {' '.join(result.truth)}",
        f"pooled, all stay:       {' '.join(result.with_all)} "
        f"(true in {result.truth_with_all:.0%})",
        f"pooled, one retired:    {' '.join(result.with_retired)} "
        f"(true in {result.truth_with_retired:.0%})",
        f"stratified by task:     right in {result.truth_stratified:.0%} for those in both tasks; "
        f"no joint rank for {', '.join(result.unplaced)}",
        f"the drift test warns in {result.warned:.0%}",
    ]
    return plain(result), lines


def _sparse_graph(options: Options) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import SparseGraph, sparse_graph
    from polylect.base import plain

    result = sparse_graph(
        SparseGraph.of_paper(options.bridges),
        num_worlds=options.worlds or 200,
        seed=options.seed,
    )
    lines = [
        f"dense graph:  exact order in {result.dense_exact:.0%}, mean τ {result.dense_tau:.2f}",
        f"with a hole:  exact order in {result.sparse_exact:.0%}, τ {result.sparse_tau:.2f} where "
        f"a solver prints one anyway; a joint rank is refused in {result.refused:.0%}",
        f"inside groups the order is right in {result.within_exact:.0%}",
    ]
    return plain(result), lines
