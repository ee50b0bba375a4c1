"""How few-bit numbers lie in a file: int4 and int8 in int32 words, NF4 in bytes, and back.

The layouts are those of compressed-tensors (``pack-quantized``) and of bitsandbytes (4 bits with
double quantization), so that others read them.
"""

from functools import lru_cache

import torch

NF4_BLOCK = 64
"""Weights that share a scale in NF4."""

SCALE_BLOCK = 256
"""Scales that share a scale of their own (double quantization)."""

_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
_LOOKUP = 65_535
"""bitsandbytes finds the code of a scale in a table of this many steps over [-1, 1]."""


def pack_int32(codes: torch.Tensor, num_bits: int) -> torch.Tensor:
    """Codes [out, in] as int32 words [out, ⌈in·bits/32⌉], the first code in the lowest bits.

    A code c is stored as c + 2^(bits−1) (compressed-tensors, ``pack-quantized``). The last word of
    a row is filled up with zero bits.

    Args:
        codes: int8, from −2^(bits−1) to 2^(bits−1) − 1.
        num_bits: 4 or 8.
    """
    rows, columns = codes.shape
    unsigned = (codes.to(torch.int16) + (1 << (num_bits - 1))).to(torch.uint8)
    per_word = 32 // num_bits
    unsigned = torch.nn.functional.pad(unsigned, (0, -columns % per_word))
    if num_bits == 4:
        unsigned = unsigned[:, ::2] | (unsigned[:, 1::2] << 4)
    return unsigned.contiguous().view(torch.int32).view(rows, -1)


def unpack_int32(words: torch.Tensor, num_bits: int, columns: int) -> torch.Tensor:
    """The int8 codes [out, columns] of ``pack_int32``."""
    stored = words.contiguous().view(torch.uint8)
    if num_bits == 4:
        stored = torch.stack((stored & 15, stored >> 4), dim=-1).flatten(1)
    return (stored[:, :columns].to(torch.int16) - (1 << (num_bits - 1))).to(torch.int8)


def nf4_levels() -> torch.Tensor:
    """The sixteen levels of NF4, float32, ascending (QLoRA, appendix E)."""
    return torch.tensor(_NF4, dtype=torch.float32)


@lru_cache(maxsize=1)
def scale_levels() -> torch.Tensor:
    """The 256 levels of the dynamic 8-bit type, float32, ascending, of a scale's scale.

    For every exponent e from −6 to 0, the midpoints of 2^(e+6) equal parts of [0.1, 1] times 10^e,
    with both signs; 0 and 1 (8-bit Approximations for Parallelism, section 2).
    """
    levels = [0.0, 1.0]
    for step in range(7):
        edges = torch.linspace(0.1, 1.0, 2**step + 1, dtype=torch.float32)
        middles = (edges[:-1] + edges[1:]) / 2.0
        levels += (10.0 ** (step - 6) * middles).tolist()
        levels += (-(10.0 ** (step - 6)) * middles).tolist()
    return torch.tensor(sorted(levels), dtype=torch.float32)


@lru_cache(maxsize=1)
def _scale_lookup() -> torch.Tensor:
    """The nearest level's number for each of the 65,536 places of bitsandbytes' table."""
    places = torch.arange(_LOOKUP + 1, dtype=torch.float64) / (_LOOKUP / 2) - 1.0
    levels = scale_levels().double()
    return torch.bucketize(places, (levels[:-1] + levels[1:]) / 2.0).to(torch.uint8)


def encode_nf4(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """A weight as NF4 with double quantization; bit for bit as bitsandbytes 0.50.2 has it.

    Args:
        weight: float32, of any shape, in row-major order; elements in multiples of 64.

    Returns:
        ``codes`` uint8 [elements/2, 1] (the first of a pair in the high bits), ``absmax`` uint8
        [blocks], ``nested_absmax`` float32 [⌈blocks/256⌉], ``offset`` float32 [].
    """
    blocks = weight.reshape(-1, NF4_BLOCK)
    largest = blocks.abs().amax(dim=1)
    levels = nf4_levels()
    middles = (levels[:-1] + levels[1:]) / 2.0
    half = torch.empty(blocks.numel() // 2, dtype=torch.uint8)
    step = 1 << 12  # blocks that stay in the processor's cache through the comparisons
    for start in range(0, len(blocks), step):
        part = blocks[start : start + step]
        inverse = 1.0 / largest[start : start + step, None].clamp(min=1e-38)
        codes = _count_below((part * inverse).clamp_(-1, 1), middles).view(-1, 2)
        at = start * NF4_BLOCK // 2
        half[at : at + len(codes)] = (codes[:, 0] << 4) | codes[:, 1]
    offset = largest.mean()
    return {"codes": half[:, None], "offset": offset, **_encode_scales(largest - offset)}


def _count_below(values: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Edges below each value, uint8: ``bucketize``, three times as fast for 15 edges."""
    counts = torch.zeros(values.shape, dtype=torch.uint8)
    above = torch.empty(values.shape, dtype=torch.bool)
    for edge in edges:
        torch.gt(values, edge, out=above)
        counts.add_(above.view(torch.uint8))
    return counts


def _encode_scales(scales: torch.Tensor) -> dict[str, torch.Tensor]:
    num = len(scales)
    padded = torch.nn.functional.pad(scales, (0, -num % SCALE_BLOCK)).view(-1, SCALE_BLOCK)
    largest = padded.abs().amax(dim=1)
    share = padded / torch.where(largest > 0, largest, torch.ones_like(largest))[:, None]
    place = ((share + 1.0) * (_LOOKUP / 2) + 0.5).floor_().clamp_(0, _LOOKUP)
    codes = _scale_lookup()[place.long()].flatten()[:num]
    return {"absmax": codes, "nested_absmax": largest}


def decode_nf4(
    codes: torch.Tensor,
    absmax: torch.Tensor,
    nested_absmax: torch.Tensor,
    offset: torch.Tensor,
    shape: tuple[int, ...],
    first_block: int = 0,
) -> torch.Tensor:
    """The float32 weight that ``encode_nf4`` stored, or some of its blocks.

    Args:
        codes: of the wanted blocks.
        absmax: of the wanted blocks.
        nested_absmax: of the whole weight.
        offset: of the whole weight.
        shape: of what is wanted.
        first_block: number of the first block that is wanted.
    """
    scale = scale_levels()[absmax.long()]
    place = torch.arange(first_block, first_block + len(scale)) // SCALE_BLOCK
    scale = scale * nested_absmax[place] + offset
    flat = codes.reshape(-1)
    values = _nf4_pairs()[flat.long()].view(-1, NF4_BLOCK)
    return (values * scale[:, None]).view(shape)


@lru_cache(maxsize=1)
def _nf4_pairs() -> torch.Tensor:
    """Both levels of every byte, float32 [256, 2]: one look-up instead of shifts and two."""
    byte = torch.arange(256)
    return torch.stack((nf4_levels()[byte >> 4], nf4_levels()[byte & 15]), dim=1)
