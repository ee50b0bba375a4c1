"""Round to nearest on symmetric grids: scales, codes, dequantization."""

import torch

_TOP = {8: 127.0, 4: 7.5}
_RANGE = {8: (-127, 127), 4: (-8, 7)}


def scales_of(
    weight: torch.Tensor, num_bits: int, group: int, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Scales [out, in/group]: the largest magnitude over 127 (8 bits) or 7.5 (4 bits).

    Args:
        weight: float32 [out, in].
        num_bits: 8 or 4.
        group: inputs per scale; divides the number of inputs.
        dtype: storage type of the scales.
    """
    rows, columns = weight.shape
    largest = weight.view(rows, columns // group, group).abs().amax(dim=2)
    scale = (largest / _TOP[num_bits]).to(dtype)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def nearest(weight: torch.Tensor, scale: torch.Tensor, num_bits: int) -> torch.Tensor:
    """int8 codes [out, in]: weight over scale, rounded half to even in float64, clipped.

    Args:
        weight: float [out, in].
        scale: [out, groups].
        num_bits: 8 or 4.
    """
    rows, columns = weight.shape
    low, high = _RANGE[num_bits]
    codes = torch.empty(rows, columns, dtype=torch.int8)
    step = max(1, (1 << 20) // columns)  # rows converted to float64 at a time
    for start in range(0, rows, step):
        part = (
            weight[start : start + step]
            .double()
            .view(-1, scale.shape[1], columns // scale.shape[1])
        )
        part = part / scale[start : start + step].double()[:, :, None]
        codes[start : start + step] = part.round_().clamp_(low, high).view(-1, columns)
    return codes


def restored(codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Dequantized float32 weight [out, in] from codes and scales [out, groups]."""
    rows, columns = codes.shape
    groups = scale.shape[1]
    wide = codes.view(rows, groups, columns // groups).float()
    return (wide * scale.float()[:, :, None]).view(rows, columns)
