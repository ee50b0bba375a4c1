"""A token that spans prompt and choice: parity with lm-evaluation-harness, and what its rule costs.

    python benchmarks/borders.py                 300 items, Chinese and Japanese
    python benchmarks/borders.py --items 1000 --steps 0

How a news sentence goes on (NTREX, POLYLECT_DATA), cut at a random character: its next eight
characters among those of three others, ``target_delimiter`` empty. The tokenizer is a byte-level
BPE trained on other sentences of both languages, the model a small Llama trained on them for a
hundred steps. The harness runs in benchmarks/.envs/lm_eval, made when missing. An item of which a
choice merges wholly into its prompt is drawn again: the harness ends with an error there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
PEER = HERE / ".envs" / "lm_eval"
DATA = Path(os.environ.get("POLYLECT_DATA", HERE.parents[1] / "shared" / "data"))
PINS = ("lm_eval==0.4.13", "accelerate", str(HERE.parent) + "[models]")
FILES = {"zh": "zho-CN", "ja": "jpn"}
HELD_OUT = 500
"""Sentences of each language, the last ones, that items are made of."""
LENGTH, CHOICES, LEAST = 8, 4, 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--vocabulary", type=int, default=6000)
    parser.add_argument("--harness", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.harness:
        run_harness(*map(Path, options.harness))
        return
    if not (DATA / "ntrex").is_dir():
        raise SystemExit(f"skipped: no data ({DATA / 'ntrex'})")
    if not (PEER / "bin" / "python").exists():
        venv.create(PEER, with_pip=True)
        pip = [PEER / "bin" / "pip", "install", "-q", "-c", HERE.parent / "constraints.txt"]
        subprocess.run([*pip, *PINS], check=True)
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), options)


def sentences(tag: str) -> list[str]:
    text = (DATA / "ntrex" / f"newstest2019-ref.{FILES[tag]}.txt").read_text("utf-8")
    return text.split("\n")


def compare(folder: Path, options: argparse.Namespace) -> None:
    tokenizer = train(folder / "model", options)
    drawn = write_items(folder, tokenizer, options.items)
    theirs = harness(folder)
    ours, counts = {}, {}
    for border in ("lm-eval", "context"):
        ours[border], counts[border] = score(folder, border)
    print(f"{len(theirs)} items of {CHOICES} choices ({drawn - len(theirs)} drawn again: a choice"
          f" merged wholly into its prompt); vocabulary {tokenizer.vocab_size:,}")  # fmt: skip
    worst = max(
        abs(a - b) / abs(b)
        for key, lls in theirs.items()
        for a, b in zip(ours["lm-eval"][key], lls, strict=True)
    )
    equal = sum(np.argmax(ours["lm-eval"][key]) == np.argmax(theirs[key]) for key in theirs)
    print(f"--border lm-eval: {equal} of {len(theirs)} predictions equal the harness's;"
          f" log-likelihoods within {worst:.1e} relative")  # fmt: skip
    print(f"--border context: {counts['context']}")
    answers = {
        (item["language"], item["id"]): item["answer"]
        for tag in FILES
        for item in map(json.loads, (folder / f"{tag}.jsonl").read_text("utf-8").splitlines())
    }
    for tag in (*FILES, ""):
        keys = [key for key in theirs if tag in ("", key[0])]
        changed = sum(
            np.argmax(ours["context"][key]) != np.argmax(ours["lm-eval"][key]) for key in keys
        )
        touched = sum(
            not np.allclose(ours["context"][key], ours["lm-eval"][key], rtol=1e-4) for key in keys
        )
        right = {
            border: sum(np.argmax(lls[key]) == answers[key] for key in keys)
            for border, lls in ours.items()
        }
        print(f"{tag or 'both'}: of {len(keys)} items, {touched} have another log-likelihood and"
              f" {changed} another prediction by the right rule; right: {right['lm-eval']} by"
              f" lm-eval's, {right['context']} by ours")  # fmt: skip


def train(folder: Path, options: argparse.Namespace):
    """The tokenizer; a small Llama is written beside it."""
    import torch
    import transformers

    from polylect.text import train_bpe

    texts = {tag: sentences(tag)[:-HELD_OUT] for tag in FILES}
    tokenizer = train_bpe(texts, vocab_size=options.vocabulary)
    tokenizer.save(folder)
    config = transformers.LlamaConfig(
        hidden_size=96, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        vocab_size=tokenizer.vocab_size, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_id, eos_token_id=tokenizer.eos_id,
        pad_token_id=tokenizer.pad_id,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = transformers.LlamaForCausalLM(config)
    documents = [ids for tag in FILES for ids in tokenizer.encode(texts[tag])]
    order = np.random.default_rng(0).permutation(len(documents))
    stream = np.concatenate([[tokenizer.bos_id, *documents[i], tokenizer.eos_id] for i in order])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    random = np.random.default_rng(1)
    for _ in range(options.steps):
        starts = random.integers(0, len(stream) - 64, 8)
        ids = torch.from_numpy(np.stack([stream[start : start + 64] for start in starts])).long()
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if options.steps:
        print(f"trained {options.steps} steps, loss {float(loss.detach()):.2f}")
    model.save_pretrained(folder)
    return tokenizer


def write_items(folder: Path, tokenizer, number: int) -> int:
    """Files of items by language; how many were drawn."""
    random, drawn = np.random.default_rng(2), 0
    for tag in FILES:
        texts = [text for text in sentences(tag)[-HELD_OUT:] if len(text) > LEAST + LENGTH + 2]
        lines: list[str] = []
        while len(lines) < number // len(FILES):
            drawn += 1
            chosen = random.choice(len(texts), CHOICES, replace=False)
            cuts = [int(random.integers(LEAST, len(texts[i]) - LENGTH)) for i in chosen]
            pieces = [texts[i][cut : cut + LENGTH] for i, cut in zip(chosen, cuts, strict=True)]
            context = texts[chosen[0]][: cuts[0]]
            bare = len(tokenizer.encode([context.rstrip()])[0])
            whole = tokenizer.encode([context + piece for piece in pieces])
            if any(len(ids) <= bare for ids in whole) or len(set(pieces)) < CHOICES:
                continue
            order = random.permutation(CHOICES)
            item = {
                "id": f"{len(lines)}", "language": tag, "context": context,
                "choices": [pieces[k] for k in order], "answer": int(np.argmin(order)),
                "delimiter": "",
            }  # fmt: skip
            lines.append(json.dumps(item, ensure_ascii=False))
        (folder / f"{tag}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return drawn


def score(folder: Path, border: str) -> tuple[dict, str]:
    """Log-likelihoods of every item's choices, and the ledger."""
    from polylect.base import Ledger
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Engine, EngineConfig
    from polylect.evals import EvalConfig, prepare_tasks
    from polylect.runs import Silent

    checkpoint, ledger, found = Checkpoint.open(folder / "model"), Ledger(), {}
    engine = Engine.open(checkpoint, EngineConfig(border=border))
    files = tuple(str(folder / f"{tag}.jsonl") for tag in FILES)
    for task in prepare_tasks(EvalConfig(name="m", tasks=files), checkpoint, ledger):
        lls = engine.score(task.requests, Silent(), ledger).log_likelihood.reshape(-1, CHOICES)
        found |= {
            (item.language, item.id): row.tolist()
            for item, row in zip(task.items, lls, strict=True)
        }
    return found, "; ".join(ledger.summary())


