"""Tasks prepared for evaluation: the items and requests of one task in one language."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, TypeVar

from polylect.base import InputError, Ledger
from polylect.base import language as language_of
from polylect.checkpoints import Checkpoint
from polylect.engine import Likelihood, Sampling
from polylect.evals.config import EvalConfig
from polylect.evals.items import Item
from polylect.evals.scorers import Render, Shots, build_requests, choose_shots, render_prompts
from polylect.evals.sources import MissingTranslation, Source
from polylect.evals.task_languages import task_language
from polylect.evals.tasks.registry import find_task
from polylect.evals.tasks.task import Task
from polylect.rows import Message
from polylect.text import ALTERED, ChatTemplate, Tokenizer, count_special, spells_special

MISSING = "missing: translation"
"""Ledger event: a language in which a task has no data, once per task."""
EQUAL_CHOICES = "kept: item with equal choices"
"""Ledger event: an item with the same choice twice; the first of them wins a tie."""
UNWRITTEN = "left out: item that the chat template does not take"
"""Ledger event: an item whose chat the template refuses; the first words follow."""


class _Unwritten(InputError):
    """The chat template refuses an item."""


R = TypeVar("R")


@dataclass(frozen=True)
class PreparedTask:
    """One task in one language, ready to be sent to an engine.

    Attributes:
        task: the task.
        language: tag.
        items: in the order of their requests.
        requests: for all choices of all items; empty for a task of generation.
        settings: everything but the model and its tokenizer that decides the requests.
        prompts: of a task of generation, the prompt of every item.
    """

    task: Task
    language: str
    items: tuple[Item, ...] = field(repr=False)
    requests: tuple[Likelihood, ...] = field(repr=False)
    settings: dict[str, Any] = field(hash=False, repr=False)
    prompts: tuple[str, ...] = field(default=(), repr=False)

    @property
    def place(self) -> str:
        """Task and language, for the ledger and progress."""
        return f"{self.task.name} {self.language}"

    def only(self, keep: Callable[[Item], bool]) -> "PreparedTask":
        """The same task with some of its items; the few-shot examples stay."""
        kept = [keep(item) for item in self.items]
        per_choice = [k for item, k in zip(self.items, kept, strict=True) for _ in item.choices]
        return replace(
            self,
            items=tuple(compress(self.items, kept)),
            requests=tuple(compress(self.requests, per_choice)),
            prompts=tuple(compress(self.prompts, kept)),
        )


def prepare_tasks(config: EvalConfig, checkpoint: Checkpoint, ledger: Ledger) -> list[PreparedTask]:
    """Every task in every language, with its requests; loads no model.

    A language that a task does not have is counted in the ledger. Items are the first ``limit`` of
    a task's fixed order, so that parallel tasks score the same ones in every language.

    Raises:
        InputError: no such task or language, data that are not at hand or are broken, too few
            examples for the shots, or nothing is left to score.
    """
    if not config.tasks:
        raise InputError("no task was named", "--tasks NAME,NAME; polylect tasks lists them")
    if config.limit is not None and config.limit < 1:
        raise InputError(f"--limit is {config.limit}", "give 1 or more")
    tasks = [find_task(name) for name in config.tasks]
    names = [task.name for task in tasks]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"two tasks are called {repeated[0]!r}", "name each once")
    source = Source.at(config.data, config.hub)
    render = _chat_renderer(config, checkpoint, ledger) if config.chat else None
    wanted = [(name, language_of(name, "--languages").tag) for name in config.languages]
    prepared = []
    for task in tasks:
        languages = [task_language(task.languages, name, tag, ledger) for name, tag in wanted]
        for language in dict.fromkeys(languages or task.languages):
            try:
                prepared.append(_prepare(task, language, config, source.fresh(), render, ledger))
            except MissingTranslation:
                ledger.count(MISSING, 1, f"{task.name} {language}")
    if not prepared:
        raise InputError(
            f"none of the tasks {', '.join(names)} has a language of {' '.join(config.languages)}",
            f"{names[0]} has {' '.join(tasks[0].languages)}",
        )
    return prepared


def _chat_renderer(config: EvalConfig, checkpoint: Checkpoint, ledger: Ledger) -> Render:
    """Renders chats, with special tokens' texts in them marked or not; counts them."""
    template = ChatTemplate.load(checkpoint.path)
    template.count_date(ledger)
    tokenizer, special_tokens = Tokenizer.load(checkpoint.path), config.engine.special_tokens
    if special_tokens == "spell":
        template = replace(template, spelled=tokenizer.special_texts)

    def render(messages: Sequence[Message]) -> str:
        count_special(int(spells_special(tokenizer, messages)), special_tokens, ledger)
        try:
            text = template.render_every_turn(messages)
        except InputError as error:
            message = error.message.removeprefix(f"{template.place}: ")
            raise _Unwritten(message, error.hint) from None
        ledger.count(ALTERED, template.num_altered(messages))
        return text

    return render


