"""Every method on every division of a crowd, each a step that is run once.

A step's result is a function of its configuration and its inputs, so that a killed study goes on
where it stopped, and another method or seed leaves the others' results as they are. What the
results say is in ``study_result``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import (
    Count,
    InputError,
    Ledger,
    NonNegative,
    Seed,
    Share,
    check_known,
    check_settings,
    import_optional,
    one_blas_thread,
    read_json,
    write_json,
)
from polylect.people.crowd import Crowd, Seen, Text
from polylect.people.general import General, read_general
from polylect.people.ngrams import NGRAMS
from polylect.people.readers import read_published
from polylect.people.reading import read_crowd
from polylect.people.registry import METHODS, WITH_A_MODEL, find_method
from polylect.people.saved import load_model
from polylect.people.seeing import see
from polylect.people.splits import SPLIT_KINDS
from polylect.people.stored import load_arrays, load_crowd, save_arrays, save_crowd
from polylect.people.trials import Parts, Trial, divide, rank_right, run_trial
from polylect.rows import Message
from polylect.runs import Call, Files, Run, StepContext, StepInputs, step

REFERENCE = "pooled"
"""The method to which all others are compared; it is always in a study."""
_PARTS, _TRIAL, _GENERAL, _BASE = "parts", "trial", "general", "base"


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How a crowd is read and seen."""

    schema: str | None = None
    default_language: str = ""
    min_difference: NonNegative = 0.0
    max_pairs: Count | None = None
    seed: Seed = 0
    encoder: str = NGRAMS
    vectors: str = NGRAMS
    """Digest of what the encoder gives (``Encoder.content``)."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class DivideConfig:
    """How a crowd is divided."""

    kind: str
    seed: Seed
    test_share: Share
    left_out_share: Share

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One method on one division."""

    method: str
    settings: dict[str, Any]
    seed: Seed

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What is compared, and on what.

    Attributes:
        reading: how the crowd is read.
        methods: names; ``pooled`` is always added.
        kind: of the split, a key of ``SPLIT_KINDS``.
        seeds: how many divisions, each with a seed of its own.
        test_share: of the pairs, responses or prompts.
        left_out_share: of the users; 0 for none, and no adaptation.
        settings: of methods, ``METHOD.NAME``; what is left out has its default.
        model: folder of the language model of methods in ``WITH_A_MODEL``.
        seed: of the first division; the others follow.
    """

    reading: ReadConfig
    methods: tuple[str, ...] = tuple(METHODS)
    kind: str = "response"
    seeds: Count = 5
    test_share: Share = 0.2
    left_out_share: Share = 0.25
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)
        for method in self.methods:
            known = METHODS | WITH_A_MODEL
            check_known(method, known, f"there is no method {method!r}", "choose from")
            if method in WITH_A_MODEL and not self.model:
                raise InputError(f"{method}: which language model?", "--model CHECKPOINT")
        if self.model and not WITH_A_MODEL.keys() & set(self.methods):
            raise InputError("--model: none of the methods reads a language model",
                             f"--methods {' '.join(WITH_A_MODEL)}, or some of them")  # fmt: skip
        for name in self.settings:
            method = name.partition(".")[0]
            check_known(method, self.all_methods, f"--settings {name}: no such method", "there are")
            if method in WITH_A_MODEL and name.endswith(".model"):
                raise InputError(f"--settings {name}: one model for all", "--model CHECKPOINT")
        for method in self.all_methods:
            find_method(method, **self.settings_of(method), **self.model_of(method))
        check_known(self.kind, SPLIT_KINDS, f"no kind of split {self.kind!r}", "use one of")

    @property
    def all_methods(self) -> tuple[str, ...]:
        """The reference, then the others, each once."""
        return tuple(dict.fromkeys((REFERENCE, *self.methods)))

    def settings_of(self, method: str) -> dict[str, Any]:
        """The settings of a method, by name."""
        return {name.partition(".")[2]: value for name, value in self.settings.items()
                if name.partition(".")[0] == method}  # fmt: skip

    def model_of(self, method: str) -> dict[str, str]:
        """The setting ``model``, of a method that has it."""
        return {"model": self.model} if method in WITH_A_MODEL else {}


@dataclass(frozen=True)
class Trials:
    """All trials of a study.

    Attributes:
        crowd: the preferences.
        seen: its texts.
        parts: of each division.
        trials: by method and division.
        general: the general set; None without one.
        base: whether the base ranks each of its pairs rightly, as ``Trial.right`` [pairs].
        is_base_given: a fitted model is the base; otherwise nothing was learned, and every pair is
            a tie.
    """

    crowd: Crowd
    seen: Seen
    parts: tuple[Parts, ...]
    trials: dict[str, tuple[Trial, ...]]
    general: General | None
    base: np.ndarray
    is_base_given: bool


def run_study(
    run: Run, config: StudyConfig, file: Path, general: Path | None = None, base: Path | None = None
) -> Trials:
    """Run what is missing of a study, and read all of it.

    Args:
        run: keeps the steps.
        config: what is compared.
        file: rows of preferences or ratings, or in a published schema.
        general: a general set; see ``read_general``.
        base: folder of a fitted model that is the base of the tax.

    Raises:
        InputError: a file does not fit, or a method cannot be fitted to it.
    """
    numbers = range(config.seed, config.seed + config.seeds)
    labels = [_label(method, seed) for method in config.all_methods for seed in numbers]
    before = [["people"], ["general"]] if general is not None else [["people"]]
    run.announce(*before, [f"split-{seed}" for seed in numbers], labels)
    crowd = run.step(read_people, "people", config.reading, {"file": Files(file)})
    inputs: dict[str, Any] = {"people": crowd}
    if general is not None:
        models = {"base": Files(base)} if base is not None else {}
        inputs["general"] = run.step(read_general_set, "general", config.reading,
                                     {"file": Files(general), **models})  # fmt: skip
    divisions = [
        DivideConfig(kind=config.kind, seed=seed, test_share=config.test_share,
                     left_out_share=config.left_out_share)
        for seed in numbers
    ]  # fmt: skip
    splits = run.steps([Call(divide_people, f"split-{division.seed}", division, {"people": crowd})
                        for division in divisions])  # fmt: skip
    done = run.steps([
        Call(try_method, _label(method, seed),
             TrialConfig(method=method, settings=config.settings_of(method), seed=seed),
             {**inputs, "parts": split, **{name: Files(Path(folder)) for name, folder
                                           in config.model_of(method).items()}})
        for method in config.all_methods
        for seed, split in zip(numbers, splits, strict=True)
    ])  # fmt: skip
    size = len(splits)
    stored = read_general_arrays(inputs["general"].path) if general is not None else None
    return Trials(
        *load_crowd(crowd.path),
        tuple(load_parts(split.path) for split in splits),
        {method: tuple(load_trial(part.path) for part in done[i * size : (i + 1) * size])
         for i, method in enumerate(config.all_methods)},
        stored[0] if stored else None,
        stored[1] if stored else np.zeros(0),
        base is not None,
    )  # fmt: skip


def _label(method: str, seed: int) -> str:
    return f"{method}-{seed}"


def read_rows(file: Path, config: ReadConfig, ledger: Ledger) -> Crowd:
    """The preferences of a file, in our form or a published one."""
    how: dict[str, Any] = {"min_difference": config.min_difference, "max_pairs": config.max_pairs,
                           "seed": config.seed}  # fmt: skip
    if config.schema is not None:
        return read_published(config.schema, file, ledger, **how)
    return read_crowd(file, config.default_language, ledger, **how)


@step(1)
def read_people(config: ReadConfig, inputs: StepInputs, context: StepContext) -> None:
    """The crowd, and its texts as the encoder sees them."""
    crowd = read_rows(inputs["file"].path, config, context.ledger)
    save_crowd(context.out, crowd, see(crowd.texts, config.encoder, context.ledger))


@step(2)
def read_general_set(config: ReadConfig, inputs: StepInputs, context: StepContext) -> None:
    """The general set, as the encoder sees it, and whether the base ranks its pairs rightly."""
    general = read_general(inputs["file"].path, config.default_language, context.ledger)
    seen = see(general.texts, config.encoder, context.ledger)
    base = np.full(len(general.group), 0.5)
    if "base" in inputs:
        scores = load_model(inputs["base"].path).score("", seen)
        base = rank_right(scores[general.chosen], scores[general.rejected])
    save_arrays(context.out, _GENERAL, {
        "vectors": seen.vectors, "chosen": general.chosen, "rejected": general.rejected,
        "weight": general.weight, "item": general.item, _BASE: base,
    })  # fmt: skip
    texts = [[[[m.role, m.content] for m in text.messages], text.response, text.language]
             for text in general.texts]  # fmt: skip
    write_json(context.out / f"{_GENERAL}.json",
               {"group": general.group, "style": general.style, "texts": texts})  # fmt: skip


def read_general_arrays(folder: Path) -> tuple[General, np.ndarray]:
    """The general set, and the base's answers, of ``read_general_set``."""
    arrays, words = load_arrays(folder, _GENERAL), read_json(folder / f"{_GENERAL}.json")
    texts = tuple(Text(tuple(Message(*message) for message in messages), response, language)
                  for messages, response, language in words["texts"])  # fmt: skip
    general = General(texts, arrays["chosen"], arrays["rejected"], tuple(words["group"]),
                      tuple(words["style"]), arrays["weight"], arrays["item"])  # fmt: skip
    return general, arrays[_BASE]


