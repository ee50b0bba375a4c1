"""Routers: which teacher's answers to a prompt are used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, Ledger, generator
from polylect.engine import embed
from polylect.feedback.learned_router import LearnedRouter, train_router
from polylect.feedback.pool_config import ROUTERS, RouteConfig
from polylect.feedback.pool_files import PromptKey
from polylect.feedback.usable_answers import RouterTable
from polylect.rows import Prompt

NEXT = "next teacher asked: the chosen one has no usable answer"
UNSEEN = "fixed router: language without a calibration prompt, the best teacher overall"


@dataclass(frozen=True)
class Trained:
    """What routers learned on the calibration part.

    Attributes:
        overall: teachers, the best first.
        by_language: likewise, by language.
        learned: the learned router.
    """

    overall: tuple[int, ...]
    by_language: Mapping[str, tuple[int, ...]]
    learned: LearnedRouter


def calibration_part(prompts: Sequence[PromptKey], share: float, seed: int) -> np.ndarray:
    """Whether each prompt is of the calibration part [prompts].

    Prompts of one id, translations of one another, are of one part. Of every language some are left
    to compare on.

    Raises:
        InputError: there are too few ids for two parts.
    """
    if share == 0:
        return np.zeros(len(prompts), bool)
    ids = sorted({id_ for _, id_ in prompts})
    if len(ids) < 2:
        raise InputError(
            "the pool has one prompt: nothing is left to compare on beside the calibration part",
            "add prompts, or --calibration-share 0 with --by reward, random or all",
        )
    num = min(max(round(share * len(ids)), 1), len(ids) - 1)
    drawn = generator(seed, "calibration").permutation(len(ids))[:num]
    chosen = {ids[i] for i in drawn}
    return np.array([id_ in chosen for _, id_ in prompts])


def order_of(means: np.ndarray, languages: np.ndarray) -> tuple[int, ...]:
    """Teachers, the best first: by languages answered in, mean over languages, then name.

    Args:
        means: reward of each teacher at each prompt, NaN for none [prompts, teachers].
        languages: of the prompts [prompts].
    """
    scores = []
    for teacher in range(means.shape[1]):
        values = means[:, teacher]
        cells = [part[~np.isnan(part)] for tag in sorted(set(languages))
                 for part in [values[languages == tag]]]  # fmt: skip
        known = [float(part.mean()) for part in cells if len(part)]
        mean = sum(known) / len(known) if known else -np.inf
        scores.append((-len(known), -mean, teacher))
    return tuple(teacher for *_, teacher in sorted(scores))


def train_routers(
    table: RouterTable,
    calibration: np.ndarray,
    texts: Sequence[str],
    config: RouteConfig,
    ledger: Ledger,
) -> Trained:
    """What ``best``, ``fixed`` and ``learned`` know from the calibration part.

    Args:
        table: of the pool.
        calibration: whether each prompt is of that part [prompts].
        texts: of the prompts.
        config: of the route.
        ledger: counts prompts that an encoder cuts.
    """
    means = table.means(table.reward)[calibration]
    languages = table.languages[calibration]
    vectors = embed(
        [text for text, is_in in zip(texts, calibration, strict=True) if is_in],
        config.encoder, languages=[str(tag) for tag in languages], ledger=ledger,
    )  # fmt: skip
    return Trained(
        order_of(means, languages),
        {str(tag): order_of(means[languages == tag], languages[languages == tag])
         for tag in sorted(set(languages))},
        train_router(vectors, [str(tag) for tag in languages], means, config.temperature,
                     config.penalty),
    )  # fmt: skip


def preferences_of(
    router: str, trained: Trained | None, prompts: Sequence[Prompt], num_teachers: int,
    config: RouteConfig, ledger: Ledger,
) -> list[tuple[int, ...]]:  # fmt: skip
    """For every prompt the teachers in the order in which a router would ask them.

    No answer is looked at: this is what is known before any is generated.

    Args:
        router: ``best``, ``fixed``, ``learned`` or ``random``.
        trained: None for ``random``.
        prompts: to be routed.
        num_teachers: of the pool.
        config: of the route.
        ledger: counts what ``fixed`` does not know, and prompts that an encoder cuts.
    """
    if router == "random":
        return [
            tuple(generator(config.seed, "route", p.language, p.id).permutation(num_teachers))
            for p in prompts
        ]
    assert trained is not None, router
    if router == "best":
        return [trained.overall] * len(prompts)
    if router == "fixed":
        for prompt in prompts:
            ledger.count(UNSEEN, int(prompt.language not in trained.by_language), prompt.language)
        return [trained.by_language.get(prompt.language, trained.overall) for prompt in prompts]
    assert router == "learned", router
    tags = [prompt.language for prompt in prompts]
    texts = [prompt.prompt for prompt in prompts]
    vectors = embed(texts, config.encoder, languages=tags, ledger=ledger)
    probabilities = trained.learned.probabilities(vectors, tags)
    return [tuple(np.argsort(-row, kind="stable").tolist()) for row in probabilities]


def routed_rows(
    router: str, table: RouterTable, trained: Trained | None, prompts: Sequence[Prompt],
    config: RouteConfig, ledger: Ledger,
) -> list[np.ndarray]:  # fmt: skip
    """The rows that a router uses of each prompt: one, or all of them.

    Args:
        router: its name.
        table: of the pool.
        trained: see ``preferences_of``.
        prompts: of the table, in its order.
        config: of the route.
        ledger: counts prompts at which the chosen teacher has no answer.
    """
    if router == "all":
        return [table.rows_of(i) for i in range(len(prompts))]
    if router == "reward":
        return [np.array([row]) for row in table.best]
    orders = preferences_of(router, trained, prompts, len(table.teachers), config, ledger)
    rows = []
    for i, order in enumerate(orders):
        able = [teacher for teacher in order if table.first[i, teacher] >= 0]
        ledger.count(f"{NEXT} ({router})", int(able[0] != order[0]), prompts[i].language)
        rows.append(table.first[i, able[:1]])
    return rows


def generated_rows(router: str, table: RouterTable, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The rows that must be generated for a router's choice: all where it looks at answers."""
    if router in ("reward", "all"):
        return [table.rows_of(i) for i in range(len(table.prompts))]
    return list(rows)


def known_routers(calibration: np.ndarray) -> tuple[str, ...]:
    """The routers that can be used: three of them need a calibration part."""
    return ROUTERS if calibration.any() else ("reward", "random", "all")