def _of_each(
    build: Callable[[Sequence[Item], Shots, Render], list[R]],
    task: Task,
    items: Sequence[Item],
    shots: Shots,
    render: Render,
    ledger: Ledger,
) -> tuple[list[Item], list[R]]:
    """The items whose chat the template takes, and what is built of them; others are counted.

    Raises:
        InputError: it takes none.
    """
    kept: list[Item] = []
    built: list[R] = []
    refused: dict[str, _Unwritten] = {}
    for item, examples in zip(items, shots, strict=True):
        try:
            built += build([item], [examples], render)
        except _Unwritten as error:
            refused[item.id] = error
        else:
            kept.append(item)
    for name, first in list(refused.items())[:1]:
        place = f"{task.name} {items[0].language}"
        if not kept:
            message = f"{place}: item {name!r}: {first.message}"
            others = f" (nor the other {len(refused) - 1:,})" if len(refused) > 1 else ""
            raise InputError(message + others, first.hint)
        event = f'{UNWRITTEN}; the first, {name!r}: "{first.message}"'
        ledger.count(event, len(refused), place)
    return kept, built


def _prepare(
    task: Task,
    language: str,
    config: EvalConfig,
    source: Source,
    render: Render | None,
    ledger: Ledger,
) -> PreparedTask:
    all_items = task.items(source, language)
    items = all_items[: config.limit]
    if not items:
        raise InputError(f"{task.name} ({language}): there is no item", "check its data")
    num_equal = sum(
        len(set(zip(item.contexts(), item.choices, strict=True))) < len(item.choices)
        for item in items
    )
    ledger.count(EQUAL_CHOICES, num_equal, f"{task.name} {language}")
    # Without a pool the items are their own examples: the limit must not change which.
    pool = task.shots(source, language) if config.shots else []
    shots = choose_shots(task, items if pool else all_items, pool, config.shots)[: len(items)]
    settings = {
        "task": task.label,
        "data": source.digests,
        "shots": config.shots,
        "chat": render is not None,
    }
    if task.generation is None:
        if render is None:
            requests = build_requests(items, shots)
        else:
            items, requests = _of_each(build_requests, task, items, shots, render, ledger)
        return PreparedTask(task, language, tuple(items), tuple(requests), settings)
    task.generation.require()
    settings |= generation_settings(task, language, config)
    if render is None:
        prompts = render_prompts(items, shots, render)
    else:
        items, prompts = _of_each(render_prompts, task, items, shots, render, ledger)
    return PreparedTask(task, language, tuple(items), (), settings, tuple(prompts))


def sampling_of(task: Task, language: str, config: EvalConfig) -> Sampling:
    """How the answers of a task of generation are sampled.

    Raises:
        InputError: a number out of its range.
    """
    assert task.generation is not None
    return Sampling(
        max_new_tokens=config.max_new_tokens or task.generation.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        stop=task.generation.stop(language),
        num_samples=config.num_samples,
    )


def generation_settings(task: Task, language: str, config: EvalConfig) -> dict[str, Any]:
    """What of the generation decides the answers; part of the settings of their rows."""
    sampling = sampling_of(task, language, config)
    names = ("max_new_tokens", "temperature", "top_p", "stop", "num_samples")
    return {name: getattr(sampling, name) for name in names}
