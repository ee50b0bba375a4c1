"""Domains from unlabeled text: spherical k-means on the vectors of texts.

The paper's alternative to named domains: each cluster is the domain of one expert, its text what
that expert is trained on, and its centroid, up to length, the domain's vector.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from polylect.base import (
    Count,
    InputError,
    Ledger,
    Seed,
    atomic_file,
    check_settings,
    generator,
    one_blas_thread,
    write_text,
)
from polylect.engine import embed, find_encoder
from polylect.experts.domains import UNTOLD
from polylect.mixtures import EveryLanguage, FolderSource
from polylect.rows import Document

DUPLICATE = "dropped: exact duplicate"
_MAX_ROUNDS = 200


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """How texts are divided into domains.

    Attributes:
        num: number of clusters.
        restarts: starts, of which the one with the highest mean cosine is kept.
        seed: seed of the starts.
    """

    num: Count = 4
    restarts: Count = 8
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Clusters:
    """Texts in clusters; the largest cluster is the first.

    Attributes:
        documents: the texts, in the order of their content.
        labels: number of the cluster of each.
        cosines: of each text with the centroid of its cluster.
        centroids: float64 [clusters, width], of length 1.
    """

    documents: tuple[Document, ...] = field(repr=False)
    labels: np.ndarray
    cosines: np.ndarray
    centroids: np.ndarray


def cluster_texts(
    paths: Sequence[Path],
    encoder: str,
    config: ClusterConfig,
    *,
    cache: Path | None = None,
    ledger: Ledger | None = None,
    default_language: str = "",
) -> Clusters:
    """The texts of files and folders, in clusters.

    The same texts give the same clusters, whatever their order and files. All vectors are held in
    memory.

    Args:
        paths: as ``mixtures.FolderSource`` reads them.
        encoder: see ``engine.embed``.
        config: number of clusters and seed.
        cache: folder for the vectors of texts; None for none.
        ledger: counts exact duplicates, and what ``embed`` does.
        default_language: tag of text that has none.

    Raises:
        InputError: a file cannot be read, or there are fewer distinct texts than clusters.
    """
    ledger = Ledger() if ledger is None else ledger
    by_text: dict[str, Document] = {}
    for path in paths:
        source = FolderSource(path, default_language or None, "data", untold=UNTOLD)
        for document in source.documents(EveryLanguage(), ledger):
            key = document.text.strip()
            if key in by_text:
                ledger.count(DUPLICATE, 1, document.language)
            elif key:
                by_text[key] = document
    if len(by_text) < config.num:
        raise InputError(
            f"{len(by_text)} distinct texts for {config.num} clusters", "give more text, or --num"
        )
    texts = sorted(by_text)
    opened = find_encoder(encoder)
    tags = [by_text[text].language for text in texts]
    vectors = embed(texts, opened, languages=tags, ledger=ledger, cache=cache)
    labels, cosines, centroids = find_clusters(vectors, config)
    return Clusters(tuple(by_text[text] for text in texts), labels, cosines, centroids)


def write_clusters(clusters: Clusters, folder: Path, table: str) -> None:
    """Write ``cluster-1.jsonl`` …, one document per line, and a table with a row per cluster.

    Args:
        clusters: of documents.
        folder: exists.
        table: name of the Parquet file: file, texts, characters, cosine (the mean with the
            centroid), languages (most frequent first).

    Raises:
        StorageError: the folder cannot be written.
    """
    import polars

    rows = []
    for cluster in range(len(clusters.centroids)):
        members = np.flatnonzero(clusters.labels == cluster).tolist()
        documents = [clusters.documents[i] for i in members]
        tags = Counter(document.language for document in documents)
        name = f"cluster-{cluster + 1}.jsonl"
        lines = [json.dumps(_row(document), ensure_ascii=False) for document in documents]
        write_text(folder / name, "".join(f"{line}\n" for line in lines))
        rows.append(
            {
                "file": name,
                "texts": len(documents),
                "characters": sum(len(document.text) for document in documents),
                "cosine": round(float(clusters.cosines[members].mean()), 6),
                "languages": " ".join(sorted(tags, key=lambda tag: (-tags[tag], tag))),
            }
        )
    with atomic_file(folder / table) as temporary:
        polars.DataFrame(rows).write_parquet(temporary)


def _row(document: Document) -> dict[str, str]:
    row = {"text": document.text, "id": document.id}
    if document.language != UNTOLD:
        row["language"] = document.language
    if document.license:
        row["license"] = document.license
    return row


def find_clusters(
    vectors: np.ndarray, config: ClusterConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spherical k-means (Dhillon and Modha 2001) with k-means++ starts.

    Maximizes the sum of the cosines of vectors with the centroid of their cluster. An empty cluster
    gets the vector that fits its own worst. Computed in float64 on one BLAS thread.

    Args:
        vectors: float [texts, width]; their lengths do not count.
        config: number of clusters, starts and seed.

    Returns:
        Labels int64 [texts], cosines float64 [texts], centroids float64 [clusters, width]; the
        largest cluster first, among equally large ones that of the first vector.

    Raises:
        InputError: a vector is 0 or not finite, or there are fewer different directions than
            clusters.

    >>> points = np.array([[1, 0.1], [0, 1], [1, 0], [0.1, 1], [1, 0.2]])
    >>> find_clusters(points, ClusterConfig(num=2))[0].tolist()
    [0, 1, 0, 1, 0]
    """
    units = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        bad = int(np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))[0])
        raise InputError(f"the vector of text {bad + 1} is 0 or not finite", "another --encoder")
    units = units / lengths
    with one_blas_thread():
        tries = [
            _descend(units, _start(units, config.num, config.seed, restart))
            for restart in range(config.restarts)
        ]
        labels, centroids = max(tries, key=lambda attempt: _total(units, *attempt))
        sizes = np.bincount(labels, minlength=config.num)
        firsts = [int(np.argmax(labels == cluster)) for cluster in range(config.num)]
        order = sorted(range(config.num), key=lambda cluster: (-sizes[cluster], firsts[cluster]))
        rank = np.empty(config.num, np.int64)
        rank[order] = np.arange(config.num)
        labels, centroids = rank[labels], centroids[order]
        cosines = np.einsum("ij,ij->i", units, centroids[labels])
    return labels, cosines, centroids


