"""Clusters of the languages of a lifecycle: an expert is trained on each."""

from collections.abc import Sequence

from polylect.base import CODE, UNKNOWN, UndecidableError, described, language

ANCHORS = ("en", "es", "fr")
"""The languages that every expert is trained on."""

CLUSTERS: dict[str, tuple[str, ...]] = {
    "germanic-romance": ("de", "nl", "it", "pt", "ro"),
    "slavic-greek": ("cs", "pl", "ru", "uk", "el"),
    "near-east-india": ("ar", "he", "fa", "tr", "hi"),
    "east-asia": ("zh-Hans", "zh-Hant", "ja", "ko", "vi", "id"),
}
"""Clusters of the default languages; others are grouped by family and script. The anchors belong to
all of them."""


def anchors_in(languages: Sequence[str], anchors: Sequence[str] = ANCHORS) -> tuple[str, ...]:
    """The anchor languages that there is text in."""
    tags = [language(tag, "--anchors").tag for tag in anchors]
    return tuple(tag for tag in dict.fromkeys(tags) if tag in languages)


def clusters_of(
    languages: Sequence[str], anchors: Sequence[str] = ANCHORS
) -> dict[str, tuple[str, ...]]:
    """The clusters with text in a language besides the anchors, and code; without the anchors.

    Languages outside the default clusters are grouped by family and script; where that is one
    group, each is a cluster of its own.

    >>> clusters_of(["ca", "cy", "de", "eu"])
    {'germanic-romance': ('de',), 'indo-european-latn': ('ca', 'cy'), 'basque-latn': ('eu',)}

    Raises:
        UndecidableError: fewer than two clusters, so that no cluster can pay for another.
    """
    present = {
        name: tuple(tag for tag in tags if tag in languages and tag not in anchors)
        for name, tags in CLUSTERS.items()
    }
    clusters = {name: tags for name, tags in present.items() if tags}
    placed = {tag for tags in CLUSTERS.values() for tag in tags} | {*anchors, CODE.tag}
    others = [tag for tag in languages if tag not in placed]
    groups: dict[str, tuple[str, ...]] = {}
    for tag in others:
        known = described(tag)
        name = tag if known.family == UNKNOWN else f"{known.family}-{known.script}"
        name = name.lower().replace(" ", "-")
        groups[name] = (*groups.get(name, ()), tag)
    has_code = CODE.tag in languages
    if len(clusters) + len(groups) + has_code < 2:
        groups = {tag: (tag,) for tag in others}
    clusters |= groups
    if has_code:
        clusters["code"] = ("code",)
    if len(clusters) < 2:
        raise UndecidableError(
            f"the text holds {' '.join(languages)}: one cluster of languages, so none can pay for"
            " another",
            "add text in languages of another cluster: polylect languages",
        )
    return clusters
