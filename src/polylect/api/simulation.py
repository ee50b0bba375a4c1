"""``simulate``: attacks, holes and sampling rules, on real counts or on the paper's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from polylect.api.fields import Group, Output, Positional, Switch
from polylect.api.results import Plan, Result, run_call, settings_of
from polylect.api.verbs import verb
from polylect.base import (
    Count,
    CountOrZero,
    Positive,
    Range,
    Seed,
    Share,
    UndecidableError,
    one_blas_thread,
    plain,
    read_json,
    write_json,
)

if TYPE_CHECKING:
    import polars

    from polylect.ranking import PairCounts
    from polylect.runs import StepContext

_FILE = "simulate.json"
_ROWS = {"rigging": "replays", "sampling": "rules", "retire": "moves"}
"""What is a row of the table, by simulation; the others are one row."""


@dataclass(frozen=True, kw_only=True)
class RiggingOptions:
    """Simulate voters who push a model, and what a detector finds of them.

    Replays on real votes. Writes simulate.json.

    Examples:
        polylect simulate rigging votes.parquet --target my-model
        polylect simulate rigging votes.parquet --target my-model --attack random --accounts 200
        polylect simulate rigging votes.parquet --target my-model --rivals 3 --unknown --json
    """

    votes: Positional[Path]
    """Votes to replay on, as for 'polylect rank'."""
    target: str
    """The model to push."""
    attack: Literal["omnipresent", "target-only", "random"] = "omnipresent"
    """How the riggers vote."""
    accounts: Count = 1000
    """Number of riggers, and of honest accounts beside them."""
    votes_each: Count = 20
    """Votes of each account."""
    honest_share: Share = 0.0
    """Fraction of a rigger's votes that are honest."""
    rivals: CountOrZero = 0
    """Number of models above the target that it should overtake; 0 raises its rating."""
    unknown: Switch = False
    """The detector does not know the target."""
    false_flags: Share = 0.01
    """Rate of honest accounts that may be flagged."""
    worlds: Count = 5
    """Number of repetitions."""
    seed: Seed = 0
    """Seed of the simulation."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Simulate rules that choose which models battle: how many votes each needs.

    Replays on real votes. Writes simulate.json.

    Examples:
        polylect simulate sampling votes.parquet
        polylect simulate sampling votes.parquet --width 10
        polylect simulate sampling votes.parquet --registry models.json --floor 0.8
    """

    votes: Positional[Path]
    """Votes to replay on, as for 'polylect rank'."""
    width: Positive = 16.0
    """Mean width of the intervals to reach, in Elo points."""
    registry: Path | None = None
    """Models and private variants, as for 'polylect audit'; adds fair variants by its providers and
    licenses."""
    floor: Share = 0.9
    """Least fraction of an equal share of the votes that a license or provider must get."""
    seed: Seed = 0
    """Seed of the simulation."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class RetireOptions:
    """Simulate a board without some of its models: whose rank changes.

    Replays on real votes. Writes simulate.json.

    Examples:
        polylect simulate retire votes.parquet --targets old-model
        polylect simulate retire votes.parquet --targets old-model other-model
        polylect simulate retire votes.parquet --targets old-model --keep-share 0.1
    """

    votes: Positional[Path]
    """Votes to replay on, as for 'polylect rank'."""
    targets: tuple[str, ...]
    """The models to remove."""
    keep_share: Annotated[float, Range(0, below=1)] = 0.0
    """Fraction of the votes on the removed models that is kept."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class TaskMixOptions:
    """Simulate models that are retired from one task of two: the paper's example.

    Writes simulate.json.

    Examples:
        polylect simulate task-mix
        polylect simulate task-mix --worlds 1000 --seed 1
        polylect simulate task-mix --json
    """

    worlds: Count = 400
    """Number of repetitions."""
    seed: Seed = 0
    """Seed of the simulation."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class SparseGraphOptions:
    """Simulate a board whose groups of models hardly ever battle: the paper's example.

    Writes simulate.json.

    Examples:
        polylect simulate sparse-graph
        polylect simulate sparse-graph --bridges 5
        polylect simulate sparse-graph --worlds 1000 --json
    """

    bridges: CountOrZero = 0
    """Number of battles between the groups."""
    worlds: Count = 200
    """Number of repetitions."""
    seed: Seed = 0
    """Seed of the simulation."""
    output: Group[Output] = field(default_factory=Output)


class SimulationResult(Result):
    """What a simulation gave."""

    @cached_property
    def simulation(self) -> Mapping[str, Any]:
        """The value of simulate.json."""
        return read_json(self.path / _FILE)

    def table(self) -> "polars.DataFrame":
        """A row per repetition (rigging), rule (sampling) or model (retire), or one in all."""
        import polars

        rows = self.simulation.get(_ROWS.get(self.simulation["simulation"], ""))
        if rows is None:
            left_out = ("simulation", "summary")
            rows = [{key: x for key, x in self.simulation.items() if key not in left_out}]
        return polars.DataFrame(rows, infer_schema_length=None)

    def lines(self) -> list[str]:
        """The result in words."""
        return [*self.simulation.get("summary", []), str(self.path / _FILE)]


@verb("simulate rigging", RiggingOptions, name="simulate.rigging")
def simulate_rigging(options: RiggingOptions) -> SimulationResult | Plan:
    """Simulate voters who push a model, and what a detector finds of them.

    pl.simulate.rigging("votes.parquet", target="my-model").table()
    """
    return _simulate("rigging", options, _rigging)


@verb("simulate sampling", SamplingOptions, name="simulate.sampling")
def simulate_sampling(options: SamplingOptions) -> SimulationResult | Plan:
    """Simulate rules that choose which models battle: how many votes each needs.

    pl.simulate.sampling("votes.parquet", width=10).table()
    """
    return _simulate("sampling", options, _sampling)


@verb("simulate retire", RetireOptions, name="simulate.retire")
def simulate_retire(options: RetireOptions) -> SimulationResult | Plan:
    """Simulate a board without some of its models: whose rank changes.

    pl.simulate.retire("votes.parquet", targets=["old-model"]).table()
    """
    return _simulate("retire", options, _retire)


@verb("simulate task-mix", TaskMixOptions, name="simulate.task_mix")
def simulate_task_mix(options: TaskMixOptions) -> SimulationResult | Plan:
    """Simulate models that are retired from one task of two: pl.simulate.task_mix(worlds=999)."""
    return _simulate("task-mix", options, _task_mix)


@verb("simulate sparse-graph", SparseGraphOptions, name="simulate.sparse_graph")
def simulate_sparse_graph(options: SparseGraphOptions) -> SimulationResult | Plan:
    """Simulate groups of models that hardly ever battle: pl.simulate.sparse_graph(bridges=5)."""
    return _simulate("sparse-graph", options, _sparse_graph)


def _simulate(
    what: str, options: Any, simulation: Callable[[Any], tuple[dict[str, Any], list[str]]]
) -> SimulationResult | Plan:
    from polylect.runs import Call, Files, Step

    def write(_: object, inputs: object, context: "StepContext") -> None:
        with one_blas_thread():
            value, lines = simulation(options)
        write_json(context.out / _FILE, {"simulation": what, **value, "summary": lines})

    def plan(out: Path) -> list[str]:
        if hasattr(options, "votes"):
            _counts(options.votes, _targets(options))
        return [f"would simulate {what}", f"would write {_FILE} into {out}"]

    files = {name: getattr(options, name, None) for name in ("votes", "registry")}
    inputs = {name: Files(path) for name, path in files.items() if path is not None}
    settings = {"what": what, **settings_of(options, list(files))}
    call = Call(Step("polylect simulate", 5, write), "simulate", settings, inputs)
    return run_call(call, options.output, "simulate", SimulationResult, plan)


def _targets(options: Any) -> Sequence[str]:
    """The models that a simulation names."""
    return getattr(options, "targets", None) or list(filter(None, [getattr(options, "target", "")]))


def _counts(
    file: Path, targets: Sequence[str] = ()
) -> tuple["PairCounts", dict[str, Any], list[str]]:
    """The votes of the largest group of models with finite ratings on one scale.

    Returns them with what was left out of them, for the result and as lines to print.
    """
    from polylect.ranking import identify, read_counts

    counts = read_counts(file)
    core = identify(counts).largest_core
    for name in targets:
        counts.position(name)  # a name that no vote has
        if name not in core:
            raise UndecidableError(
                f"{file}: {name!r} has no finite rating on the scale of the largest group"
                f" ({len(core)} of {len(counts.models)} models)",
                f"choose one of them, e.g. --target {core[0]}" if core else "collect more votes",
            )
    if len(core) < 2:
        raise UndecidableError(
            f"{file}: no two models have finite ratings on one scale",
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


def _rigging(options: RiggingOptions) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import Attack, simulate_attacks

    attack = Attack(
        target=options.target,
        kind=options.attack,
        rivals=options.rivals,
        num_accounts=options.accounts,
        votes_per_account=options.votes_each,
        honest_share=options.honest_share,
    )
    counts, votes, before = _counts(options.votes, [options.target])
    results = simulate_attacks(
        counts,
        attack,
        target_known=not options.unknown,
        num_honest=options.accounts,
        level=options.false_flags,
        num_worlds=options.worlds,
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


def _sampling(options: SamplingOptions) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import Registry, compare_sampling_rules

    registry = None if options.registry is None else Registry.read(options.registry)
    counts, votes, before = _counts(options.votes)
    comparison = compare_sampling_rules(
        counts, options.width, registry, options.floor, options.seed
    )
    least = comparison.least_share
    lines = [*before, f"no rule needs less than {least:.0%} of uniform's votes (without ties)"]
    for run in comparison.runs:
        needed = "not reached" if run.num_votes is None else f"{run.num_votes:12,.0f} votes"
        parts = "".join(f", {kind} {part:.2f}" for kind, part in run.least_part.items())
        lines.append(f"{run.rule:30} {needed}, error {run.root_mean_square:.1f} Elo{parts}")
    if registry is not None:
        lines.append("(behind the commas: the least part of its equal share that a group got)")
    value = {"width": options.width, "least_share": least, "rules": plain(comparison.runs)}
    return value | {"replayed_on": votes}, lines


def _retire(options: RetireOptions) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import retire

    counts, votes, before = _counts(options.votes, options.targets)
    result = retire(counts, options.targets, options.keep_share)
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


def _task_mix(options: TaskMixOptions) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import task_mix

    result = task_mix(num_worlds=options.worlds, seed=options.seed)
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


def _sparse_graph(options: SparseGraphOptions) -> tuple[dict[str, Any], list[str]]:
    from polylect.auditing import SparseGraph, sparse_graph

    result = sparse_graph(
        SparseGraph.of_paper(options.bridges),
        num_worlds=options.worlds,
        seed=options.seed,
    )
    lines = [
        f"dense graph:  exact order in {result.dense_exact:.0%}, mean τ {result.dense_tau:.2f}",
        f"with a hole:  exact order in {result.sparse_exact:.0%}, τ {result.sparse_tau:.2f} where "
        f"a solver prints one anyway; a joint rank is refused in {result.refused:.0%}",
        f"inside groups the order is right in {result.within_exact:.0%}",
    ]
    return plain(result), lines
