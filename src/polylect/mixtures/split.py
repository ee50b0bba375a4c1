"""Split into train, validation and test: translations together, enough of each language."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from polylect.mixtures.config import CollectConfig
from polylect.rows import Document, Split


def group_of(document: Document) -> str:
    """The group that must stay in one split: the ``parallel`` key, else the document itself."""
    alone = f"{document.source}\x1f{document.language}\x1f{document.id}"
    return f"together\x1f{document.parallel}" if document.parallel else f"alone\x1f{alone}"


def split_groups(documents: Sequence[Document], config: CollectConfig) -> dict[str, Split]:
    """The split of each group (``group_of``), whatever the order of the documents.

    The split is drawn from the digest of the group's name and the seed, so that it does not change
    when other text is added or removed. Where a language is left with less than its share of
    characters, or fewer than ``min_test_documents``, further groups that contain it are moved out
    of training in the order of their digests, smallest language first. A language with too few
    documents for three splits stays as drawn.
    """
    places: dict[str, float] = {}
    sizes: dict[str, dict[str, list[int]]] = defaultdict(dict)  # language, group: documents, chars
    for document in documents:
        group = group_of(document)
        places.setdefault(group, _place(group, config.seed))
        size = sizes[document.language].setdefault(group, [0, 0])
        size[0] += 1
        size[1] += len(document.text)
    sides = {group: _drawn(place, config) for group, place in places.items()}
    shares = {Split.TEST: config.test_share, Split.VALIDATION: config.validation_share}
    characters = {
        tag: sum(size[1] for size in group_sizes.values()) for tag, group_sizes in sizes.items()
    }
    for tag in sorted(sizes, key=lambda tag: (characters[tag], tag)):
        group_sizes = sizes[tag]
        if sum(size[0] for size in group_sizes.values()) <= 2 * config.min_test_documents:
            continue
        order = sorted(group_sizes, key=lambda group: (places[group], group))
        for split, share in shares.items():
            least = (config.min_test_documents, share * characters[tag])
            _fill(sides, split, order, group_sizes, least)
    return sides


def _fill(
    sides: dict[str, Split],
    split: Split,
    order: Sequence[str],
    sizes: Mapping[str, Sequence[int]],
    least: tuple[int, float],
) -> None:
    """Move groups of a language from training to a split until it holds enough; updates ``sides``.

    Args:
        sides: split of each group.
        split: the split to fill.
        order: the language's groups, in the order to move them.
        sizes: documents and characters of the language in each group.
        least: documents and characters that the split should hold.
    """
    on_side = [sizes[group] for group in order if sides[group] is split]
    num_documents, num_characters = (sum(size[at] for size in on_side) for at in (0, 1))
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
