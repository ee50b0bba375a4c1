"""Recipe ``instructions``: how kinds of instructions are weighted (Aya 23, 2405.15032, section 2).

Rows of each stream → some prompts held out → one fine-tuning for each mixture and seed, all from
one model and on as many conversations → bits per byte of held-out answers by stream and language →
the table of runs that ``polylect mixture fit`` reads. The weights are an experiment: the paper does
not give its own. Copy this file, change it, and run it with ``polylect run FILE.py:instructions``.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from polylect.base import (
    InputError,
    language,
    read_json,
)
from polylect.checkpoints import Checkpoint
from polylect.evals import KINDS, Source
from polylect.mixtures import RUNS_FILE
from polylect.recipes.mixtures.answer_config import AnswerBitsConfig
from polylect.recipes.mixtures.instruction_config import SOURCES, InstructionsConfig
from polylect.recipes.mixtures.instruction_plans import (
    InstructionPlan,
    num_examples,
    own_mixtures,
    read_instruction_plan,
    shares_of,
)
from polylect.recipes.mixtures.instruction_steps import (
    HELD,
    SIZES,
    TEMPLATED_FILE,
    THE_MODEL,
    TRAIN,
    FittingConfig,
    StreamsConfig,
    TemplatedConfig,
    fitting_rows,
    instruction_streams,
    score_answers,
    templated_rows,
)
from polylect.recipes.mixtures.summary import figure
from polylect.recipes.mixtures.sweeping import (
    PAGE,
    SUMMARY,
    budget_spent,
    narrow_enough,
    rounds,
    widest,
)
from polylect.recipes.mixtures.weighing import (
    START,
    WeighConfig,
    weigh,
    weighed_bits,
    weight_pairs,
)
from polylect.runs import Artifact, Call, FileInput, Files, Run
from polylect.training import (
    FINETUNE_OPTIM,
    ExamplesConfig,
    ExampleStage,
    SftConfig,
    default_rate,
    sft,
)

_RATE_AT_8_BILLION = 2e-5


def instructions(run: Run, config: InstructionsConfig) -> None:
    """Kinds of instructions by weight: which mixture answers best, in which language.

    Examples:
        polylect run instructions --model base --human-rows chats.jsonl --translated-rows mt.jsonl
        polylect run instructions --model base --datasets data --languages de,tr,zh --dry-run
        polylect run instructions --model base --plan weights.toml --seeds 2
    """
    from polylect.report import write_instructions_page

    _check(config)
    made = _templated(run, config)
    plan, rows, sizes = _planned(run, config, made)
    examples = num_examples(plan, sizes)
    shares = {name: shares_of(weights, plan.streams) for name, weights in plan.mixtures.items()}
    may_stop = config.stop_at_width is not None or config.most_examples is not None
    done: tuple[int, ...] = ()
    made_by: dict[str, Artifact] = {}
    ended = ""
    for seeds in rounds(plan.seeds, may_stop):
        ended = _why_stop(config, plan, examples, done, seeds) or _narrow(
            config, WeighConfig(shares=shares, seeds=done or plan.seeds, examples=examples), made_by
        )
        if ended:
            break
        made_by |= _train_and_score(run, config, plan, rows, sizes, seeds, is_first=not done)
        done = (*done, *seeds)
    weighing = WeighConfig(shares=shares, seeds=done, examples=examples)
    weighed = run.step(weigh, "findings", weighing, made_by)
    run.finish([PAGE, SUMMARY, RUNS_FILE])
    shutil.copyfile(weighed.path / RUNS_FILE, run.path / RUNS_FILE)
    lines = _summary(weighed, shares, examples, len(done))
    lines = [*lines, ended] if ended else lines
    (run.path / SUMMARY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_instructions_page(run.path, PAGE)


def _train_and_score(
    run: Run,
    config: InstructionsConfig,
    plan: InstructionPlan,
    rows: Artifact,
    sizes: Mapping[str, int],
    seeds: Sequence[int],
    *,
    is_first: bool,
) -> dict[str, Artifact]:
    """``train NAME`` and ``bits NAME`` of every mixture and of some seeds; first ``bits start``."""
    examples = num_examples(plan, sizes)
    names = [f"{mixture}-seed{seed}" for mixture in plan.mixtures for seed in seeds]
    model: FileInput = Files(config.model)
    models: dict[str, FileInput] = {START: model} if is_first else {}
    run.announce(names, [f"bits-{name}" for name in (*models, *names)], ["findings"])
    trainings = run.steps(
        [
            Call(
                sft,
                f"{mixture}-seed{seed}",
                training_config(config, plan, mixture, seed, examples / sum(sizes.values())),
                {"model": model, "data": Files(rows.path / TRAIN)},
            )
            for mixture in plan.mixtures
            for seed in seeds
        ]
    )
    models |= dict(zip(names, trainings, strict=True))
    scored = run.steps(
        [
            Call(
                score_answers,
                f"bits-{name}",
                AnswerBitsConfig(
                    name=name,
                    template=config.template,
                    special_tokens=config.special_tokens,
                    threads=config.threads,
                ),
                {"model": checkpoint, "data": Files(rows.path / HELD)},
            )
            for name, checkpoint in models.items()
        ]
    )
    return {f"train {name}": made for name, made in zip(names, trainings, strict=True)} | {
        f"bits {name}": made for name, made in zip(models, scored, strict=True)
    }


def _why_stop(
    config: InstructionsConfig,
    plan: InstructionPlan,
    examples: int,
    done: Sequence[int],
    seeds: Sequence[int],
) -> str:
    """Why the budget has no further seed; empty where it has.

    Raises:
        InputError: not even the first seeds are within the budget.
    """
    needed = (len(done) + len(seeds)) * len(plan.mixtures) * examples
    return budget_spent(
        "--most-examples", config.most_examples, needed, "conversations", len(done), len(seeds),
        "fewer mixtures, or fewer --examples",
    )  # fmt: skip


def _narrow(config: InstructionsConfig, done: WeighConfig, made_by: Mapping[str, Artifact]) -> str:
    """Why the intervals need no further seed; empty where they do."""
    if config.stop_at_width is None or not made_by:
        return ""
    compared = [
        (before, after, (stream,))
        for before, after in weight_pairs(done.shares)
        for stream in next(iter(done.shares.values()))
    ]
    width = widest(weighed_bits(done, made_by), compared)
    return narrow_enough(width, config.stop_at_width, len(done.seeds))


def instructions_plan(run: Run, config: InstructionsConfig) -> str:
    """Streams, mixtures and updates; every file is read, no model is loaded."""
    _check(config)
    made = _templated(run, config)
    plan, _, sizes = _planned(run, config, made)
    examples = num_examples(plan, sizes)
    rate = peak_rate(config)
    lines = [
        f"instructions: {len(plan.mixtures)} mixtures, {len(plan.seeds)} seeds,"
        f" {examples:,} conversations each, {-(-examples // config.batch_size):,} updates, peak"
        f" learning rate {rate:g}",
        *(f"  {name}: {size:,} rows to learn" for name, size in sizes.items()),
    ]
    seed = examples * len(plan.mixtures)
    lines.append(f"a further seed: {seed:,} conversations")
    for name, weights in plan.mixtures.items():
        shares = shares_of(weights, plan.streams)
        text = ", ".join(f"{stream} {100 * share:.3g} %" for stream, share in shares.items()
                         if share)  # fmt: skip
        lines.append(f"  {name}: {text}")
    return "\n".join(lines)


def training_config(
    config: InstructionsConfig, plan: InstructionPlan, mixture: str, seed: int, epochs: float
) -> SftConfig:
    """How one mixture is trained: its weights are shares of conversations, whatever their length.

    Args:
        config: of the recipe.
        plan: with its mixtures.
        mixture: its name.
        seed: of order and sampling.
        epochs: conversations over those that there are.
    """
    shares = shares_of(plan.mixtures[mixture], plan.streams)
    stage = ExampleStage(shares={f"*/{name}": share for name, share in shares.items() if share})
    return SftConfig(
        examples=ExamplesConfig(
            epochs=epochs, stages=(stage,), batch_size=config.batch_size, over_long="drop",
            template=config.template, special_tokens=config.special_tokens, seed=seed,
            threads=config.threads, probes=0,
        ),
        optim=replace(FINETUNE_OPTIM, learning_rate=peak_rate(config)),
    )  # fmt: skip


def peak_rate(config: InstructionsConfig) -> float:
    """The peak learning rate: the option's, else by the size of the model."""
    if config.learning_rate is not None:
        return config.learning_rate
    return default_rate(_RATE_AT_8_BILLION, Checkpoint.open(config.model).num_parameters)


