"""``polylect simulate``: attacks, holes and sampling rules, on real counts or on the paper's."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import command_call, finish, print_lines

_FILES = ("votes", "registry")

if TYPE_CHECKING:
    from polylect.ranking import PairCounts


def options_type() -> type:
    """The options of ``simulate``."""
    import tyro

    doc, off = tyro.conf.arg, tyro.conf.FlagCreatePairsOff

    @dataclass(frozen=True, kw_only=True)
    class SimulateOptions:
        what: tyro.conf.Positional[
            Annotated[
                Literal["rigging", "sampling", "retire", "task-mix", "sparse-graph"],
                doc(help="rigging, sampling and retire need --votes; the others are the paper's"),
            ]
        ]
        votes: Annotated[
            Path | None, doc(help="real votes to replay on (.parquet, .jsonl), as for rank")
        ] = None
        target: Annotated[
            tuple[str, ...], doc(help="rigging: the model to push; retire: the models to remove")
        ] = ()
        attack: Annotated[
            Literal["omnipresent", "target-only", "random"], doc(help="how the riggers vote")
        ] = "omnipresent"
        accounts: Annotated[int, doc(help="riggers, and as many honest accounts")] = 1000
        votes_each: Annotated[int, doc(help="votes of each account")] = 20
        honest_share: Annotated[float, doc(help="share of a rigger's votes that are honest")] = 0.0
        rivals: Annotated[
            int, doc(help="models above the target to gain on; 0: its rating itself")
        ] = 0
        unknown: Annotated[bool, off, doc(help="the detector does not know the target")] = False
        level: Annotated[float, doc(help="false flags that are allowed")] = 0.01
        keep_share: Annotated[float, doc(help="retire: share of the votes that is kept")] = 0.0
        width: Annotated[float, doc(help="sampling: mean width of the intervals, in Elo")] = 16.0
        registry: Annotated[
            Path | None,
            doc(help="sampling: also fair variants, by the registry's providers and licenses"),
        ] = None
        floor: Annotated[
            float, doc(help="sampling: least part of its equal share that a group gets")
        ] = 0.9
        bridges: Annotated[int, doc(help="sparse-graph: battles between the groups")] = 0
        worlds: Annotated[int, doc(help="repetitions; default 5 for rigging, 1, 400, 200")] = 0
        seed: Annotated[int, doc(help="of everything that is drawn")] = 0
        out: Annotated[Path, doc(help="folder for simulate.json")] = Path("runs/simulate")
        force: Annotated[Switch, doc(help="replace what --out holds, once this is complete")] = (
            False
        )

    return SimulateOptions


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect simulate WHAT``."""
    options: Any = parse(options_type(), arguments, "simulate", "Simulate what goes wrong.")
    # Matrices here are small: a second BLAS thread only costs. No effect where numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from polylect.base import InputError, write_json
    from polylect.runs import Files, StepContext

    for name in ("accounts", "votes_each"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(options, name)}", "give 1 up")
    for name, high in (
        ("honest_share", 1.0),
        ("level", 1.0),
        ("keep_share", 0.999),
        ("floor", 1.0),
    ):
        if not 0.0 <= getattr(options, name) <= high:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(options, name)}", "give 0–1")
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
    call = command_call("simulate", 1, options, inputs, write, leave_out=_FILES)
    finish(call, options.out, force=options.force)
    print_lines([*lines, options.out / "simulate.json"])
    return 0


def _counts(options: Any) -> "PairCounts":
    """The votes of the largest group of models with finite ratings on one scale."""
    from polylect.base import InputError, UndecidableError
    from polylect.ranking import identify, read_counts

    if options.votes is None:
        raise InputError(f"{options.what} needs real votes", "add --votes FILE")
    counts = read_counts(options.votes)
    core = identify(counts).largest_core
    if len(core) < 2:
        raise UndecidableError(
            f"{options.votes}: no two models have finite ratings on one scale",
            "collect votes until some model both won and lost",
        )
    return counts.restricted(core)


def _rigging(options: Any) -> tuple[dict[str, Any], list[str]]:
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
    results = simulate_attacks(
        _counts(options),
        attack,
        target_known=not options.unknown,
        num_honest=options.accounts,
        level=options.level,
        num_worlds=options.worlds or 5,
        seed=options.seed,
    )
    lines = ["found  false   rating: honest (interval)        rigged  cleaned   rank"]
    lines += [
        f"{result.found:5.1%}  {result.false_flags:5.2%}  {result.honest_rating:9.1f} "
        f"({result.honest_lower:.1f} … {result.honest_upper:.1f})  {result.rigged_rating:7.1f}"
        f"  {result.cleaned_rating:7.1f}   {result.honest_rank} › {result.rigged_rank} › "
        f"{result.cleaned_rank}"
        for result in results
    ]
    rows = [{**plain(result), "repaired": result.is_repaired} for result in results]
    return {"attack": plain(attack), "target_known": not options.unknown, "replays": rows}, lines


def _sampling(options: Any) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import Registry, compare_sampling_rules
    from polylect.base import InputError, plain

    if not options.width > 0.0:
        raise InputError(f"--width is {options.width}", "give Elo points above 0")
    registry = None if options.registry is None else Registry.read(options.registry)
    comparison = compare_sampling_rules(
        _counts(options), options.width, registry, options.floor, options.seed
    )
    least = comparison.least_share
    lines = [f"no rule needs less than {least:.0%} of uniform's votes (without ties)"]
    for run in comparison.runs:
        votes = "not reached" if run.num_votes is None else f"{run.num_votes:12,.0f} votes"
        parts = "".join(f", {kind} {part:.2f}" for kind, part in run.least_part.items())
        lines.append(f"{run.rule:30} {votes}, error {run.root_mean_square:.1f} Elo{parts}")
    if registry is not None:
        lines.append("(behind the commas: the least part of its equal share that a group got)")
    return {"width": options.width, "least_share": least, "rules": plain(comparison.runs)}, lines


def _retire(options: Any) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import retire
    from polylect.base import InputError, plain

    if not options.target:
        raise InputError("retire needs models", "add --target MODEL [MODEL …]")
    result = retire(_counts(options), options.target, options.keep_share)
    lines = [
        f"{result.votes_lost:,.0f} votes go; {result.num_moved} of {len(result.moves)} models "
        f"change rank; {len(result.lost_pairs)} pairs are not separable any more, "
        f"{len(result.gained_pairs)} newly are"
    ]
    for move in result.moves:
        if move.rank_after != move.rank_before:
            after = "no joint rank" if move.rank_after is None else str(move.rank_after)
            change = "" if move.change is None else f" ({move.change:+.1f} Elo)"
            lines.append(f"  {move.model}: {move.rank_before} › {after}{change}")
    lines += [f"  split off: {', '.join(models)}" for models in result.split_off]
    return plain(result), lines


def _task_mix(options: Any) -> tuple[dict[str, Any], list[str]]:
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


def _sparse_graph(options: Any) -> tuple[dict[str, Any], list[str]]:
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
