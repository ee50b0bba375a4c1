"""Tokens that a model has no row for: a tokenizer may have more of them than the embedding."""

from typing import TYPE_CHECKING

import numpy as np

from polylect.text import no_row

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_rows(model: "PreTrainedModel", ids: np.ndarray) -> None:
    """Check that the embedding has a row for every token.

    Raises:
        InputError: names a token without one.
    """
    num_rows = int(model.get_input_embeddings().weight.shape[0])
    if len(ids) and int(ids.max()) >= num_rows:
        raise no_row(int(ids.max()), num_rows)
