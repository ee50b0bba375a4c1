"""Recipe ``search``: the weights of a merge, after "If You Can't Use Them, Recycle Them".

checkpoints → held-out text or tasks → baselines, CMA-ES, NSGA-II, surrogate on one archive → the
merge found and every baseline on data that the search did not see → page. Copy this file, change
it, and run it with ``polylect run FILE.py:search``.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    Seed,
    Threads,
    Verbatim,
    check_settings,
    did_you_mean,
    parse_numbers,
    parse_pairs,
    read_json,
)
from polylect.checkpoints import Checkpoint
from polylect.engine import EngineConfig
from polylect.evals import EvalConfig
from polylect.merging import (
    VOCABULARIES,
    MergeConfig,
    label_models,
    merge_models,
    open_models,
    unify_vocabularies,
    unique_names,
)
from polylect.recipes.merge_search.candidates import Candidates
from polylect.recipes.merge_search.comparisons import (
    SearchComparisonConfig,
    compare_search,
    finalists,
)
from polylect.recipes.merge_search.pools import PoolsConfig, draw_pools
from polylect.recipes.merge_search.scored_text import tag_of, task_languages, tokenized_text
from polylect.recipes.merge_search.steps import (
    ARCHIVE,
    MODEL,
    SEARCHED,
    ExploreConfig,
    FinalsConfig,
    Items,
    explore,
    objective_of,
    score_finals,
)
from polylect.runs import MANIFEST, FileInput, Files, Run, duration, open_artifact
from polylect.search import (
    Archive,
    AspectsConfig,
    CmaConfig,
    FitnessConfig,
    ParetoConfig,
    SurrogateConfig,
    WeightMap,
    check_packages,
)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Options of ``polylect run search``."""

    models: tuple[Path, ...] = ()
    """Folders of the checkpoints, or BASE+ADAPTER for a base with a LoRA adapter."""
    base: Path | None = None
    """The common base model, for methods on task vectors."""
    method: str = "linear"
    """Method of the merges; it must take weights."""
    set: tuple[str, ...] = ()
    """Options of the method, NAME=NUMBER, e.g. density=0.5."""
    text: Path | None = None
    """Folder or file of text to score on. Default: the text that polylect[sample] installs."""
    tasks: tuple[str, ...] = ()
    """Tasks to score on instead of text; one half of their items is searched on."""
    datasets: Path | None = None
    """Folder with one folder per dataset. Default: POLYLECT_DATA."""
    languages: tuple[str, ...] = ()
    """Language tags to search on. Default: all that have text, or that the tasks have."""
    held_out_languages: tuple[str, ...] = ()
    """Language tags that the search never sees and the page shows."""
    bytes_per_language: Count = 20_000
    """Held-out text per language to score on, in bytes."""
    limit: Count | None = None
    """Only the first items per task and language, both halves together. Default: all."""
    average_over: str = "language"
    """What the fitness averages over: language or task."""
    groups: Annotated[tuple[str, ...], Verbatim()] = ()
    """Aspects that average several languages or tasks, NAME=TAG,TAG: axes of the Pareto front."""
    fitness: str = "mean"
    """Fitness over the aspects: mean, min, weighted, or constrained."""
    fitness_weights: tuple[str, ...] = ()
    """Weights of a weighted fitness, ASPECT=NUMBER."""
    maximize: str = ""
    """Aspect that a constrained fitness maximizes. Default: the mean of all."""
    bounds: tuple[str, ...] = ()
    """Bounds of a constrained fitness, ASPECT=NUMBER: the worst allowed, in the metric's unit."""
    normalize_aspects: bool = False
    """Scale every aspect to the range of the single checkpoints before averaging."""
    map: str = "softmax"
    """Map from search space to weights: softmax, abs, or signed (weights may be negative)."""
    evaluations: Count = 200
    """Merges that CMA-ES may evaluate."""
    pareto_evaluations: CountOrZero = 100
    """Merges that NSGA-II may evaluate; 0: do not run it."""
    surrogate_rounds: CountOrZero = 3
    """Rounds of a surrogate model of the scores, four merges each; 0: do not run it."""
    pool_sizes: tuple[CountOrZero, ...] = (2, 4, 8)
    """Repeat the search on random parts of the pool of these sizes; 0: do not."""
    pool_draws: CountOrZero = 2
    """Parts drawn per size."""
    pool_evaluations: Count = 24
    """Merges that CMA-ES may evaluate in each part."""
    vocabulary: str = "same"
    """Models with different tokenizers: same refuses them, union extends all to the union first."""
    written: bool = False
    """Write every candidate to a file, for architectures that cannot be changed in memory."""
    threads: Threads = 1
    """CPU threads of each scoring; results depend on their number."""
    seed: Seed = 0
    """Seed of the search and the bootstrap."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Ready:
    """What is known before the search: the inputs and configuration of its steps."""

    inputs: dict[str, FileInput]
    explore: ExploreConfig
    finals: Items
    held_out: tuple[str, ...]


def search(run: Run, config: SearchConfig) -> None:
    """Merge weights searched on one part of the data and reported on another.

    Examples:
        polylect run search --models a b c --base base --text pool.jsonl --dry-run
        polylect run search --models a b c --text pool.jsonl --fitness worst --evaluations 60
        polylect run search --models a b --tasks xcopa --languages et,ht --out runs/search-xcopa
    """
    ready = prepare(run, config)
    run.announce(["search"], ["finals"], ["merged"], ["verdicts"])
    explored = run.step(explore, "search", ready.explore, ready.inputs)
    archive = Archive.read(explored.path / ARCHIVE)
    weights = finalists(read_json(explored.path / "search.json"), archive)
    scores = run.step(
        score_finals,
        "finals",
        FinalsConfig(merge=ready.explore.merge, items=ready.finals, weights=weights),
        ready.inputs,
    )
    models = {name.removeprefix(MODEL): model for name, model in ready.inputs.items()
              if name.startswith(MODEL)}  # fmt: skip
    merged = _weighted(ready.explore.merge, models, weights[SEARCHED])
    run.step(merge_models, "merged", merged, models)
    run.step(
        compare_search,
        "verdicts",
        SearchComparisonConfig(
            languages=ready.explore.items.languages, held_out=ready.held_out, seed=config.seed
        ),
        {"search": explored, "scores": scores},
    )
    draw(run)


def search_plan(run: Run, config: SearchConfig) -> str:
    """Models, items, evaluations and time; the time is measured on one evaluation."""
    ready = prepare(run, config)
    objective = objective_of(ready.explore.merge, ready.explore.items, ready.inputs, test=False)
    candidates = objective.pool.candidates()
    num = len(candidates.labels)
    uniform = (1.0 / num,) * num
    table = objective(uniform)  # loads the model
    started = time.perf_counter()
    objective(uniform)
    seconds = time.perf_counter() - started
    budget = ready.explore
    total = 2 * num + 4 + budget.cma.num_evaluations + budget.pareto.num_evaluations
    total += budget.surrogate.num_rounds * budget.surrogate.batch + num + 5
    total += len(draw_pools(num, budget.pools)) * (1 + budget.pools.num_evaluations)
    parameters = Checkpoint.open(objective.pool.first).num_parameters
    rows = table.by("task", "language")
    return "\n".join(
        [
            f"{num} checkpoints of {parameters:,} parameters: {', '.join(candidates.labels)}",
            *[f"{row['task']} {row['language']}: {row['items']:,} items"
              for row in rows.iter_rows(named=True)],
            f"held out: {' '.join(ready.held_out) or 'nothing'}",
            f"merges: about {total}, {seconds:.1f} s each (measured)",
            f"time: about {duration(total * seconds / run.num_workers)} with {run.num_workers}"
            " workers, and as many loaded models",
        ]
    )  # fmt: skip


def prepare(run: Run, config: SearchConfig) -> Ready:
    """Check the configuration, and read the text.

    Raises:
        InputError: too few models, an unknown name, or both text and tasks.
    """
    paths = [*([config.base] if config.base else []), *config.models]
    if len(config.models) < 2:
        raise InputError(
            f"search: {len(config.models)} models", "polylect run search --models A B C --text DIR"
        )
    if config.tasks and config.text:
        raise InputError("search: both text and tasks", "give --text or --tasks")
    check_packages()
    models = _models(run, config, paths)
    merge = MergeConfig(
        method=config.method,
        options=parse_numbers("set", config.set),
        base=next(iter(models)) if config.base else None,
        seed=config.seed,
    )
    # What can be checked without the text is checked before it is read.
    Candidates(merge, models)
    WeightMap(config.map, len(config.models))
    groups = {
        name: tuple(text.split(",")) for name, text in parse_pairs("groups", config.groups).items()
    }
    AspectsConfig(by=config.average_over, groups=groups)
    fitness = FitnessConfig(
        kind=config.fitness,
        weights=parse_numbers("fitness-weights", config.fitness_weights),
        maximize=config.maximize,
        bounds=parse_numbers("bounds", config.bounds),
        scale=config.normalize_aspects,
    )
    cma = CmaConfig(num_evaluations=config.evaluations, seed=config.seed)
    held_out = tuple(tag_of(tag, "--held-out-languages") for tag in config.held_out_languages)
    inputs: dict[str, FileInput] = {
        MODEL + label: Files(model.path) for label, model in models.items()
    }
    if config.tasks:
        languages = task_languages(config.tasks, config.languages, held_out)
    else:
        model = next(iter(models.values()))
        tokens, languages = tokenized_text(run, config.text, config.languages, model, held_out)
        inputs["tokens"] = tokens
    exploring = ExploreConfig(
        merge=merge,
        items=_items(config, languages),
        by=config.average_over,
        groups=groups,
        fitness=fitness,
        map=config.map,
        cma=cma,
        pareto=ParetoConfig(num_evaluations=config.pareto_evaluations, seed=config.seed),
        surrogate=SurrogateConfig(num_rounds=config.surrogate_rounds, seed=config.seed),
        pools=PoolsConfig(
            sizes=tuple(size for size in config.pool_sizes if size),
            num_draws=config.pool_draws,
            num_evaluations=config.pool_evaluations,
            seed=config.seed,
        ),
    )
    return Ready(inputs, exploring, _items(config, (*languages, *held_out)), held_out)


def _models(run: Run, config: SearchConfig, paths: Sequence[Path]) -> dict[str, Checkpoint]:
    """The checkpoints by label, adapters merged into their base, with one vocabulary if asked for.

    Checkpoints made for that are kept in the run's folder, below ``inputs``.

    Raises:
        InputError: a model cannot be opened, or the vocabularies cannot be unified.
    """
    folder = run.root.parent / "inputs"
    models = label_models(open_models(paths, folder / "adapters"), _labels(paths))
    if config.vocabulary not in VOCABULARIES:
        hint = did_you_mean(config.vocabulary, VOCABULARIES)
        raise InputError(f"--vocabulary {config.vocabulary}", hint or "choose same or union")
    if config.vocabulary == "union":
        models, _ = unify_vocabularies(models, next(iter(models)), folder / "vocabulary")
    return models


def _labels(paths: Sequence[Path]) -> list[str]:
    """Unique names of the models: the label of the step that made it, else its folder's name."""
    names = [
        open_artifact(path).label if (path / MANIFEST).is_file() else path.resolve().name
        for path in paths
    ]
    return unique_names(names)


def _items(config: SearchConfig, languages: tuple[str, ...]) -> Items:
    tasks = EvalConfig(
        name="candidate",
        tasks=config.tasks,
        languages=languages,
        limit=config.limit,
        data=config.datasets,
        engine=EngineConfig(threads=config.threads),
    )
    return Items(
        languages=languages,
        bytes_per_language=config.bytes_per_language,
        tasks=tasks if config.tasks else None,
        threads=config.threads,
        written=config.written,
    )


def _weighted(
    merge: MergeConfig, models: Mapping[str, FileInput], weights: Sequence[float]
) -> MergeConfig:
    labels = [label for label in models if label != merge.base]
    options = {label: {"weight": weight} for label, weight in zip(labels, weights, strict=True)}
    return replace(merge, model_options=options)


def draw(run: Run) -> None:
    """Write the page, and finish the run."""
    from polylect.report import write_search_page

    run.finish(["index.html"])
    write_search_page(run.path, "index.html")
