"""Texts as the encoder of a name sees them; the encoder that a saved model was fitted with."""

from collections.abc import Sequence
from pathlib import Path

from polylect.base import InputError, Ledger
from polylect.engine import Encoder, embed, find_encoder
from polylect.people.crowd import Seen, Text
from polylect.people.ngrams import NGRAMS
from polylect.people.saved import Origin


def see(
    texts: Sequence[Text],
    encoder: str | Encoder = NGRAMS,
    ledger: Ledger | None = None,
    cache: Path | None = None,
) -> Seen:
    """The texts with their vectors, float32 [texts, width].

    ``hidden`` reads a response after its prompt, the vector is of the response; ``vectors`` looks
    both up; ``ngrams`` and ``sentence`` see the response alone.

    Args:
        texts: in any order; equal ones have equal vectors.
        encoder: name of the encoder; see ``engine.embed``.
        ledger: counts texts that were cut, or that the encoder does not know.
        cache: folder of vectors; None for none.

    Raises:
        InputError: there is no such encoder, or it cannot see the texts.
    """
    vectors = embed(
        [text.response for text in texts],
        encoder,
        contexts=[text.prompt for text in texts],
        languages=[text.language for text in texts],
        ledger=ledger,
        cache=cache,
    )
    return Seen(tuple(texts), vectors)


def encoder_of(origin: Origin, name: str | None = None, option: str = "--encoder") -> Encoder:
    """The encoder that a model was fitted with.

    Args:
        origin: of the saved model.
        name: where it lies now, or a file with the vectors of other texts; None for where it was.
        option: what errors call it.

    Raises:
        InputError: it is not there, or it is another encoder.
    """
    encoder = find_encoder(name or origin.encoder or NGRAMS, option)
    if origin.encoder_digest and encoder.digest != origin.encoder_digest:
        raise InputError(
            f"{encoder.name}: not the encoder that the model was fitted with: {origin.encoder},"
            f" digest {origin.encoder_digest[:12]}, this is {encoder.digest[:12]}",
            f"{option} with that encoder, or fit the model again",
        )
    return encoder