@step(1)
def divide_people(config: DivideConfig, inputs: StepInputs, context: StepContext) -> None:
    """Parts of the crowd."""
    crowd, _ = load_crowd(inputs["people"].path)
    parts = divide(crowd, config.kind, config.seed, test_share=config.test_share,
                   left_out_share=config.left_out_share, ledger=context.ledger)  # fmt: skip
    _save(context.out, _PARTS, parts, {"kind": parts.kind})


@step(5)
def try_method(config: TrialConfig, inputs: StepInputs, context: StepContext) -> None:
    """A trial of a method on the parts of a crowd."""
    crowd, seen = load_crowd(inputs["people"].path)
    general = None
    if "general" in inputs:
        asked, _ = read_general_arrays(inputs["general"].path)
        vectors = load_arrays(inputs["general"].path, _GENERAL)["vectors"]
        general = Seen(asked.texts, vectors), asked.chosen, asked.rejected
    model = {"model": str(inputs["model"].path)} if "model" in inputs else {}
    method = find_method(config.method, **config.settings, **model)
    with one_thread(uses_torch=method.uses_torch):
        trial = run_trial(crowd, seen, method, load_parts(inputs["parts"].path), config.seed,
                          general=general)  # fmt: skip
    _save(context.out, _TRIAL, trial, {})


def load_parts(folder: Path) -> Parts:
    """The parts in the folder of ``divide_people``."""
    arrays = load_arrays(folder, _PARTS)
    return Parts(read_json(folder / f"{_PARTS}.json")["kind"], arrays["train"], arrays["test"],
                 arrays["left_out"], arrays["learn"])  # fmt: skip


def load_trial(folder: Path) -> Trial:
    """The trial in the folder of ``try_method``."""
    return Trial(**load_arrays(folder, _TRIAL))


def _save(folder: Path, name: str, value: Parts | Trial, words: dict[str, str]) -> None:
    names = [part.name for part in fields(value) if part.name not in words]
    save_arrays(folder, name, {name: getattr(value, name) for name in names})
    if words:
        write_json(folder / f"{name}.json", words)


@contextmanager
def one_thread(*, uses_torch: bool) -> Iterator[None]:
    """Limit BLAS, and torch where it is used, to one thread."""
    with one_blas_thread():
        if not uses_torch:
            yield
            return
        torch = import_optional("torch", "this method", "models")
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
