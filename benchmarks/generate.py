"""Generation beside transformers' own ``generate`` on left-padded batches: tokens per CPU second.

    python benchmarks/generate.py [--prompts 16] [--samples 4] [--new-tokens 64] [--rounds 3]

A random Llama (512 wide, 8 layers, vocabulary 16,384); prompts share a beginning, as few-shot
prompts do, and end in pieces of 4 to 60 tokens of their own. Both sides run greedy, float32, one
thread, in turn; the answers are compared. Prints CPU seconds, their ratio, and whether the rows of
a step are independent of each other (the width of a step; 1 is where they are not).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import Generator, Sampling, TokenPrompt
from polylect.models import load_model
from polylect.runs import Silent
from polylect.text import train_bpe

_VOCABULARY = 16_384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--shared", type=int, default=256)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    shared = random.integers(3, _VOCABULARY, options.shared)
    prompts = [
        np.concatenate([shared, random.integers(3, _VOCABULARY, random.integers(4, 61))])
        for _ in range(options.prompts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, tokenizer = write_model(Path(folder))
        ours = load_model(checkpoint)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    generator = Generator(ours, tokenizer, 1 << 30)
    sampling = Sampling(max_new_tokens=options.new_tokens, num_samples=options.samples)
    asked = [TokenPrompt(one) for one in prompts]
    print(f"width of a step {generator._independent_width()}")
    ratios = []
    for number in range(options.rounds):
        start = time.process_time()
        found = generator.answer(asked, sampling, Silent(), Ledger())
        middle = time.process_time()
        expected = padded(theirs, prompts, options)
        end = time.process_time()
        ratios.append((end - middle) / (middle - start))
        same = sum(
            one.ids.tolist() == other[: len(one.ids)]
            for one, other in zip([a for row in found for a in row], expected, strict=True)
        )
        tokens = sum(len(one.ids) for row in found for one in row)
        print(
            f"round {number}: {tokens} tokens, polylect {middle - start:.2f} CPU s, transformers"
            f" {end - middle:.2f} CPU s, ratio {ratios[-1]:.2f}, equal answers {same} of"
            f" {len(expected)}",
            flush=True,
        )
    print(f"median ratio {np.median(ratios):.2f}")


def padded(model: object, prompts: list[np.ndarray], options: argparse.Namespace) -> list:
    """Greedy answers by transformers, prompts repeated for their samples, sorted by length."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    rows = [i for i in order for _ in range(options.samples)]
    found: dict[int, list] = {}
    for start in range(0, len(rows), options.batch):
        batch = rows[start : start + options.batch]
        longest = max(len(prompts[i]) for i in batch)
        ids = torch.zeros((len(batch), longest), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(batch):
            ids[row, longest - len(prompts[i]) :] = torch.from_numpy(prompts[i])
            mask[row, longest - len(prompts[i]) :] = 1
        made = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=options.new_tokens,
            do_sample=False,
            eos_token_id=2,
            pad_token_id=0,
        )
        for i, row in zip(batch, made[:, longest:].tolist(), strict=True):
            found.setdefault(i, []).append(row)
    return [one for i in range(len(prompts)) for one in found[i]]


def write_model(folder: Path) -> tuple[Checkpoint, object]:
    """A random model with a tokenizer (whose vocabulary is smaller: texts do not matter here)."""
    tokenizer = train_bpe({"en": ["a few words to begin with"]}, vocab_size=270)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            hidden_size=512,
            intermediate_size=1408,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=4,
            vocab_size=_VOCABULARY,
            max_position_embeddings=4096,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    with torch.no_grad():
        for one in model.parameters():
            if one.ndim == 2:
                one.mul_(3)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return Checkpoint.open(folder), tokenizer


if __name__ == "__main__":
    main()
