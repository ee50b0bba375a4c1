"""Requests of items, and rows of scores, by the metrics of lm-evaluation-harness 0.4.13.

``acc`` is the argmax of the choices' log-likelihoods, ``acc_norm`` of those per character of the
choice, ``acc_bytes`` per byte of its UTF-8, ``acc_token`` per token of what was scored; the
delimiter counts as neither character nor byte, and a tie goes to the first. Where every choice has
its own context (Winograd), characters and bytes are the context's, as there. Its accuracy by
mutual information, which needs every choice once more without a context, is not computed.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from polylect.base import InputError
from polylect.engine import Likelihood, Scores
from polylect.evals.items import Item
from polylect.evals.sources import NoExamples
from polylect.evals.tasks.task import Task
from polylect.rows import Message

Shots = Sequence[Sequence[Item]]
"""Few-shot examples of every item."""

Render = Callable[[Sequence[Message]], str]
"""Renders messages as the text of a chat that the model continues."""

_BETWEEN_SHOTS = "\n\n"


def choose_shots(
    task: Task, items: Sequence[Item], pool: Sequence[Item], num_shots: int
) -> list[tuple[Item, ...]]:
    """The few-shot examples of every item, the first of the pool: the same for all if possible.

    Items and pool are of one language. Without a pool the items are the examples, and an item is
    not its own. Where all examples of a pool have a group, an item gets those of its group.

    Raises:
        InputError: there are fewer examples than asked for, or the task takes fewer.
    """
    if num_shots < 0:
        raise InputError(f"--shots is {num_shots}", "give 0 or more")
    if task.max_shots is not None and num_shots > task.max_shots:
        raise InputError(
            f"{task.name}: takes {task.max_shots or 'no'} shots, not {num_shots}",
            f"--shots {task.max_shots}",
        )
    if num_shots == 0:
        return [()] * len(items)
    if not pool:
        first = items[: num_shots + 1]
        shared = tuple(first[:num_shots])
        ids = {item.id for item in shared}
        chosen = [
            tuple(other for other in first if other.id != item.id) if item.id in ids else shared
            for item in items
        ]
    elif all(item.group for item in pool):
        by_group: dict[str, list[Item]] = {}
        for example in pool:
            by_group.setdefault(example.group, []).append(example)
        chosen = [tuple(by_group.get(item.group, ())[:num_shots]) for item in items]
    else:
        chosen = [tuple(pool[:num_shots])] * len(items)
    for item, shots in zip(items, chosen, strict=True):
        if len(shots) < num_shots:
            raise NoExamples(
                f"{task.name}: item {item.id!r} ({item.language}) has {len(shots)} examples to go"
                f" before it, not {num_shots}",
                f"--shots {len(shots)}",
            )
    return chosen


def fewshot_prefix(shots: Sequence[Item]) -> str:
    r"""Few-shot examples as text: context, delimiter and right choice, an empty line after each.

    Example:
        >>> fewshot_prefix([Item("1", "en", "2+2 =", ("4",))])
        '2+2 = 4\n\n'
    """
    return "".join(
        f"{shot.contexts()[shot.answer]}{shot.delimiter}{shot.choices[shot.answer]}{_BETWEEN_SHOTS}"
        for shot in shots
    )


def build_requests(
    items: Sequence[Item], shots: Shots | None = None, render: Render | None = None
) -> list[Likelihood]:
    """The requests of all choices of all items, in order: the input of ``score_items``.

    Args:
        items: of one task.
        shots: few-shot examples of each; None for none.
        render: the chat template; None for plain text. In a chat the item's context is the user's
            message, the examples are earlier turns, and the choice begins the answer, without a
            delimiter.

    Raises:
        InputError: an item without a context is to be put into a chat.
    """
    prefixes: dict[tuple[Item, ...], str] = {}
    requests = []
    for item, examples in zip(items, shots or [()] * len(items), strict=True):
        if render is None:
            key = tuple(examples)
            if key not in prefixes:
                prefixes[key] = fewshot_prefix(examples)
            contexts = [prefixes[key] + context for context in item.contexts()]
            texts = [item.delimiter + choice for choice in item.choices]
        else:
            contexts = [render(chat_messages(context, examples)) for context in _user_turns(item)]
            contexts *= len(item.choices) // len(contexts)
            texts = list(item.choices)
        requests += [
            Likelihood(context, text, render is not None, f"item {item.id!r} ({item.language})")
            for context, text in zip(contexts, texts, strict=True)
        ]
    return requests


def render_prompts(items: Sequence[Item], shots: Shots, render: Render | None) -> list[str]:
    """The prompt of every item of a task of generation: examples and context, or a chat."""
    prompts = []
    for item, examples in zip(items, shots, strict=True):
        (context,) = set(item.contexts())
        if render is None:
            prompts.append(fewshot_prefix(examples) + context)
        else:
            prompts.append(render(chat_messages(context, examples)))
    return prompts


def chat_messages(prompt: str, shots: Sequence[Item] = ()) -> list[Message]:
    """The messages of a chat: examples as pairs of user and assistant turns, then the prompt."""
    turns = []
    for example in shots:
        turns.append(Message("user", example.contexts()[example.answer]))
        turns.append(Message("assistant", example.choices[example.answer]))
    return [*turns, Message("user", prompt)]


def _user_turns(item: Item) -> tuple[str, ...]:
    """The distinct contexts of an item, each of which becomes a user's message."""
    contexts = (item.context,) if isinstance(item.context, str) else item.context
    if not all(context.strip() for context in contexts):
        raise InputError(
            f"item {item.id!r} ({item.language}) has no context to put into a chat",
            "score this task without --chat",
        )
    return contexts


