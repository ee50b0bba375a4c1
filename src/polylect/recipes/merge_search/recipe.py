"""Searching the weights of a merge, after "If You Can't Use Them, Recycle Them".

checkpoints → held-out text or tasks → baselines, CMA-ES, NSGA-II, surrogate on one archive → the
found merge and every baseline on what the search did not see → page. Copy this file, change it, and
run it with ``polylect run FILE.py:search``.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polylect.base import CODE, InputError, did_you_mean, language, numbers, pairs, read_json
from polylect.checkpoints import Checkpoint
from polylect.engine import EngineConfig
from polylect.evals import EvalConfig, find_task
from polylect.merging import (
    VOCABULARIES,
    MergeConfig,
    label_models,
    merge_models,
    on_one_vocabulary,
    open_models,
    unique_names,
)
from polylect.mixtures import (
    CatalogSource,
    CollectConfig,
    FolderSource,
    StandardLibrary,
    TokenizeConfig,
    TokenStore,
    collect_text,
    tokenize_text,
)
from polylect.recipes.merge_search.candidates import Candidates
from polylect.recipes.merge_search.comparisons import VerdictsConfig, compare_search, finalists
from polylect.recipes.merge_search.pools import PoolsConfig, draw_pools
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
from polylect.rows import Split
from polylect.runs import MANIFEST, Artifact, Files, Run, duration, open_artifact
from polylect.search import (
    Archive,
    AspectsConfig,
    CmaConfig,
    FitnessConfig,
    ParetoConfig,
    SurrogateConfig,
    WeightMap,
)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What a search of merge weights can be asked."""

    models: tuple[Path, ...] = ()
    """Folders of the checkpoints to merge, or BASE+ADAPTER for a base with a LoRA adapter."""
    base: Path | None = None
    """What they were trained from, for methods that take differences."""
    method: str = "linear"
    """A merge method that takes weights."""
    set: tuple[str, ...] = ()
    """Options of the method, NAME=NUMBER, e.g. density=0.5."""
    text: Path | None = None
    """Folder or file of text to score on; default: the sample that the package install brings."""
    tasks: tuple[str, ...] = ()
    """Tasks to score on, in place of text: one half of their items is searched on."""
    data: Path | None = None
    """Folder that holds the tasks' data."""
    languages: tuple[str, ...] = ()
    """Tags to search on; default: all that there is text for, or that the tasks have."""
    held_out: tuple[str, ...] = ()
    """Tags that the search never sees, and the page shows."""
    bytes_per_language: int = 20_000
    """Held-out text that scores each language."""
    limit: int | None = None
    """Items per task and language, both halves together; default: all."""
    by: str = "language"
    """What the fitness is an average of: language or task."""
    groups: tuple[str, ...] = ()
    """Aspects that are means of several, NAME=TAG,TAG; they are the axes of the Pareto front."""
    fitness: str = "mean"
    """mean, min, weighted, or constrained."""
    fitness_weights: tuple[str, ...] = ()
    """For weighted: ASPECT=NUMBER."""
    maximize: str = ""
    """For constrained: the aspect; default: the mean of all."""
    bounds: tuple[str, ...] = ()
    """For constrained: ASPECT=NUMBER in the metric's unit; the worst that is allowed."""
    scale: bool = False
    """Put every aspect on the range of the single checkpoints before averaging."""
    map: str = "softmax"
    """softmax, abs, or signed (weights may be negative)."""
    evaluations: int = 200
    """Merges that CMA-ES may ask for."""
    pareto_evaluations: int = 100
    """Merges that NSGA-II may ask for; 0 leaves it out."""
    surrogate_rounds: int = 3
    """Rounds of a model of the scores, four merges each; 0 leaves it out."""
    pool_sizes: tuple[int, ...] = (2, 4, 8)
    """The search again on drawn parts of the pool of these sizes; 0 leaves it out."""
    pool_draws: int = 2
    """Parts of each size."""
    pool_evaluations: int = 24
    """Merges that CMA-ES may ask for in each part."""
    vocabulary: str = "same"
    """same: refuse models with other tokenizers. union: bring them onto one vocabulary first."""
    written: bool = False
    """Write every candidate to a file, for architectures that cannot be changed in memory."""
    threads: int = 1
    """Torch threads of each scoring; sums, and so the archive, depend on it."""
    seed: int = 0
    """Of all draws."""


