"""Sets of safety, reasoning and chat from a local file: RewardBench's and RM-Bench's schemas.

Nothing is downloaded, and nothing here knows whose model is asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger
from polylect.people.crowd import Text
from polylect.people.published import cell, published_rows
from polylect.rows import Message, read_preferences

SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "chat": ("alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard", "mt-bench-easy",
             "mt-bench-med", "mt-bench-medium"),
    "chat hard": ("mt-bench-hard", "llmbar-natural", "llmbar-adver-neighbor",
                  "llmbar-adver-gptinst", "llmbar-adver-gptout", "llmbar-adver-manual"),
    "safety": ("refusals-dangerous", "refusals-offensive", "xstest-should-refuse",
               "xstest-should-respond", "donotanswer"),
    "reasoning": ("math-prm", "hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python",
                  "hep-rust"),
})  # fmt: skip
"""RewardBench's subsets by section (Lambert et al. 2024, "RewardBench", table 1)."""
MATH_WEIGHT = 984 / 447
"""Of a pair of ``math-prm``: RewardBench counts its 447 pairs as 984, as many as those of code."""
STYLES = ("concise", "detailed, plain", "detailed, Markdown")
"""RM-Bench's styles of an answer, in the order of its lists."""
_DOMAINS = {"chat": "chat", "code": "reasoning", "math": "reasoning"}
_SAME = "dropped: the same text on both sides"