def score_items(task: Task, items: Sequence[Item], scores: Scores) -> list[dict[str, object]]:
    """Rows of the score table without checkpoint and settings, one per item and metric.

    A choice task has ``acc``, ``acc_norm``, ``acc_bytes`` and ``acc_token``, 1 or 0, with 1/n as
    chance. A likelihood task has ``log_likelihood`` (nats), ``bits`` (per item), ``bits_per_byte``
    (weighted by the bytes of the choice without its delimiter) and ``greedy`` (1 where every token
    was the likeliest). A row is truncated when a context of its item was cut, and invalid, with
    value 0, when a log-likelihood is not a number (of a likelihood task: not finite).

    Args:
        task: of the items.
        items: as given to ``build_requests``.
        scores: in the order of the requests.
    """
    assert len(scores) == sum(len(item.choices) for item in items), "scores of other items"
    score = _choice if task.scorer == "choice" else _likelihood
    rows: list[dict[str, object]] = []
    start = 0
    for item in items:
        part = slice(start, start + len(item.choices))
        start = part.stop
        lls = np.asarray(scores.log_likelihood[part], np.float64)
        shared: dict[str, object] = {
            "task": task.label,
            "language": item.language,
            "group": item.group,
            "item": item.id,
            "cluster": item.cluster or item.id,
            "truncated": bool(scores.truncated[part].any()),
        }
        invalid = bool(np.isnan(lls).any())
        for metric, value, weight, chance in score(item, lls, scores, part):
            bad = invalid or not math.isfinite(value)
            rows.append(
                shared | {"metric": metric, "value": 0.0 if bad else value, "weight": weight,
                          "chance": chance, "invalid": bad}
            )  # fmt: skip
    return rows


_Metrics = list[tuple[str, float, float, float | None]]
"""Name, value, weight and chance."""


def _choice(item: Item, lls: np.ndarray, scores: Scores, part: slice) -> _Metrics:
    texts = item.choices if isinstance(item.context, str) else item.context
    lengths = {
        "acc": np.ones(len(lls)),
        "acc_norm": np.array([float(len(text)) for text in texts]),
        "acc_bytes": np.array([float(len(text.encode())) for text in texts]),
        "acc_token": scores.num_tokens[part].astype(np.float64),
    }
    return [
        (metric, float(np.argmax(lls / length) == item.answer), 1.0, 1 / len(lls))
        for metric, length in lengths.items()
    ]


def _likelihood(item: Item, lls: np.ndarray, scores: Scores, part: slice) -> _Metrics:
    nats = float(lls[0])
    bits, num_bytes = -nats / math.log(2), float(len(item.choices[0].encode()))
    return [
        ("log_likelihood", nats, 1.0, None),
        ("bits", bits, 1.0, None),
        ("bits_per_byte", bits / num_bytes, num_bytes, None),
        ("greedy", float(scores.greedy[part.start]), 1.0, None),
    ]
