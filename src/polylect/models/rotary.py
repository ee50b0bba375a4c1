"""Rotary positions that depend on the length of the whole sequence (LongRoPE).

From a number of tokens on, Phi 3 and its kin rotate *every* position of a sequence by other
frequencies: a prefix of a long sequence then differs from the same tokens alone, so that it cannot
be shared.
"""

from typing import Any

_BY_LENGTH = "longrope"


def unscaled_tokens(config: Any) -> int | None:
    """Most tokens of a sequence whose prefixes have the positions that they have alone.

    Args:
        config: of a decoder, as transformers has it.

    Returns:
        None where no length changes the positions of the tokens before.
    """
    parameters = getattr(config, "rope_parameters", None) or {}
    # Of all layers, or of each kind of layer.
    kinds = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    limits = [
        int(kind["original_max_position_embeddings"])
        for kind in kinds
        if kind.get("rope_type") == _BY_LENGTH and kind.get("original_max_position_embeddings")
    ]
    return min(limits, default=None)
