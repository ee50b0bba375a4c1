"""Opposed users made of the ``persona`` statements: majorities, minorities, divergence are known.

Perez et al. 2022, "Discovering Language Model Behaviors with Model-Written Evaluations": per trait,
statements that a person with it would say, and others that the person would not.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polylect.base import InputError, generator
from polylect.people.crowd import Crowd, Text
from polylect.people.published import cell, published_rows

TRAITS = ("agreeableness", "conscientiousness", "extraversion", "neuroticism", "openness",
          "risk-seeking")  # fmt: skip
"""The six traits that are taken without others being named."""


def persona_crowd(
    folder: Path,
    traits: Sequence[str] = TRAITS,
    num_pairs: int = 500,
    seed: int = 0,
    *,
    is_uneven: bool = False,
    num_repeated: int = 2,
    flip_share: float = 0.0,
) -> Crowd:
    """Users of both poles of every trait, who all label every pair.

    A pair is a statement that a person with a trait would say and another that he would not; every
    statement is in at most one pair. On the pairs of a user's trait the user prefers the side of
    the pole (``openness high`` or ``openness low``); on all others the shorter statement, the first
    in the order of the alphabet where they are equally long: the one rule that all share.

    Args:
        folder: has TRAIT.jsonl for each trait: ``statement`` and ``answer_matching_behavior``.
        traits: names of files.
        num_pairs: of each trait, at most.
        seed: decides which statements are paired.
        is_uneven: three users stand on the high pole of every trait and one on the low, in place
            of one on each.
        num_repeated: pairs of each trait that every user labels twice, so that consistency can be
            measured by test and retest.
        flip_share: of all labels, turned around at random: each for itself.

    Raises:
        InputError: no such trait, or a row without a statement.
    """
    texts: list[Text] = []
    pairs: list[tuple[int, int]] = []
    trait_of: list[int] = []
    for number, trait in enumerate(traits):
        sides: dict[str, list[str]] = {"Yes": [], "No": []}
        for place, row in published_rows(folder / f"{trait}.jsonl"):
            answer = str(cell(row, "answer_matching_behavior", place)).strip()
            if answer not in sides:
                raise InputError(f"{place}: 'answer_matching_behavior' is {answer!r}",
                                 "give Yes or No")  # fmt: skip
            sides[answer].append(str(cell(row, "statement", place)))
        random = generator(seed, "persona", trait)
        high, low = (random.permutation(sorted(set(side)))[:num_pairs].tolist()
                     for side in (sides["Yes"], sides["No"]))  # fmt: skip
        for pair in zip(high, low, strict=False):
            pairs.append((len(texts), len(texts) + 1))
            texts += [Text((), statement, "en") for statement in pair]
            trait_of.append(number)
    poles = [("high", 3 if is_uneven else 1), ("low", 1)]
    users = [(trait, pole, copy) for trait in range(len(traits)) for pole, num in poles
             for copy in range(num)]  # fmt: skip
    names = [f"{traits[trait]} {pole}" + (f" {copy + 1}" if is_uneven and pole == "high" else "")
             for trait, pole, copy in users]  # fmt: skip
    if not 0 <= flip_share < 1:
        raise InputError(f"{flip_share:g} of the labels are flipped", "give a share below 1")
    of_trait = np.array(trait_of)
    first = np.searchsorted(of_trait, of_trait)
    again = np.flatnonzero(np.arange(len(pairs)) - first < num_repeated)
    asked = np.r_[np.arange(len(pairs)), again]
    high_side, low_side = np.array(pairs, np.int32).reshape(-1, 2)[asked].T
    neutral = np.array([_order(texts[a]) < _order(texts[b]) for a, b in pairs], bool)
    order = sorted(range(len(names)), key=names.__getitem__)
    labels = [np.where(of_trait == users[i][0], users[i][1] == "high", neutral)[asked]
              for i in order]  # fmt: skip
    flips = generator(seed, "persona", "flips").random(len(names) * len(asked)) < flip_share
    takes_high = np.concatenate(labels) != flips
    high_all, low_all = np.tile(high_side, len(names)), np.tile(low_side, len(names))
    return Crowd(
        tuple(names[i] for i in order), tuple(texts), np.zeros(len(texts), np.int32),
        np.repeat(np.arange(len(names), dtype=np.int32), len(asked)),
        np.where(takes_high, high_all, low_all), np.where(takes_high, low_all, high_all),
    )  # fmt: skip


def _order(text: Text) -> tuple[int, str]:
    return len(text.response), text.response
