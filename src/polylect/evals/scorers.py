"""From items to requests, and from answers to rows: the rules of lm-evaluation-harness 0.4.13.

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
from polylect.evals.tasks.task import Task
from polylect.rows import Message

Shots = Sequence[Sequence[Item]]
"""Solved examples before every item."""

Render = Callable[[Sequence[Message]], str]
"""Messages (``role``, ``content``) as the text of a chat that the model is to go on with."""

_BETWEEN_SHOTS = "\n\n"


def choose_shots(
    task: Task, items: Sequence[Item], pool: Sequence[Item], num_shots: int
) -> list[tuple[Item, ...]]:
    """The solved examples before every item, the first of the pool: equal for all where possible.

    Items and pool are of one language. With no pool the items are their own, and an item is left
    out of its own examples. Where all of a pool have a group, an item gets those of its own group.

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
        first = list(items[: num_shots + 1])
        shared = tuple(first[:num_shots])
        inside = {one.id for one in shared}
        found = [
            tuple(other for other in first if other.id != one.id) if one.id in inside else shared
            for one in items
        ]
    else:
        by_group = all(one.group for one in pool)
        of_group: dict[str, tuple[Item, ...]] = {}
        for one in items:
            key = one.group if by_group else ""
            if key not in of_group:
                own = [other for other in pool if not by_group or other.group == key]
                of_group[key] = tuple(own[:num_shots])
        found = [of_group[one.group if by_group else ""] for one in items]
    for one, shots in zip(items, found, strict=True):
        if len(shots) < num_shots:
            raise InputError(
                f"{task.name}: item {one.id!r} ({one.language}) has {len(shots)} examples to go"
                f" before it, not {num_shots}",
                f"--shots {len(shots)}",
            )
    return found


def fewshot_prefix(shots: Sequence[Item]) -> str:
    """Solved examples as text: context, delimiter and right choice, an empty line after each."""
    return "".join(
        f"{one.contexts()[one.answer]}{one.delimiter}{one.choices[one.answer]}{_BETWEEN_SHOTS}"
        for one in shots
    )


def requests(
    items: Sequence[Item], shots: Shots | None = None, render: Render | None = None
) -> list[Likelihood]:
    """The requests of all choices of all items, in order: what ``score_items`` wants answered.

    Args:
        items: of one task.
        shots: solved examples before each; None for none.
        render: how a chat is written; None for plain text. In a chat the item's context is the
            user's message, the examples are earlier turns, and the choice begins the answer, so
            that it has no delimiter.

    Raises:
        InputError: an item without a context is to be put into a chat.
    """
    prefixes: dict[tuple[Item, ...], str] = {}
    found = []
    for item, own in zip(items, shots or [()] * len(items), strict=True):
        if render is None:
            key = tuple(own)
            if key not in prefixes:
                prefixes[key] = fewshot_prefix(own)
            if isinstance(item.context, str):
                contexts = [prefixes[key] + item.context] * len(item.choices)
            else:
                contexts = [prefixes[key] + one for one in item.context]
            texts = [item.delimiter + one for one in item.choices]
        else:
            contexts = [render(messages(one, own)) for one in _prompts(item)]
            contexts *= len(item.choices) // len(contexts)
            texts = list(item.choices)
        found += [
            Likelihood(context, text, chat=render is not None)
            for context, text in zip(contexts, texts, strict=True)
        ]
    return found


def messages(prompt: str, shots: Sequence[Item] = ()) -> list[Message]:
    """The messages of a chat: each example is a question and its answer, then the prompt."""
    turns = []
    for example in shots:
        turns.append(Message("user", example.contexts()[example.answer]))
        turns.append(Message("assistant", example.choices[example.answer]))
    return [*turns, Message("user", prompt)]


def _prompts(item: Item) -> tuple[str, ...]:
    """The contexts that differ."""
    found = (item.context,) if isinstance(item.context, str) else item.context
    if not all(one.strip() for one in found):
        raise InputError(
            f"item {item.id!r} ({item.language}) has no context to put into a chat",
            "score this task without the chat template",
        )
    return found


def score_items(task: Task, items: Sequence[Item], scores: Scores) -> list[dict[str, object]]:
    """Rows of the score table, but for checkpoint and settings; one per item and metric.

    A choice task has ``acc``, ``acc_norm``, ``acc_bytes`` and ``acc_token``, 1 or 0, with 1/n as
    chance. A likelihood task has ``log_likelihood`` (nats), ``bits`` (per item), ``bits_per_byte``
    (weighted by the bytes of the choice without its delimiter) and ``greedy`` (1 where every token
    was the likeliest). A row is truncated when a context of its item was cut, and invalid, with
    value 0, when a log-likelihood is not a number (of a likelihood task: not finite).

    Args:
        task: of the items.
        items: those that ``requests`` was given.
        scores: the answers, in the order of the requests.
    """
    assert len(scores) == sum(len(one.choices) for one in items), "other items than were asked"
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
            wrong = invalid or not math.isfinite(value)
            found = {"metric": metric, "value": 0.0 if wrong else value, "weight": weight}
            rows.append({**shared, **found, "chance": chance, "invalid": wrong})
    return rows


_Found = list[tuple[str, float, float, float | None]]


def _choice(item: Item, lls: np.ndarray, scores: Scores, part: slice) -> _Found:
    measured = item.choices if isinstance(item.context, str) else item.context
    lengths = {
        "acc": np.ones(len(lls)),
        "acc_norm": np.array([float(len(one)) for one in measured]),
        "acc_bytes": np.array([float(len(one.encode())) for one in measured]),
        "acc_token": scores.num_tokens[part].astype(np.float64),
    }
    return [
        (metric, float(np.argmax(lls / length) == item.answer), 1.0, 1 / len(lls))
        for metric, length in lengths.items()
    ]


def _likelihood(item: Item, lls: np.ndarray, scores: Scores, part: slice) -> _Found:
    nats = float(lls[0])
    bits, num_bytes = -nats / math.log(2), float(len(item.choices[0].encode()))
    return [
        ("log_likelihood", nats, 1.0, None),
        ("bits", bits, 1.0, None),
        ("bits_per_byte", bits / num_bytes, num_bytes, None),
        ("greedy", float(scores.greedy[part.start]), 1.0, None),
    ]
