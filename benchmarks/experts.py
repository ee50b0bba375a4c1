"""Routed experts in turn: polylect's dispatch, transformers' three, a dense block of equal FLOPs.

    python benchmarks/experts.py                         all shapes, 15 rounds
    python benchmarks/experts.py --tokens 128 --rounds 40
    python benchmarks/experts.py --memory                peak memory instead of time

Width 512, float32, one thread; 8 experts of width 704, two for a token, and 64 of width 176, eight
for a token; the dense SwiGLU block has the width of a token's experts together (1,408). A round
runs each contestant once, forward and backward with the gradients of the tokens, the router's
weights and all parameters, which start from None as in training. Times are CPU seconds of the
process, ratios those of medians over rounds (in brackets: of minima). The floor is the nine matrix
products of each expert alone, one expert after the other, on sorted rows and into buffers that
exist. Peak memory is what a process of its own grows by over its parameters, in three rounds.
transformers' batched_mm copies the weights of every choice of every token: above 256 tokens that
would be gigabytes, so that it is left out, and below it runs in three rounds only.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import transformers
from transformers.models.llama.modeling_llama import LlamaMLP
from transformers.models.mixtral.modeling_mixtral import MixtralExperts

from polylect.models import POLYLECT_EXPERTS, routed
from polylect.models.stacked_experts import stacked_forward

WIDTH, DENSE = 512, 1408
SHAPES = ((8, 2, 704), (64, 8, 176))
NAMES = (
    "dense",
    "floor",
    "polylect separate",
    "polylect stacked",
    "eager",
    "grouped_mm",
    "batched_mm",
)
TARGETS = {(2048, 8): 1.15, (2048, 64): 1.35, (128, 8): 1.7}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=int, nargs="*", default=[2048, 128, 8])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--skip", nargs="*", default=[], choices=NAMES[1:])
    parser.add_argument("--experts", type=int, nargs="*", default=[n for n, _, _ in SHAPES])
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    if options.peak:
        name, *shape = options.peak
        peak(name, *map(int, shape), dtype)
        return
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {options.dtype},"
          f" {options.rounds} rounds")  # fmt: skip
    for tokens in options.tokens:
        for shape in SHAPES:
            if shape[0] not in options.experts:
                continue
            if options.memory:
                remember(tokens, shape, dtype)
            else:
                compare(tokens, shape, options.rounds, dtype, options.skip)


def compare(
    tokens: int, shape: tuple[int, int, int], rounds: int, dtype: torch.dtype, skip: list[str]
) -> None:
    n, k, f = shape
    names = [one for one in NAMES if one not in skip and (one != "batched_mm" or tokens <= 256)]
    steps = {name: contestant(name, tokens, n, k, f, dtype) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name, step in steps.items():
            if name == "batched_mm" and number > 3:
                continue
            gc.collect()
            start = time.process_time()
            step()
            if number:  # the first warms up
                times[name].append(time.process_time() - start)
    dense = times["dense"]
    print(f"\n{tokens} tokens, {n} experts of {f}, {k} for a token; load {os.getloadavg()[0]:.1f}")
    for name, few in times.items():
        middle, least = median(few) / median(dense), min(few) / min(dense)
        print(
            f"{name:18} {median(few) * 1e3:8.1f} ms {middle:7.2f} [{least:.2f}] x dense", flush=True
        )
    if (tokens, n) in TARGETS:
        print(f"target {TARGETS[tokens, n]} x dense")


def remember(tokens: int, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    print(f"\n{tokens} tokens, {shape[0]} experts of {shape[2]}, {shape[1]} for a token")
    for name in NAMES:
        if name != "batched_mm" or tokens <= 256:
            print(f"{name:18} {grown(name, tokens, shape, dtype):7.0f} MiB", flush=True)


def contestant(
    name: str, tokens: int, n: int, k: int, f: int, dtype: torch.dtype
) -> Callable[[], None]:
    """A function that makes one forward and backward pass; all have the same routing."""
    torch.manual_seed(0)
    x = torch.randn(tokens, WIDTH, dtype=dtype, requires_grad=True)
    grad = torch.randn(tokens, WIDTH, dtype=dtype)
    weight, index = torch.randn(tokens, n).softmax(1).topk(k)
    weight = weight.to(dtype).requires_grad_()
    if name == "floor":
        return floor(index, n, f, dtype)
    module, call = build(name, n, f)
    module.to(dtype)

    def step() -> None:
        module.zero_grad(set_to_none=True)
        x.grad = weight.grad = None
        call(x, index, weight).backward(grad)

    return step


def build(name: str, n: int, f: int) -> tuple[torch.nn.Module, Callable[..., torch.Tensor]]:
    if name == "dense":
        dense = LlamaMLP(llama(DENSE))
        return dense, lambda x, index, weight: dense(x)
    if name == "polylect separate":
        experts = torch.nn.ModuleList(LlamaMLP(llama(f)) for _ in range(n))
        return experts, lambda x, index, weight: routed(x, index, weight, experts)
    config = transformers.MixtralConfig(
        hidden_size=WIDTH, intermediate_size=f, num_local_experts=n, num_attention_heads=8
    )
    assert stacked_forward  # importing it registered it
    config._experts_implementation = POLYLECT_EXPERTS if name == "polylect stacked" else name
    stacked = MixtralExperts(config)
    for parameter in stacked.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return stacked, stacked


def llama(width: int) -> transformers.LlamaConfig:
    return transformers.LlamaConfig(hidden_size=WIDTH, intermediate_size=width)


def floor(index: torch.Tensor, n: int, f: int, dtype: torch.dtype) -> Callable[[], None]:
    """The matrix products alone, each expert's into buffers of its own rows."""
    counts = torch.bincount(index.flatten(), minlength=n).tolist()
    w = torch.randn(n, 2 * f, WIDTH, dtype=dtype), torch.randn(n, WIDTH, f, dtype=dtype)
    grads = torch.empty_like(w[0]), torch.empty_like(w[1])
    rows = torch.randn(index.numel(), WIDTH, dtype=dtype)
    inner, value = (
        torch.randn(len(rows), 2 * f, dtype=dtype),
        torch.randn(len(rows), f, dtype=dtype),
    )
    first, second, third = (torch.empty_like(one) for one in (inner, rows, value))

    def step() -> None:
        start = 0
        for e, count in enumerate(counts):
            at = slice(start, start + count)
            start += count
            if count:
                torch.mm(rows[at], w[0][e].t(), out=first[at])
                torch.mm(value[at], w[1][e].t(), out=second[at])
                torch.mm(rows[at], w[1][e], out=third[at])
                torch.mm(rows[at].t(), value[at], out=grads[1][e])
                torch.mm(inner[at].t(), rows[at], out=grads[0][e])
                torch.mm(inner[at], w[0][e], out=second[at])

    return step


def grown(name: str, tokens: int, shape: tuple[int, int, int], dtype: torch.dtype) -> float:
    """MiB by which a process of its own grows over its parameters and inputs."""
    n, k, _ = shape
    words = ["--peak", name, str(tokens), str(n), str(k), "--dtype", str(dtype).split(".")[1]]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True,
                          check=True)  # fmt: skip
    return float(done.stdout.split()[-1])


def peak(name: str, tokens: int, n: int, k: int, dtype: torch.dtype) -> None:
    f = next(f for experts, _k, f in SHAPES if experts == n)
    contestant(name, 2, n, k, f, dtype)()  # what is loaded on first use
    step = contestant(name, tokens, n, k, f, dtype)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    for _ in range(3):
        step()
    print(status("VmHWM") - before)


def status(key: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{key}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
