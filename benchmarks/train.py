"""Fine-tuning and DPO: polylect and TRL 1.16.0 in turn, the same model and the same token stream.

    python benchmarks/train.py           five rounds of 8 updates, the first two not counted
    python benchmarks/train.py curves    losses of 50 updates, side by side

A random Llama of 14.7 million parameters (8 layers of 256, vocabulary 32,768); prompts and answers
of log-normal lengths, four examples an update, one thread, float32, AdamW at a constant rate. TRL
runs in benchmarks/.envs/trl, made when missing; it is handed the token ids, so that both compute
the same. Tokens are those of every sequence, shared prompts counted for each: what TRL computes
without its padding. Every run is a process of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
PEER = HERE / ".envs" / "trl"
PINS = ("trl==1.16.0", "torch==2.13.0", "transformers==5.23.0", "peft")
RATE, BATCH, DROPPED = 1e-4, 4, 2
TASKS = {
    "trl": ("sft", "sft-packed", "dpo"),
    "polylect": ("sft", "dpo", "srpo"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", default="speed", choices=["speed", "curves"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        who, task, steps = options.run
        {"trl": run_trl, "polylect": run_ours}[who](task, int(steps))
        return
    if not (PEER / "bin" / "python").exists():
        venv.create(PEER, with_pip=True)
        pip = [PEER / "bin" / "pip", "install", "-q", "-c", HERE.parent / "constraints.txt"]
        subprocess.run([*pip, *PINS], check=True)
    {"speed": speed, "curves": curves}[options.what](options)


def stream(steps: int) -> list[dict]:
    """Prompts, preferred and other answers as ids, the same whoever asks."""
    import numpy as np

    random = np.random.default_rng(0)

    def ids(mean: float, low: int, high: int) -> list[int]:
        length = int(np.clip(np.exp(random.normal(mean, 0.6)), low, high))
        return random.integers(3, 32768, length).tolist()

    return [
        {"prompt_ids": ids(4.2, 8, 200), "chosen_ids": ids(4.6, 8, 300),
         "rejected_ids": ids(4.6, 8, 300)}
        for _ in range(steps * BATCH)
    ]  # fmt: skip


def build():
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=256, intermediate_size=688, num_hidden_layers=8, num_attention_heads=4,
        vocab_size=32768, max_position_embeddings=2048, tie_word_embeddings=True, pad_token_id=0,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def run_ours(task: str, steps: int) -> None:
    import numpy as np
    import torch

    from polylect.models import PACKED
    from polylect.training import ExamplesConfig, OptimConfig, PreferenceConfig
    from polylect.training.encode import ConversationTokens, PreferenceTokens
    from polylect.training.packing import (
        PLAIN,
        SELF_IMPROVING,
        pack_pairs,
        sequence_log_probabilities,
    )
    from polylect.training.preference_loop import gradients as prefer_gradients
    from polylect.training.session import make_optimizer
    from polylect.training.sft_loop import gradients as sft_gradients

    model = build()
    model.set_attn_implementation(PACKED)
    model.train()
    optimizer = make_optimizer(model, OptimConfig(learning_rate=RATE, weight_decay=0, beta2=0.999))
    rows = stream(steps)
    chats, pairs = [], []
    ask = (np.arange(3, 15, dtype=np.int32),) * 2 if task == "srpo" else ()
    for one in rows:
        parts = {key: np.array(value, np.int32) for key, value in one.items()}
        whole = np.concatenate([parts["prompt_ids"], parts["chosen_ids"]])
        trained = np.arange(len(whole)) >= len(parts["prompt_ids"])
        chats.append(ConversationTokens(whole, trained, "en"))
        pairs.append(PreferenceTokens(*parts.values(), ask, "en", None, 0.0))
    config = PreferenceConfig(objective="srpo" if task == "srpo" else "dpo",
                          examples=ExamplesConfig(micro_batch_tokens=4096))  # fmt: skip
    names = SELF_IMPROVING if task == "srpo" else PLAIN
    reference = build() if task != "sft" else None
    if reference is not None:
        reference.set_attn_implementation(PACKED)
    told = Told()
    for step in range(steps):
        mine = list(range(step * BATCH, (step + 1) * BATCH))
        if task == "sft":
            found = sft_gradients(
                model, [chats[i] for i in mine], ExamplesConfig(micro_batch_tokens=4096)
            )
        else:
            # Computed in the loop, as TRL does, though polylect itself does so once before it.
            with torch.no_grad():
                batch = pack_pairs([pairs[i] for i in mine], names)
                flat = sequence_log_probabilities(reference, batch, len(mine) * len(names))
            known = np.zeros((len(pairs), len(names)), np.float32)
            known[mine] = flat.view(len(mine), len(names)).numpy()
            found = prefer_gradients(model, pairs, mine, {"sequences": known}, config)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        told.step(found["loss"], sum(tokens_of(rows[i], task) for i in mine))
    told.print()


def tokens_of(row: dict, task: str) -> int:
    prompt, chosen, rejected = (len(row[f"{one}_ids"]) for one in ("prompt", "chosen", "rejected"))
    return prompt + chosen if task.startswith("sft") else 2 * prompt + chosen + rejected


class Told:
    """Losses, tokens and CPU seconds of every update, and the peak memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, int, float]] = []
        self.last = time.process_time()
        self.start = self.last

    def step(self, loss: float, tokens: int) -> None:
        now = time.process_time()
        self.rows.append((loss, tokens, now - self.last))
        self.last = now

    def print(self) -> None:
        kept = self.rows[DROPPED:] or self.rows
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({
            "losses": [loss for loss, _, _ in self.rows], "mib": mib,
            "rate": sum(tokens for _, tokens, _ in kept) / sum(cpu for _, _, cpu in kept),
            "step_cpu": sum(cpu for _, _, cpu in kept) / len(kept),
            "first_step": self.start + self.rows[0][2],
        }))  # fmt: skip


