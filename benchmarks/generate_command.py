"""``polylect generate`` beside transformers' own ``generate``: two processes, from start to file.

    python benchmarks/generate_command.py [--model DIR] [--prompts 16] [--shared 256] [--rounds 2]

Both read the same prompts and write their greedy answers, float32, one thread; transformers
left-pads batches of 16. Without ``--model`` a random Llama is written (512 wide, 8 layers). Prints
CPU seconds and peak memory of each whole process, their ratio, and how many answers are equal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

THEIRS = """
import json, sys, torch, transformers
torch.set_num_threads(1)
folder, file, new, batch, out = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
texts = [json.loads(line)["prompt"] for line in open(file, encoding="utf-8")]
order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
found = {}
for start in range(0, len(order), int(batch)):
    rows = order[start : start + int(batch)]
    given = tokenizer([texts[i] for i in rows], return_tensors="pt", padding=True)
    given.pop("token_type_ids", None)
    made = model.generate(**given, max_new_tokens=int(new), do_sample=False)
    for i, one in zip(rows, made[:, given["input_ids"].shape[1]:], strict=True):
        found[i] = tokenizer.decode(one, skip_special_tokens=True)
json.dump([found[i] for i in range(len(texts))], open(out, "w", encoding="utf-8"))
"""
OURS = "import sys; from polylect.cli import main; sys.exit(main())"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--shared", type=int, default=256)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        model = options.model or random_model(place / "model")
        file = place / "prompts.jsonl"
        file.write_text("".join(f"{json.dumps(one)}\n" for one in prompts(options)), "utf-8")
        ratios = []
        for number in range(options.rounds):
            out = place / f"ours-{number}"
            seconds, peak = measured(
                OURS, "generate", model, "--prompts", file, "--template", "none",
                "--max-new-tokens", options.new_tokens, "--threads", 1, "--out", out,
            )  # fmt: skip
            mine = pl.read_parquet(out / "answers.parquet")
            answers = place / "theirs.json"
            other, most = measured(THEIRS, model, file, options.new_tokens, 16, answers)
            theirs = json.loads(answers.read_text("utf-8"))
            ratios.append(other / seconds)
            same = sum(a.strip() == b.strip() for a, b in zip(mine["answer"], theirs, strict=True))
            print(
                f"round {number}: {mine['num_tokens'].sum()} tokens; polylect {seconds:.1f} CPU s,"
                f" {peak:.0f} MiB; transformers {other:.1f} CPU s, {most:.0f} MiB; ratio"
                f" {ratios[-1]:.2f}; equal answers {same} of {len(theirs)}",
                flush=True,
            )
    print(f"median ratio {np.median(ratios):.2f}")


def measured(program: str, *words: object) -> tuple[float, float]:
    """CPU seconds and peak MiB of a whole process."""
    child = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"exit code {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def prompts(options: argparse.Namespace) -> list[dict[str, str]]:
    """A shared beginning, then words of each prompt's own."""
    random = np.random.default_rng(0)
    words = ["a", "few", "words", "to", "begin", "with", "and", "others", "that", "follow"]
    shared = " ".join(random.choice(words, options.shared))
    return [
        {"id": str(number), "language": "en",
         "prompt": f"{shared} {' '.join(random.choice(words, random.integers(4, 40)))}"}
        for number in range(options.prompts)
    ]  # fmt: skip


def random_model(folder: Path) -> Path:
    """A random Llama with a small tokenizer of its own."""
    import torch
    import transformers

    from polylect.text import train_bpe

    text = "a few words to begin with and others that follow; nothing is meant by any of them. "
    tokenizer = train_bpe({"en": [text * 4]}, vocab_size=330)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=4, vocab_size=tokenizer.vocab_size, max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_id, eos_token_id=tokenizer.eos_id, pad_token_id=0,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for one in model.parameters():
            if one.ndim == 2:
                one.mul_(3)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


if __name__ == "__main__":
    main()