@dataclass(frozen=True)
class Ready:
    """What is known before the search: the inputs of its steps, and their configuration."""

    inputs: dict[str, Any]
    explore: ExploreConfig
    finals: Items
    held_out: tuple[str, ...]


def search(run: Run, config: SearchConfig) -> None:
    """The weights of a merge, searched on one part of the data and shown on another."""
    ready = prepare(run, config)
    found = run.step(explore, "search", ready.explore, ready.inputs)
    weights = finalists(read_json(found.path / "search.json"), Archive.read(found.path / ARCHIVE))
    scores = run.step(
        score_finals,
        "finals",
        FinalsConfig(merge=ready.explore.merge, items=ready.finals, weights=weights),
        ready.inputs,
    )
    models = {name.removeprefix(MODEL): one for name, one in ready.inputs.items()
              if name.startswith(MODEL)}  # fmt: skip
    merged = _weighted(ready.explore.merge, models, weights[SEARCHED])
    run.step(merge_models, "merged", merged, models)
    seen = ready.explore.items.languages
    run.step(
        compare_search,
        "verdicts",
        VerdictsConfig(languages=seen, held_out=ready.held_out, seed=config.seed),
        {"search": found, "scores": scores},
    )
    draw(run)


def search_plan(run: Run, config: SearchConfig) -> str:
    """Models, items, evaluations and time, from one evaluation that is run for real."""
    ready = prepare(run, config)
    objective = objective_of(ready.explore.merge, ready.explore.items, ready.inputs, test=False)
    candidates = objective.pool.candidates()
    num = len(candidates.labels)
    even = (1.0 / num,) * num
    table = objective(even)  # loads the model
    started = time.perf_counter()
    objective(even)
    seconds = time.perf_counter() - started
    one = ready.explore
    total = 2 * num + 4 + one.cma.num_evaluations + one.pareto.num_evaluations
    total += one.surrogate.num_rounds * one.surrogate.batch + num + 5
    total += len(draw_pools(num, one.pools)) * (1 + one.pools.num_evaluations)
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
        InputError: too few models, an unknown name, text and tasks at once.
    """
    paths = [*([config.base] if config.base else []), *config.models]
    if len(config.models) < 2:
        raise InputError(
            f"search: {len(config.models)} models", "polylect run search --models A B C --text DIR"
        )
    if config.tasks and config.text:
        raise InputError("search: both text and tasks", "give --text or --tasks")
    models = _models(run, config, paths)
    merge = MergeConfig(
        method=config.method,
        options=numbers("set", config.set),
        base=next(iter(models)) if config.base else None,
        seed=config.seed,
    )
    # What needs no text is refused before any is read.
    Candidates(merge, models)
    WeightMap(config.map, len(config.models))
    groups = {name: tuple(text.split(",")) for name, text in pairs("groups", config.groups)}
    AspectsConfig(by=config.by, groups=groups)
    fitness = FitnessConfig(
        kind=config.fitness,
        weights=numbers("fitness-weights", config.fitness_weights),
        maximize=config.maximize,
        bounds=numbers("bounds", config.bounds),
        scale=config.scale,
    )
    cma = CmaConfig(num_evaluations=config.evaluations, seed=config.seed)
    held_out = tuple(_tag(one, "--held-out") for one in config.held_out)
    inputs: dict[str, Any] = {MODEL + label: Files(one.path) for label, one in models.items()}
    if config.tasks:
        languages = _task_languages(config, held_out)
    else:
        tokens, languages = _text(run, config, next(iter(models.values())), held_out)
        inputs["tokens"] = tokens
    explored = ExploreConfig(
        merge=merge,
        items=_items(config, languages),
        by=config.by,
        groups=groups,
        fitness=fitness,
        map=config.map,
        cma=cma,
        pareto=ParetoConfig(num_evaluations=config.pareto_evaluations, seed=config.seed),
        surrogate=SurrogateConfig(num_rounds=config.surrogate_rounds, seed=config.seed),
        pools=PoolsConfig(
            sizes=tuple(one for one in config.pool_sizes if one),
            num_draws=config.pool_draws,
            num_evaluations=config.pool_evaluations,
            seed=config.seed,
        ),
    )
    return Ready(inputs, explored, _items(config, (*languages, *held_out)), held_out)


def _models(run: Run, config: SearchConfig, paths: Sequence[Path]) -> dict[str, Checkpoint]:
    """The checkpoints by label; adapters are merged into their base, vocabularies brought together.

    What has to be made for that lies in the run's folder, below ``inputs``.

    Raises:
        InputError: a model cannot be opened, or their vocabularies not be brought together.
    """
    folder = run.root.parent / "inputs"
    models = label_models(open_models(paths, folder / "adapters"), _labels(paths))
    if config.vocabulary not in VOCABULARIES:
        hint = did_you_mean(config.vocabulary, VOCABULARIES)
        raise InputError(f"--vocabulary {config.vocabulary}", hint or "choose same or union")
    if config.vocabulary == "union":
        models, _ = on_one_vocabulary(models, next(iter(models)), folder / "vocabulary")
    return models


def _labels(paths: Sequence[Path]) -> list[str]:
    """What the models are called: by the label of the step that made one, else by its folder."""
    names = [
        open_artifact(path).label if (path / MANIFEST).is_file() else path.resolve().name
        for path in paths
    ]
    return unique_names(names)


def _tag(name: str, where: str) -> str:
    """The tag of a language, or code."""
    return name if name == CODE.tag else language(name, where).tag


def _items(config: SearchConfig, languages: tuple[str, ...]) -> Items:
    tasks = EvalConfig(
        name="candidate",
        tasks=config.tasks,
        languages=languages,
        limit=config.limit,
        data=config.data,
        engine=EngineConfig(threads=config.threads),
    )
    return Items(
        languages=languages,
        bytes_per_language=config.bytes_per_language,
        tasks=tasks if config.tasks else None,
        threads=config.threads,
        written=config.written,
    )


def _task_languages(config: SearchConfig, held_out: Sequence[str]) -> tuple[str, ...]:
    """Those asked for, else all that a task has; without the held-out ones."""
    there = dict.fromkeys(tag for one in config.tasks for tag in find_task(one).languages)
    asked = [_tag(one, "--languages") for one in config.languages]
    return _without(asked or list(there), held_out, list(there))


def _text(
    run: Run, config: SearchConfig, model: Checkpoint, held_out: Sequence[str]
) -> tuple[Artifact, tuple[str, ...]]:
    """The text by the tokenizer of the models, and its languages without the held-out ones.

    The split is that of a lifecycle with seed 0, so that what its models were trained on is not
    scored here.
    """
    sources = [FolderSource(config.text)] if config.text else [CatalogSource(), StandardLibrary()]
    asked = tuple(_tag(one, "--languages") for one in config.languages)
    corpus = run.step(
        collect_text,
        "text",
        CollectConfig(languages=(*asked, *held_out) if asked else ()),
        {source.name: source for source in sources},
    )
    tokens = run.step(
        tokenize_text,
        "tokens",
        TokenizeConfig(),
        {"corpus": corpus, "tokenizer": TokenizerInput(model.path, model.tokenizer_digest)},
    )
    there = TokenStore(tokens.path, Split.VALIDATION).documents["language"].unique().sort()
    return tokens, _without(list(asked) or there.to_list(), held_out, there.to_list())


def _without(
    asked: Sequence[str], held_out: Sequence[str], there: Sequence[str]
) -> tuple[str, ...]:
    """The languages to search on.

    Raises:
        InputError: a held-out language that there is none of, or nothing is left.
    """
    for tag in held_out:
        if tag not in there:
            hint = did_you_mean(tag, there) or f"there are {' '.join(there)}"
            raise InputError(f"--held-out {tag}: nothing in this language", hint)
    left = tuple(tag for tag in asked if tag not in held_out)
    if not left:
        raise InputError("search: every language is held out", "leave some to search on")
    return left


@dataclass(frozen=True)
class TokenizerInput:
    """A checkpoint's tokenizer as an input: other weights do not make it another.

    Attributes:
        path: the checkpoint's folder.
        digest: of the tokenizer's files.
    """

    path: Path
    digest: str


def _weighted(merge: MergeConfig, models: dict[str, Any], weights: Sequence[float]) -> MergeConfig:
    labels = [label for label in models if label != merge.base]
    own = {label: {"weight": one} for label, one in zip(labels, weights, strict=True)}
    return replace(merge, model_options=own)


def draw(run: Run) -> None:
    """Write the page, and finish the run."""
    from polylect.report import write_search_page

    run.finish(["index.html"])
    write_search_page(run.path, "index.html")