def _total(units: np.ndarray, labels: np.ndarray, centroids: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", units, centroids[labels]))


def _start(units: np.ndarray, num: int, seed: int, restart: int) -> np.ndarray:
    """Centroids of k-means++: each is drawn with probability ∝ 1 − its best cosine so far."""
    random = generator(seed, "clusters", restart)
    chosen = [int(random.integers(len(units)))]
    best = units @ units[chosen[0]]
    while len(chosen) < num:
        distances = np.clip(1 - best, 0, None)
        distances[distances < 1e-12] = 0
        total = distances.sum()
        if not total:
            raise InputError(
                f"the texts have only {len(chosen)} different vectors", f"--num {len(chosen)}"
            )
        pick = int(np.searchsorted(np.cumsum(distances), random.random() * total, side="right"))
        pick = min(pick, int(np.flatnonzero(distances)[-1]))
        chosen.append(pick)
        best = np.maximum(best, units @ units[pick])
    return units[chosen].copy()


def _descend(units: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and centroids at which neither changes the other."""
    labels = np.full(len(units), -1)
    for _ in range(_MAX_ROUNDS):
        cosines = units @ centroids.T
        nearest = cosines.argmax(axis=1)
        own = cosines[np.arange(len(units)), nearest]
        for cluster in range(len(centroids)):
            if not (nearest == cluster).any():
                alone = np.bincount(nearest, minlength=len(centroids))[nearest] == 1
                worst = int(np.where(alone, np.inf, own).argmin())
                nearest[worst], own[worst] = cluster, 1.0
        if (nearest == labels).all():
            break
        labels = nearest
        for cluster in range(len(centroids)):
            mean = units[labels == cluster].sum(axis=0)
            length = np.linalg.norm(mean)
            centroids[cluster] = mean / length if length > 0 else centroids[cluster]
    return labels, centroids
