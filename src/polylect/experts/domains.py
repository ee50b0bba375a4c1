"""Domain vectors: the mean of the vectors of texts that an expert was trained on.

The texts are drawn by content: which ones depends on the seed and on what they say, not on their
order in the file, and a text counts once. A vector is averaged in float64 and rounded once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polylect.base import InputError, Ledger, digest_of, language
from polylect.experts.content_sample import ContentSample
from polylect.experts.nexus_checkpoint import NexusCheckpoint
from polylect.experts.place_of_encoder import portable_name, read_place, split_encoder

if TYPE_CHECKING:
    from polylect.engine import Encoder

# Encoders and readers of text are imported where text is read: an operation on files needs none.

UNTOLD = "und"
"""Of text whose language nobody says and the identifier cannot tell: it is text all the same."""
SAME = "equal: the vectors of two domains, which a router cannot tell apart"


@dataclass(frozen=True)
class DomainText:
    """Texts of a domain.

    Attributes:
        texts: distinct, in an order that depends on content and seed.
        tags: language of each.
        num_documents: that were read, of which these were drawn.
        source: name of the file or folder.
    """

    texts: tuple[str, ...] = field(repr=False)
    tags: tuple[str, ...] = field(repr=False)
    num_documents: int
    source: str

    @property
    def digest(self) -> str:
        """Of the texts that were drawn."""
        return digest_of(list(self.texts))

    @property
    def languages(self) -> list[str]:
        """Tags that occur, sorted; not that of texts whose language cannot be told."""
        return sorted(set(self.tags) - {UNTOLD})


@dataclass(frozen=True)
class Domains:
    """The domains of a mixture's experts.

    Attributes:
        vectors: float32 [experts, width]; None where the router does not use any.
        records: of config.json, one per expert.
        encoder: as it was typed; empty without vectors.
        encoder_digest: of all that decides its vectors; empty without.
    """

    vectors: np.ndarray | None
    records: tuple[Mapping[str, Any], ...]
    encoder: str = ""
    encoder_digest: str = ""

    @property
    def width(self) -> int:
        """Of a vector; 0 without."""
        return 0 if self.vectors is None else int(self.vectors.shape[1])

    @property
    def digest(self) -> str:
        """Of the vectors and records."""
        values = None if self.vectors is None else self.vectors.tobytes().hex()
        return digest_of([values, [dict(record) for record in self.records]])


def read_domain(
    path: Path, num_texts: int, seed: int, ledger: Ledger, default_language: str = ""
) -> DomainText:
    """Texts of a domain, drawn from a file or folder as ``mixtures.FolderSource`` reads it.

    Args:
        path: plain text, JSON lines, Parquet, Python files, or a folder of them.
        num_texts: most texts.
        seed: of the draw.
        ledger: counts what was read of languages, and texts that were not drawn.
        default_language: tag of text that has none.

    Raises:
        InputError: there is no text, or it cannot be read.
    """
    from polylect.mixtures import EveryLanguage, FolderSource

    source = FolderSource(path, default_language or None, "data", untold=UNTOLD)
    if default_language:
        language(default_language, "--default-language")
    sample: ContentSample[str] = ContentSample(num_texts, seed)
    for document in source.documents(EveryLanguage(), ledger):
        if text := document.text.strip():
            sample.offer(text, document.language)
    if not sample.num_offered:
        raise InputError(f"{path}: a domain without text", "give text that its expert learned")
    texts = tuple(text for text, _ in sample.drawn())
    tags = tuple(tag for _, tag in sample.drawn())
    return DomainText(texts, tags, sample.num_offered, Path(path).resolve().name)


def domain_encoder(encoder: str, seed_model: Path | None, option: str = "--encoder") -> str:
    """The name of the encoder: the one given, or the hidden states of the seed model.

    Raises:
        InputError: neither is there.
    """
    if encoder:
        return encoder
    if seed_model is None:
        raise InputError(
            "nothing is given that makes vectors of texts", f"{option} hidden:SEED, or ngrams"
        )
    return f"hidden:{seed_model}"


def embed_domain(
    text: DomainText,
    encoder: "Encoder",
    *,
    cache: Path | None = None,
    ledger: Ledger | None = None,
) -> np.ndarray:
    """The domain's vector, float32 [width]: the mean of its texts' vectors.

    Args:
        text: of the domain.
        encoder: see ``engine.find_encoder``.
        cache: folder for the vectors of texts; None for none.
        ledger: counts texts that were cut, or that the encoder does not know.

    Raises:
        InputError: the encoder cannot see a text, or the mean is not finite or 0.
    """
    from polylect.engine import embed

    vectors = embed(text.texts, encoder, languages=text.tags, ledger=ledger, cache=cache)
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not np.isfinite(mean).all() or not mean.any():
        state = "0" if np.isfinite(mean).all() else "not finite"
        raise InputError(
            f"{text.source}: the vector of the domain is {state} by {encoder.name}",
            "give another encoder, or more text",
        )
    return mean


def find_domains(
    texts: Sequence[DomainText],
    encoder: str,
    *,
    cache: Path | None = None,
    ledger: Ledger | None = None,
) -> Domains:
    """The domains of experts, in order, by the mean vectors of their texts.

    Args:
        texts: of every expert.
        encoder: see ``engine.embed``; empty: no vectors, the records only.
        cache: folder for the vectors of texts; None for none.
        ledger: counts what ``embed`` does, and equal vectors.

    Raises:
        InputError: see ``embed_domain``.
    """
    from polylect.engine import find_encoder

    ledger = Ledger() if ledger is None else ledger
    records = tuple(domain_records(texts, encoder))
    if not encoder:
        return Domains(None, records)
    opened = find_encoder(encoder)
    rows = [embed_domain(text, opened, cache=cache, ledger=ledger) for text in texts]
    vectors = np.stack(rows)
    for number, text in enumerate(texts):
        same = (vectors[:number] == vectors[number]).all(axis=1).any()
        ledger.count(SAME, int(same), text.source)
    return Domains(vectors, records, encoder, opened.digest)


def domain_records(texts: Sequence[DomainText], encoder: str) -> list[dict[str, Any]]:
    """What config.json says of domains: all that decides their vectors, and their languages.

    Args:
        texts: of every domain.
        encoder: of their vectors; empty without.

    Raises:
        InputError: the encoder cannot be read.
    """
    from polylect.engine import find_encoder

    digest = find_encoder(encoder).digest if encoder else ""
    return [_record(text, portable_name(encoder) if encoder else "", digest) for text in texts]


def mixture_encoder(mixture: NexusCheckpoint, encoder: str) -> str:
    """The encoder of a mixture's domains: the one given, or the one that it was made with.

    Raises:
        InputError: it is not where it was, or is another; nothing says what it was.
    """
    known = next((record for record in mixture.domains if record.get("encoder_digest")), None)
    place = read_place(mixture.checkpoint.path)
    name = encoder or (place.encoder if place else "")
    stated = str(known["encoder"]) if known else ""
    if not name and stated and not split_encoder(stated)[1]:
        name = stated  # ngrams lie nowhere
    if not name:
        hint = f"--encoder {stated}" if stated else "--encoder hidden:SEED"
        raise InputError(f"{mixture.label}: nothing says where its encoder lies", hint)
    kind, where, _ = split_encoder(name)
    if kind in {"hidden", "vectors"} and not encoder and not Path(where).exists():
        raise InputError(
            f"{mixture.label}: its domains were embedded by {stated or name}, which is not at"
            f" {where}",
            f"say where it lies: --encoder {kind}:PLACE",
        )
    return name


def no_record() -> dict[str, Any]:
    """What config.json says of a domain that nothing is known of."""
    return _record(DomainText((), (), 0, ""), "", "") | {"digest": ""}


def _record(text: DomainText, encoder: str, digest: str) -> dict[str, Any]:
    return {
        "encoder": encoder,
        "encoder_digest": digest,
        "num_texts": len(text.texts),
        "num_documents": text.num_documents,
        "digest": text.digest,
        "source": text.source,
        "languages": text.languages,
    }