def run_trl(task: str, steps: int) -> None:
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, TrainerCallback

    torch.set_num_threads(1)
    backend = Tokenizer(models.WordLevel({f"t{i}": i for i in range(32768)}, unk_token="t0"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="t0", bos_token="t1", eos_token="t2"
    )
    rows, told = stream(steps), Told()

    class Clock(TrainerCallback):
        at = 0

        def on_train_begin(self, *args, **kwargs):
            told.last = told.start = time.process_time()

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in (logs or {}):
                told.losses = [*getattr(told, "losses", []), logs["loss"]]

        def on_step_end(self, *args, **kwargs):
            mine = rows[self.at * BATCH : (self.at + 1) * BATCH]
            self.at += 1
            told.step(0.0, sum(tokens_of(row, task) for row in mine) or 1)

    shared = {
        "per_device_train_batch_size": BATCH, "max_steps": steps, "learning_rate": RATE,
        "lr_scheduler_type": "constant", "weight_decay": 0.0, "use_cpu": True, "report_to": "none",
        "bf16": False, "gradient_checkpointing": False, "logging_steps": 1, "save_strategy": "no",
        "output_dir": tempfile.mkdtemp(), "disable_tqdm": True, "max_grad_norm": 1.0,
    }  # fmt: skip
    if task == "dpo":
        from trl import DPOConfig, DPOTrainer

        class Own(DPOTrainer):
            def _prepare_dataset(self, dataset, *args, **kwargs):
                return dataset

            def _get_train_sampler(self, *args, **kwargs):
                return torch.utils.data.SequentialSampler(self.train_dataset)

        trainer = Own(
            build(), ref_model=build(), args=DPOConfig(**shared, beta=0.1, max_length=None),
            train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[Clock()],
        )  # fmt: skip
    else:
        from trl import SFTConfig, SFTTrainer

        class Own(SFTTrainer):
            def _get_train_sampler(self, *args, **kwargs):
                return torch.utils.data.SequentialSampler(self.train_dataset)

        chats = [
            {"input_ids": one["prompt_ids"] + one["chosen_ids"],
             "completion_mask": [0] * len(one["prompt_ids"]) + [1] * len(one["chosen_ids"])}
            for one in rows
        ]  # fmt: skip
        packed = {"packing": True, "max_length": 512, "per_device_train_batch_size": 2}
        own = shared | (packed if task == "sft-packed" else {"max_length": None})
        trainer = Own(
            build(), args=SFTConfig(**own, completion_only_loss=True),
            train_dataset=Dataset.from_list(chats), processing_class=tokenizer, callbacks=[Clock()],
        )  # fmt: skip
        if task == "sft-packed":
            # Tokens of what was packed, by batch.
            data = trainer.train_dataset
            sizes = [len(one) for one in data["input_ids"]]
            told_tokens = [sum(sizes[i : i + 2]) for i in range(0, 2 * steps, 2)]
    trainer.train()
    if task == "sft-packed":
        told.rows = [(loss, tokens, cpu) for (loss, _, cpu), tokens
                     in zip(told.rows, told_tokens, strict=False)]  # fmt: skip
    losses = getattr(told, "losses", [])
    told.rows = [(losses[i] if i < len(losses) else 0.0, tokens, cpu)
                 for i, (_, tokens, cpu) in enumerate(told.rows)]  # fmt: skip
    told.print()


def run(who: str, task: str, steps: int) -> dict:
    python = sys.executable if who == "polylect" else str(PEER / "bin" / "python")
    env = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1",
                        "PYTHONPATH": str(HERE.parent / "src")}  # fmt: skip
    done = subprocess.run(
        [python, __file__, "--run", who, task, str(steps)],
        capture_output=True, text=True, env=env, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def speed(options: argparse.Namespace) -> None:
    print(f"{options.steps} updates of {BATCH}, {options.rounds} rounds in turn; load {load()}")
    runs = {(who, task): [] for who, tasks in TASKS.items() for task in tasks}
    for _ in range(options.rounds):
        for (who, task), found in runs.items():
            found.append(run(who, task, options.steps))
    print("| who | task | tokens per CPU s | CPU s an update | peak MiB | CPU s to first update |")
    print("|---|---|---|---|---|---|")
    middle = {}
    for key, found in runs.items():
        m = middle[key] = {name: median(one[name] for one in found)
                           for name in ("rate", "step_cpu", "mib", "first_step")}  # fmt: skip
        print(f"| {key[0]} | {key[1]} | {m['rate']:.0f} | {m['step_cpu']:.2f} | {m['mib']:.0f} |"
              f" {m['first_step']:.1f} |")  # fmt: skip
    ours, sft, dpo = middle["polylect", "sft"], middle["trl", "sft"], middle["trl", "dpo"]
    own = middle["polylect", "dpo"]
    print(f"SFT: {ours['rate'] / sft['rate']:.1f}× TRL padded,"
          f" {ours['rate'] / middle['trl', 'sft-packed']['rate']:.1f}× packed, memory"
          f" {ours['mib'] / sft['mib']:.2f}; DPO: {own['rate'] / dpo['rate']:.1f}×, memory"
          f" {own['mib'] / dpo['mib']:.2f}; SRPO costs"
          f" {middle['polylect', 'srpo']['step_cpu'] / own['step_cpu']:.2f}× DPO;"
          f" load {load()}")  # fmt: skip


def curves(options: argparse.Namespace) -> None:
    for task in ("sft", "dpo"):
        both = [run(who, task, 50)["losses"] for who in ("polylect", "trl")]
        worst = max(abs(a - b) for a, b in zip(*both, strict=True))
        print(f"{task}: 50 updates, losses {both[0][0]:.4f} to {both[0][-1]:.4f}, at most"
              f" {worst:.1e} apart")  # fmt: skip


def load() -> str:
    return "/".join(f"{one:.1f}" for one in os.getloadavg())


if __name__ == "__main__":
    main()
