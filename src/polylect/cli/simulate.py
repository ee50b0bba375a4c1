"""``polylect simulate``: attacks, holes and sampling rules, on real counts or on the paper's."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from polylect.cli.options import parse


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

    return SimulateOptions


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect simulate WHAT``."""
    options: Any = parse(options_type(), arguments, "simulate", "Simulate what goes wrong.")
    # Matrices here are small: a second BLAS thread only costs. No effect where numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from polylect.base import InputError, write_json

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
    value, lines = runs[options.what](options)
    write_json(options.out / "simulate.json", {"simulation": options.what, **value})
    sys.stdout.write("\n".join([*lines, str(options.out / "simulate.json")]) + "\n")
    return 0


def _counts(options: Any) -> Any:
    from polylect.base import InputError, UndecidableError
    from polylect.ranking import identify, read_counts

    if options.votes is None:
        raise InputError(f"{options.what} needs real votes", "add --votes FILE")
    counts = read_counts(options.votes)
    found = identify(counts)
    core = max(found.cores, key=len, default=())
    if len(core) < 2:
        raise UndecidableError(
            f"{options.votes}: no two models have finite ratings on one scale",
            "collect votes until some model both won and lost",
        )
    return counts.restricted(core)


def _rigging(options: Any) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import Attack, SimulatedArena, directed_test, simulate_attack
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
    arena = SimulatedArena(_counts(options))
    arena.fit.position(attack.target)
    known = None if options.unknown else attack.target
    rows = []
    for world in range(options.worlds or 5):
        found = simulate_attack(
            arena,
            attack,
            lambda board: directed_test(board.votes, board.fit, known, num_draws=1999),
            num_honest=options.accounts,
            level=options.level,
            seed=options.seed + world,
        )
        rows.append({**plain(found), "repaired": found.is_repaired})
    lines = ["found  false   rating: honest (interval)        rigged  cleaned   rank"]
    for one in rows:
        lines.append(
            f"{one['found']:5.1%}  {one['false_flags']:5.2%}  {one['honest_rating']:9.1f} "
            f"({one['honest_lower']:.1f} … {one['honest_upper']:.1f})  {one['rigged_rating']:7.1f}"
            f"  {one['cleaned_rating']:7.1f}   {one['honest_rank']} › {one['rigged_rank']} › "
            f"{one['cleaned_rank']}"
        )
    return {"attack": plain(attack), "target_known": known is not None, "replays": rows}, lines


def _sampling(options: Any) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import (
        Registry,
        Rule,
        active_rule,
        best_design,
        fair_rule,
        pair_state,
        rating_rule,
        simulate_sampling,
        uniform_rule,
    )
    from polylect.base import InputError, plain
    from polylect.ranking import fit_bradley_terry

    if not options.width > 0.0:
        raise InputError(f"--width is {options.width}", "give Elo points above 0")
    counts = _counts(options)
    strength = fit_bradley_terry(counts).strength
    shares = counts.shares()
    recorded = pair_state(counts).votes / counts.num_votes
    rules: dict[str, Rule] = {
        "uniform": uniform_rule,
        "recorded shares": lambda _: recorded,
        "active (win matrix)": active_rule,
        "active (ratings)": rating_rule,
    }
    partitions: dict[str, list[str]] = {}
    if options.registry is not None:
        registry = Registry.read(options.registry)
        kinds = ("provider", "license")
        partitions = {kind: registry.group(kind, counts.models) for kind in kinds}
        for name in list(rules)[1:]:
            fair = fair_rule(rules[name], partitions, options.floor)
            rules[f"{name}, fair {options.floor:g}"] = fair
    least = best_design(strength)[1]
    runs, lines = [], [f"no rule needs less than {least:.0%} of uniform's votes (without ties)"]
    for name, rule in rules.items():
        run = simulate_sampling(
            strength,
            rule,
            options.width,
            name=name,
            tie_share=shares["tie"] + shares["both_bad"],
            partitions=partitions,
            seed=options.seed,
        )
        runs.append(plain(run))
        votes = "not reached" if run.num_votes is None else f"{run.num_votes:12,.0f} votes"
        parts = "".join(f", {kind} {part:.2f}" for kind, part in run.least_part.items())
        lines.append(f"{name:30} {votes}, error {run.root_mean_square:.1f} Elo{parts}")
    if partitions:
        lines.append("(behind the commas: the least part of its equal share that a group got)")
    return {"width": options.width, "least_share": least, "rules": runs}, lines


def _retire(options: Any) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import retire
    from polylect.base import InputError, plain

    if not options.target:
        raise InputError("retire needs models", "add --target MODEL [MODEL …]")
    found = retire(_counts(options), options.target, options.keep_share)
    lines = [
        f"{found.votes_lost:,.0f} votes go; {found.num_moved} of {len(found.moves)} models change "
        f"rank; {len(found.lost_pairs)} pairs are not separable any more, "
        f"{len(found.gained_pairs)} newly are"
    ]
    for one in found.moves:
        if one.rank_after != one.rank_before:
            after = "no joint rank" if one.rank_after is None else str(one.rank_after)
            change = "" if one.change is None else f" ({one.change:+.1f} Elo)"
            lines.append(f"  {one.model}: {one.rank_before} › {after}{change}")
    lines += [f"  split off: {', '.join(one)}" for one in found.split_off]
    return plain(found), lines


def _task_mix(options: Any) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import task_mix
    from polylect.base import plain

    found = task_mix(num_worlds=options.worlds or 400, seed=options.seed)
    lines = [
        f"true order {' '.join(found.truth)}",
        f"pooled, all stay:       {' '.join(found.with_all)} (true in {found.truth_with_all:.0%})",
        f"pooled, one retired:    {' '.join(found.with_retired)} "
        f"(true in {found.truth_with_retired:.0%})",
        f"stratified by task:     right in {found.truth_stratified:.0%} for those in both tasks; "
        f"no joint rank for {', '.join(found.unplaced)}",
        f"the drift test warns in {found.warned:.0%}",
    ]
    return plain(found), lines


def _sparse_graph(options: Any) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import SparseGraph, sparse_graph
    from polylect.base import plain

    found = sparse_graph(
        SparseGraph.of_paper(options.bridges),
        num_worlds=options.worlds or 200,
        seed=options.seed,
    )
    lines = [
        f"dense graph:  exact order in {found.dense_exact:.0%}, mean τ {found.dense_tau:.2f}",
        f"with a hole:  exact order in {found.sparse_exact:.0%}, τ {found.sparse_tau:.2f} where a "
        f"solver prints one anyway; a joint rank is refused in {found.refused:.0%}",
        f"inside groups the order is right in {found.within_exact:.0%}",
    ]
    return plain(found), lines
