"""The split into train, validation and test: translations together, enough of every language."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from polylect.mixtures.config import CollectConfig
from polylect.rows import Document, Split


def group_of(document: Document) -> str:
    """What must stay on one side: the ``parallel`` key, or the document alone without one."""
    alone = f"{document.source}\x1f{document.language}\x1f{document.id}"
    return f"together\x1f{document.parallel}" if document.parallel else f"alone\x1f{alone}"


def split_groups(documents: Sequence[Document], config: CollectConfig) -> dict[str, Split]:
    """The side of every group of documents, by ``group_of``; their order does not matter.

    A group's side is drawn from the digest of its name and the seed, so that it stays when other
    text comes or goes. Where this leaves a language with less than its share of characters, or
    fewer than ``min_test_documents``, further groups that hold the language are moved out of
    training, in the order of their digests, thinnest language first. A language with too few
    documents for three sides stays as it was drawn.
    """
    places: dict[str, float] = {}
    sizes: dict[str, dict[str, list[int]]] = defaultdict(dict)  # language, group: documents, chars
    for one in documents:
        group = group_of(one)
        places.setdefault(group, _place(group, config.seed))
        size = sizes[one.language].setdefault(group, [0, 0])
        size[0] += 1
        size[1] += len(one.text)
    sides = {group: _drawn(place, config) for group, place in places.items()}
    shares = {Split.TEST: config.test_share, Split.VALIDATION: config.validation_share}
    characters = {tag: sum(size[1] for size in own.values()) for tag, own in sizes.items()}
    for tag in sorted(sizes, key=lambda one: (characters[one], one)):
        own = sizes[tag]
        if sum(size[0] for size in own.values()) <= 2 * config.min_test_documents:
            continue
        order = sorted(own, key=lambda group: (places[group], group))
        for split, share in shares.items():
            least = (config.min_test_documents, share * characters[tag])
            _fill(sides, split, order, own, least)
    return sides


def _fill(
    sides: dict[str, Split],
    split: Split,
    order: Sequence[str],
    sizes: Mapping[str, Sequence[int]],
    least: tuple[int, float],
) -> None:
    """Move groups of one language from training to a side until it holds enough; changes sides.

    Args:
        sides: side of every group.
        split: the side that gets them.
        order: the language's groups, in the order in which they are moved.
        sizes: documents and characters of the language in each group.
        least: how many documents and characters the side should hold.
    """
    held = [sizes[group] for group in order if sides[group] is split]
    num_documents, num_characters = (sum(size[at] for size in held) for at in (0, 1))
    for group in order:
        if num_documents >= least[0] and num_characters >= least[1]:
            return
        if sides[group] is Split.TRAIN:
            sides[group] = split
            num_documents += sizes[group][0]
            num_characters += sizes[group][1]


def _place(group: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\x1fsplit\x1f{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _drawn(place: float, config: CollectConfig) -> Split:
    if place < config.test_share:
        return Split.TEST
    return Split.VALIDATION if place < config.test_share + config.validation_share else Split.TRAIN