def _check(config: InstructionsConfig) -> None:
    """Refuse what cannot be before anything is read.

    Raises:
        InputError: no model, nothing to learn from, or a file that is not there.
    """
    if not config.model.is_dir():
        raise InputError(f"--model: {config.model} is not there", "give --model PATH")
    given = {
        name: getattr(config, f"{name}_rows") for name in SOURCES if getattr(config, f"{name}_rows")
    }
    if config.plan is not None and (given or config.datasets):
        raise InputError("--plan beside files of streams", "name the files in the plan")
    files = {f"{name}-rows": path for name, path in given.items()} | {"plan": config.plan}
    for name, path in files.items():
        if path is not None and not path.is_file():
            raise InputError(f"--{name}: {path} is not there", f"give --{name} FILE")
    if config.plan is None and len(given) < 2 and not config.datasets:
        raise InputError(
            f"instructions: {len(given)} streams, two are needed to weigh",
            "two of --templated-rows, --human-rows, --translated-rows, --synthetic-rows FILE; or"
            " --plan FILE.toml; or --datasets DIR with ntrex and xquad",
        )
    if config.datasets is not None and config.templated_rows is not None:
        raise InputError("--datasets beside --templated-rows", "leave one of them out")


def _templated(run: Run, config: InstructionsConfig) -> Artifact | None:
    """Instructions made of datasets at hand; None where none were named.

    Raises:
        InputError: the folder has neither ntrex nor xquad.
    """
    if config.datasets is None:
        return None
    Source.at(config.datasets)
    kinds = tuple(kind for kind, data in KINDS.items() if (config.datasets / data).is_dir())
    if not kinds:
        raise InputError(f"--datasets {config.datasets}: neither ntrex nor xquad",
                         "give the folder that holds them")  # fmt: skip
    tags = tuple(language(tag, "--languages").tag for tag in config.languages)
    if not tags:
        from polylect.mixtures import read_template_set

        tags = tuple(dict.fromkeys(tag for kind in kinds
                                   for tag in read_template_set(kind).languages))  # fmt: skip
    return run.step(
        templated_rows,
        "templated",
        TemplatedConfig(kinds=kinds, languages=tags, limit=config.limit,
                        datasets=config.datasets, seed=config.seed),
    )  # fmt: skip