def harness(folder: Path) -> dict[tuple[str, str], list[float]]:
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "datasets")}
    env["PYTHONPATH"] = str(HERE.parent / "src")
    call = [PEER / "bin" / "python", __file__, "--harness", folder, folder / "theirs.json"]
    subprocess.run(call, check=True, env=env, stdout=sys.stderr)
    return {
        (language, number): lls
        for language, number, lls in json.loads((folder / "theirs.json").read_text())
    }


def run_harness(folder: Path, out: Path) -> None:
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(1)
    for tag in FILES:
        (folder / f"{tag}.yaml").write_text(
            f"task: {tag}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
            f"    test: {folder / tag}.jsonl\noutput_type: multiple_choice\ntest_split: test\n"
            'doc_to_text: "{{context}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: answer\n'
            'target_delimiter: ""\nmetric_list:\n'
            "  - {metric: acc, aggregation: mean, higher_is_better: true}\n"
        )
    lm = HFLM(pretrained=str(folder / "model"), device="cpu", dtype="float32", batch_size=8)
    found = simple_evaluate(
        model=lm, tasks=[*FILES], num_fewshot=0, bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False, include_path=str(folder)),
    )  # fmt: skip
    rows = [
        (task, sample["doc"]["id"], [response[0] for response in sample["filtered_resps"]])
        for task, samples in found["samples"].items()
        for sample in samples
    ]
    out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
