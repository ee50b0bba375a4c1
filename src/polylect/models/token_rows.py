"""Tokens that a model has no row for: a tokenizer may have more of them than the embedding."""

from typing import TYPE_CHECKING, cast

import numpy as np

from polylect.text import no_row

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def check_rows(model: "PreTrainedModel", ids: np.ndarray) -> None:
    """Check that the embedding has a row for every token.

    Raises:
        InputError: names a token without one.
    """
    weight = cast("torch.Tensor", model.get_input_embeddings().weight)
    num_rows = int(weight.shape[0])
    if len(ids) and int(ids.max()) >= num_rows:
        raise no_row(int(ids.max()), num_rows)