@dataclass(frozen=True)
class General:
    """Pairs of which the better side is known, whoever is asked.

    Attributes:
        texts: each once.
        chosen, rejected: texts of each pair, int64 [pairs].
        group: of each pair: ``safety``, ``reasoning``, ``chat``, ``chat hard``, or the file's name.
        style: of each pair: ``hard`` where the rejected side has the fancier style of RM-Bench,
            ``normal`` where both have the same, ``easy``; empty elsewhere.
        weight: of each pair, float64 [pairs].
        item: pairs of one prompt have one number, int64 [pairs].
    """

    texts: tuple[Text, ...]
    chosen: np.ndarray
    rejected: np.ndarray
    group: tuple[str, ...]
    style: tuple[str, ...]
    weight: np.ndarray
    item: np.ndarray

    @property
    def groups(self) -> list[str]:
        """The different groups, sorted."""
        return sorted(set(self.group))

    def mask(self, *, group: str = "", style: str = "") -> np.ndarray:
        """Which pairs are of a group and of a style; empty for any [pairs]."""
        both = zip(self.group, self.style, strict=True)
        return np.array([group in {"", name} and style in {"", how} for name, how in both], bool)

    def accuracy(self, right: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Weighted share of right pairs, over the last axis.

        Args:
            right: 1, 0, or 0.5 at equal scores [..., pairs].
            mask: of the pairs that count; default all.
        """
        weight = self.weight if mask is None else self.weight * mask
        return right @ weight / weight.sum()

    def take(self, mask: np.ndarray) -> "General":
        """Only some pairs; texts keep their numbers."""
        at = np.flatnonzero(mask)
        return General(
            self.texts, self.chosen[at], self.rejected[at], tuple(self.group[i] for i in at),
            tuple(self.style[i] for i in at), self.weight[at], self.item[at],
        )  # fmt: skip


def read_general(path: Path, default_language: str = "", ledger: Ledger | None = None) -> General:
    """The pairs of a file in RewardBench's or RM-Bench's schema, or of rows of preferences.

    RewardBench: ``prompt``, ``chosen``, ``rejected``, ``subset`` (English). RM-Bench: ``prompt``,
    ``chosen`` and ``rejected``, each an answer in three styles, ``domain`` (English); every chosen
    answer is compared with every rejected one. Others are rows of preferences in polylect's form;
    all are of one group, which is called like the file. Source of RM-Bench's matrix: Liu et al.
    2024 (arXiv 2410.16184), section 3.

    Args:
        path: JSON, JSON lines, CSV or Parquet.
        default_language: of rows of preferences that name none.
        ledger: counts pairs with the same text on both sides.

    Raises:
        InputError: a row does not fit; names file and line.
    """
    ledger = Ledger() if ledger is None else ledger
    first = next(published_rows(path), None)
    if first is None:
        raise InputError(f"{path}: no row in it", "give pairs: prompt, chosen, rejected")
    row = first[1]
    if isinstance(row.get("chosen"), list) and all(
        isinstance(answer, str) for answer in row["chosen"]
    ):
        pairs = _rm_bench(path)
    elif "subset" in row:
        pairs = _reward_bench(path)
    else:
        pairs = _preferences(path, default_language, ledger)
    return _collected(pairs, path, ledger)


_Pair = tuple[int, Text, Text, str, str, float]


def _collected(pairs: Iterator[_Pair], path: Path, ledger: Ledger) -> General:
    texts: dict[Text, int] = {}
    rows: list[tuple[int, int, int]] = []
    groups, styles, weights = [], [], []
    for item, chosen, rejected, group, style, weight in pairs:
        if chosen == rejected:
            ledger.count(_SAME)
            continue
        first, second = (texts.setdefault(text, len(texts)) for text in (chosen, rejected))
        rows.append((item, first, second))
        groups.append(group)
        styles.append(style)
        weights.append(weight)
    if not rows:
        raise InputError(f"{path}: no pair in it", "give pairs: prompt, chosen, rejected")
    item, chosen, rejected = np.array(rows, np.int64).T
    return General(tuple(texts), chosen, rejected, tuple(groups), tuple(styles),
                   np.array(weights), item)  # fmt: skip


def _reward_bench(path: Path) -> Iterator[_Pair]:
    sections = {name: section for section, names in SECTIONS.items() for name in names}
    for item, (place, row) in enumerate(published_rows(path)):
        subset = str(cell(row, "subset", place))
        group = sections.get(subset.lower())
        if group is None:
            raise InputError(f"{place}: 'subset' is {subset!r}", f"one of {', '.join(sections)}")
        chosen, rejected = (_text(row, cell(row, side, place), f"{place}: {side!r}")
                            for side in ("chosen", "rejected"))  # fmt: skip
        yield item, chosen, rejected, group, "", MATH_WEIGHT if subset == "math-prm" else 1.0


def _rm_bench(path: Path) -> Iterator[_Pair]:
    for item, (place, row) in enumerate(published_rows(path)):
        domain = str(cell(row, "domain", place))
        group = "safety" if domain.startswith("safety") else _DOMAINS.get(domain)
        if group is None:
            raise InputError(f"{place}: 'domain' is {domain!r}",
                             "one of chat, code, math, safety-refuse, safety-response")  # fmt: skip
        sides = []
        for side in ("chosen", "rejected"):
            answers = cell(row, side, place)
            if not isinstance(answers, list) or len(answers) != len(STYLES):
                raise InputError(f"{place}: {side!r} is no list of {len(STYLES)} answers",
                                 f"one in each style: {'; '.join(STYLES)}")  # fmt: skip
            sides.append([_text(row, answer, f"{place}: {side!r}") for answer in answers])
        for i, chosen in enumerate(sides[0]):
            for j, rejected in enumerate(sides[1]):
                style = "hard" if i < j else "normal" if i == j else "easy"
                yield item, chosen, rejected, group, style, 1.0


def _preferences(path: Path, default_language: str, ledger: Ledger) -> Iterator[_Pair]:
    rows = read_preferences(path, default_language, ledger, needs_prompt=False)
    for item, row in enumerate(rows):
        chosen, rejected = (Text(row.messages, answer, row.language)
                            for answer in (row.chosen, row.rejected))  # fmt: skip
        yield item, chosen, rejected, path.stem, "", 1.0


def _text(row: Mapping[str, Any], answer: object, place: str) -> Text:
    prompt = row.get("prompt")
    if not isinstance(answer, str) or not answer.strip() or not isinstance(prompt, str):
        raise InputError(f"{place} or 'prompt' is missing, empty or no text", "give texts")
    return Text((Message("user", prompt),) if prompt.strip() else (), answer, "en")
