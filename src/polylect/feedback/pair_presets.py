"""Mixtures of preferences: the five of "RLHF Can Speak Many Languages", and any other total.

Source: arXiv 2407.02552, section on data; which languages and how many pairs as far as is known
(../docs/guides/feedback.md says what is not).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylect.base import LANGUAGES, check_known, check_once, parts_of
from polylect.base import language as language_of

_FIVE = ("en", "vi", "de", "tr", "pt")
_ALL = tuple(dict.fromkeys(parts_of(tag)[0] for tag in LANGUAGES))
"""Both scripts of Chinese are one of the 23."""


@dataclass(frozen=True)
class PairPreset:
    """Languages and pairs of a mixture.

    Attributes:
        languages: tags.
        total_pairs: in all of them, shared equally.
    """

    languages: tuple[str, ...]
    total_pairs: int


PAIR_PRESETS: Mapping[str, PairPreset] = {
    "en-1-50k": PairPreset(("en",), 50_000),
    "ml-5-50k": PairPreset(_FIVE, 50_000),
    "ml-23-50k": PairPreset(_ALL, 50_000),
    "ml-5-230k": PairPreset(_FIVE, 230_000),
    "ml-23-230k": PairPreset(_ALL, 230_000),
}
"""By name."""


def wanted_pairs(
    preset: str, total_pairs: int | None, languages: Sequence[str], present: Sequence[str]
) -> dict[str, int | None]:
    """Pairs that are wanted of each language; None for all there are.

    Equal parts; what does not divide goes to the first languages, a pair each.

    Args:
        preset: name of a mixture; empty for none.
        total_pairs: in all; None for all, or the preset's.
        languages: that are wanted; empty for the preset's, or all present.
        present: languages of the pool.

    Raises:
        InputError: there is no such preset, or a language is given twice.

    >>> wanted_pairs("", 5, ["de", "tr"], [])
    {'de': 3, 'tr': 2}
    """
    tags = tuple(language_of(tag, "--languages").tag for tag in languages)
    check_once(tags, "--languages")
    if preset:
        problem = f"--pair-preset {preset}: no such mixture"
        check_known(preset.lower(), PAIR_PRESETS, problem, "there are")
        known = PAIR_PRESETS[preset.lower()]
        tags, total = tags or known.languages, total_pairs or known.total_pairs
    else:
        tags, total = tags or tuple(present), total_pairs
    if total is None:
        return dict.fromkeys(tags)
    each, rest = divmod(total, len(tags))
    return {tag: each + (i < rest) for i, tag in enumerate(tags)}