def _planned(
    run: Run, config: InstructionsConfig, made: Artifact | None
) -> tuple[InstructionPlan, Artifact, dict[str, int]]:
    """The plan with its mixtures, the rows of all streams, and how many there are to learn."""
    if config.plan is not None:
        plan = read_instruction_plan(config.plan)
    else:
        streams = {
            name: path for name in SOURCES if (path := getattr(config, f"{name}_rows")) is not None
        }
        if made is not None:
            streams = _with_templated(streams, made)
        plan = InstructionPlan(streams=streams)
    plan = replace(
        plan,
        examples=config.examples or plan.examples,
        max_epochs=config.max_epochs or plan.max_epochs,
        seeds=(
            tuple(range(config.seed, config.seed + config.seeds)) if config.seeds else plan.seeds
        ),
    )
    tags = tuple(language(tag, "--languages").tag for tag in config.languages)
    streams = tuple(plan.streams)
    read = run.step(
        fitting_rows,
        "rows",
        FittingConfig(
            streams=streams, template=config.template, special_tokens=config.special_tokens
        ),
        {name: Files(path) for name, path in plan.streams.items()}
        | {THE_MODEL: Files(config.model)},
    )
    rows = run.step(
        instruction_streams,
        "streams",
        StreamsConfig(
            streams=streams, languages=tags, held_out=config.held_out_share, seed=config.seed
        ),
        {name: Files(read.path / f"{name}.jsonl") for name in streams},
    )
    sizes: dict[str, int] = read_json(rows.path / SIZES)
    sizes = {name: sizes[name] for name in plan.streams}
    return replace(plan, mixtures=plan.mixtures or own_mixtures(sizes)), rows, sizes


def _with_templated(streams: Mapping[str, Path], made: Artifact) -> dict[str, Path]:
    """The streams with those of the templates: one beside others, a stream of each kind alone."""
    if streams:
        return {"templated": made.path / TEMPLATED_FILE, **streams}
    files = sorted(made.path.glob("*.jsonl"))
    return {path.stem: path for path in files if path.name != TEMPLATED_FILE}


def _summary(
    weighed: Artifact, shares: Mapping[str, Mapping[str, float]], examples: int, seeds: int
) -> list[str]:
    """Held-out bits per byte of every mixture by stream, and who gained and who paid."""
    bits = pl.read_parquet(weighed.path / "bits.parquet")
    streams = list(next(iter(shares.values())))
    of_stream = {name: bits.filter(stream=name) for name in streams}
    by_cell = {
        (row["model"], name): row["bits"]
        for name, frame in of_stream.items()
        for row in frame.iter_rows(named=True)
        if row["language"] == "" or frame["language"].n_unique() == 1
    }
    lines = [f"bits per byte of held-out answers, {examples:,} conversations, {seeds} seeds"]
    lines.append(f"{'':<22}" + "".join(f"{name:>14}" for name in streams))
    for name in (START, *shares):
        cells = "".join(f"{by_cell[name, stream]:>14.3f}" for stream in streams)
        lines.append(f"{name:<22}{cells}")
    for line in read_json(weighed.path / "findings.json")["lines"]:
        if line["before"] != START:
            lines.append(f"{line['after']} against {line['before']}, {line['kind']}:"
                         f" {figure(line)} {line['unit']}, {line['verdict']}")  # fmt: skip
    return lines
