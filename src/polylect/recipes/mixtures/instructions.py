"""Recipe ``instructions``: how kinds of instructions are weighted (Aya 23, 2405.15032, section 2).

Rows of each stream → some prompts held out → one fine-tuning for each mixture and seed, all from
one model and on as many conversations → bits per byte of held-out answers by stream and language →
the table of runs that ``polylect mixture fit`` reads. The weights are an experiment: the paper does
not give its own. Copy this file, change it, and run it with ``polylect run FILE.py:instructions``.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import polars as pl

from polylect.base import (
    Count,
    InputError,
    Positive,
    Range,
    Seed,
    Threads,
    check_settings,
    language,
    read_json,
)
from polylect.checkpoints import Checkpoint
from polylect.evals import KINDS, Source
from polylect.mixtures import RUNS_FILE
from polylect.recipes.mixtures.answer_config import AnswerBitsConfig
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
    TRAIN,
    StreamsConfig,
    TemplatedConfig,
    WeighConfig,
    instruction_streams,
    score_answers,
    templated_rows,
    weigh,
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

SUMMARY = "summary.txt"
SOURCES = ("templated", "human", "translated", "synthetic")
_RATE_AT_8_BILLION = 2e-5


@dataclass(frozen=True, kw_only=True)
class InstructionsConfig:
    """Options of ``polylect run instructions``."""

    model: Path = Path("model")
    """A folder in Hugging Face layout: what every training starts from."""
    templated_rows: Path | None = None
    """Conversations made by templates over labelled data (polylect mixture instructions)."""
    human_rows: Path | None = None
    """Conversations that people wrote in their language."""
    translated_rows: Path | None = None
    """Conversations translated from another language."""
    synthetic_rows: Path | None = None
    """Conversations that a model wrote."""
    plan: Path | None = None
    """A plan of streams and mixtures, FILE.toml, in place of the four files."""
    datasets: Path | None = None
    """Folder with ntrex and xquad, in place of --templated-rows: the templates that ship are filled
    with them; without any other file, each kind of template is a stream."""
    languages: tuple[str, ...] = ()
    """Language tags to use. Default: all of the files; of --datasets those of the templates."""
    examples: Count | None = None
    """Conversations that every training learns from. Default: the plan's; without one as many as
    --max-epochs allows in every mixture."""
    max_epochs: Positive | None = None
    """Most passes over a stream. Default: the plan's; without one 4."""
    held_out_share: Annotated[float, Range(above=0, below=1)] = 0.1
    """Share of each stream's prompts that is scored and not learned."""
    limit: Count = 200
    """Only the first rows of each kind and language of --datasets."""
    seeds: Count | None = None
    """How many trainings of each mixture with different seeds. Default: the plan's; without one
    3."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: from the model's size, as in polylect train sft."""
    batch_size: Count = 8
    """Prompts, pairs or conversations per update."""
    template: str = "own"
    """Chat template: own (the tokenizer's), plain, aya, or a Jinja file."""
    special_tokens: Literal["spell", "parse"] = "spell"
    """Texts of special tokens in messages: spell them out as ordinary characters, or parse them as
    the tokens; either way they are counted."""
    threads: Threads = 1
    """CPU threads of each training and scoring; results depend on their number."""
    seed: Seed = 0
    """Seed of the split and the templates, and the first of the trainings."""

    def __post_init__(self) -> None:
        check_settings(self)


def instructions(run: Run, config: InstructionsConfig) -> None:
    """Kinds of instructions by weight: which mixture answers best, in which language.

    Examples:
        polylect run instructions --model base --human-rows chats.jsonl --translated-rows mt.jsonl
        polylect run instructions --model base --datasets data --languages de,tr,zh --dry-run
        polylect run instructions --model base --plan weights.toml --seeds 2
    """
    _check(config)
    made = _templated(run, config)
    plan, rows, sizes = _planned(run, config, made)
    examples = num_examples(plan, sizes)
    names = [f"{mixture}-seed{seed}" for mixture in plan.mixtures for seed in plan.seeds]
    run.announce(names, [f"bits-{name}" for name in ("start", *names)], ["weigh"])
    model: FileInput = Files(config.model)
    trainings = run.steps(
        [
            Call(
                sft,
                f"{mixture}-seed{seed}",
                training_config(config, plan, mixture, seed, examples / sum(sizes.values())),
                {"model": model, "data": Files(rows.path / TRAIN)},
            )
            for mixture in plan.mixtures
            for seed in plan.seeds
        ]
    )
    models: dict[str, FileInput] = {"start": model, **dict(zip(names, trainings, strict=True))}
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
    shares = {name: shares_of(weights, plan.streams) for name, weights in plan.mixtures.items()}
    weighed = run.step(
        weigh,
        "weigh",
        WeighConfig(shares=shares, seeds=plan.seeds, seed=config.seed),
        dict(zip(models, scored, strict=True)),
    )
    run.finish([RUNS_FILE, SUMMARY])
    shutil.copyfile(weighed.path / RUNS_FILE, run.path / RUNS_FILE)
    lines = _summary(weighed, shares, examples, len(plan.seeds))
    (run.path / SUMMARY).write_text("\n".join(lines) + "\n", encoding="utf-8")


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
    rows = run.step(
        instruction_streams,
        "streams",
        StreamsConfig(streams=tuple(plan.streams), languages=tags, held_out=config.held_out_share,
                      seed=config.seed),
        {name: Files(path) for name, path in plan.streams.items()},
    )  # fmt: skip
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
    means = bits.group_by("checkpoint", "group").agg(pl.col("value").mean())
    by_cell = {(name, group): value for name, group, value in means.rows()}
    streams = list(next(iter(shares.values())))
    lines = [f"bits per byte of held-out answers, {examples:,} conversations, {seeds} seeds"]
    lines.append(f"{'':<22}" + "".join(f"{name:>14}" for name in streams))
    for name in ("start", *shares):
        cells = "".join(f"{by_cell[name, stream]:>14.3f}" for stream in streams)
        lines.append(f"{name:<22}{cells}")
    findings = read_json(weighed.path / "findings.json")
    return lines + [line["sentence"] for line in findings if line["what"] == "weights"]
