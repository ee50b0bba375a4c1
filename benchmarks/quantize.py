"""4-bit quantizing: polylect, llm-compressor, GPTQModel and bitsandbytes in turn.

    python benchmarks/quantize.py                  three rounds of all, one thread
    python benchmarks/quantize.py --threads 2      whether a second thread makes it slower
    python benchmarks/quantize.py proxy            GPTQ's loss on the same moments
    python benchmarks/quantize.py load             file, resident memory and speed of what was made
    python benchmarks/quantize.py --only polylect-gptq gptqmodel-gptq      what is named, in turn

A random Llama of 109.5 million parameters (12 layers of 768, MLP 2,048, vocabulary 32,000, tied),
float32; 16 rows of 512 tokens of the standard library. Every run is a process of its own. The time
is that of the quantizing phase: for polylect and bitsandbytes from the files to the quantized
model, for llm-compressor ``oneshot`` and for GPTQModel ``quantize`` on a loaded model, without
saving. Peak memory is the whole process's, in MiB. Peers (llm-compressor 0.14.0.1, bitsandbytes
0.50.2, GPTQModel 7.7.0) live in environments of their own under benchmarks/.envs, made when
missing. GPTQModel asks for torch 2.14.1 and is installed without its dependencies beside 2.13.0; on
two cores it raises an error when it is imported, so it is told of four.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
TORCH = "torch==2.13.0"
PEERS = {
    "llmcompressor": ([TORCH, "llmcompressor==0.14.0.1"],),
    "gptqmodel": (
        [TORCH, "transformers==5.23.0", "accelerate", "datasets", "pillow", "setuptools", "wheel",
         "torchao==0.18.0", "tokenicer", "device-smi", "logbar", "maturin", "ninja", "dill",
         "threadpoolctl", "pypcre", "defuser", "protobuf", "jinja2", "requests"],
        ["--no-deps", "--no-build-isolation", "gptqmodel==7.7.0"],
    ),
}  # fmt: skip
"""By name of the environment, the arguments of pip install, call by call."""
RUNS = (
    "polylect-gptq", "llmcompressor-gptq", "gptqmodel-gptq", "polylect-nf4", "bitsandbytes-nf4",
)  # fmt: skip
SCHEME = {"polylect-gptq": "w4-g128-gptq", "polylect-nf4": "nf4"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", default="speed", choices=["speed", "proxy", "load"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=RUNS)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        who, folder = options.run[0], Path(options.run[1])
        {
            "polylect-gptq": ours, "polylect-nf4": ours, "polylect-load": loaded,
            "llmcompressor-gptq": llmcompressor, "llmcompressor-proxy": their_proxy,
            "bitsandbytes-nf4": bitsandbytes, "gptqmodel-gptq": gptqmodel,
        }[who](who, folder)  # fmt: skip
        return
    with tempfile.TemporaryDirectory(prefix="polylect-quantize-") as name:
        folder = Path(name)
        make(folder)
        if options.what == "proxy":
            proxy(folder)
        elif options.what == "load":
            load(folder)
        else:
            speed(folder, options)


def environment(name: str) -> Path:
    """The peer's Python, in an environment that is made when missing."""
    place = HERE / ".envs" / name
    if not (place / "made").exists():
        venv.create(place, with_pip=True)
        for arguments in PEERS[name]:
            subprocess.run([place / "bin" / "pip", "install", "-q", *arguments], check=True)
        (place / "made").touch()
    return place / "bin" / "python"


def make(folder: Path) -> None:
    """The model, its tokenizer, the text and the rows that all calibrate on."""
    import numpy as np
    import torch
    import transformers

    from polylect.base import Ledger
    from polylect.checkpoints import Lineage
    from polylect.models import save_model
    from polylect.quantization import CalibrationConfig, read_calibration
    from polylect.text import train_bpe

    source = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [one.read_text("utf-8", errors="replace") for one in source][:120]
    tokenizer = train_bpe({"en": texts}, vocab_size=32_000)
    with open(folder / "text.jsonl", "w", encoding="utf-8") as file:
        for one in texts:
            file.write(json.dumps({"text": one, "language": "en"}) + "\n")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
        vocab_size=32_000, max_position_embeddings=2048, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_id, eos_token_id=tokenizer.eos_id, pad_token_id=tokenizer.pad_id,
    )  # fmt: skip
    (folder / "model").mkdir()
    save_model(transformers.LlamaForCausalLM(config), tokenizer, folder / "model",
               Lineage(method="build"))  # fmt: skip
    asked = CalibrationConfig(num_samples=16, sample_tokens=512, eval_samples_per_language=0)
    rows = read_calibration(folder / "text.jsonl", tokenizer, asked, 2048, Ledger()).rows
    np.save(folder / "rows.npy", rows.ids)


def speed(folder: Path, options: argparse.Namespace) -> None:
    found: dict[str, list[dict]] = {one: [] for one in options.only}
    for number in range(options.rounds):
        for who in options.only:
            told = child(who, folder, options.threads)
            found[who].append(told)
            print(
                f"round {number + 1} {who:20} {told['cpu']:7.1f} CPU s {told['wall']:7.1f} s"
                f" {told['peak']:6.0f} MiB  {told['bytes'] / 1e6:6.1f} MB  load {told['load']:.1f}",
                flush=True,
            )
    print(f"\nmedians of {options.rounds}, {options.threads} thread(s)")
    middle = {
        who: {key: median(one[key] for one in rows) for key in ("cpu", "wall", "peak")}
        for who, rows in found.items()
    }
    for who, one in middle.items():
        print(f"{who:20} {one['cpu']:7.1f} CPU s {one['wall']:7.1f} s {one['peak']:6.0f} MiB")
    pairs = [(RUNS[0], RUNS[1]), (RUNS[0], RUNS[2]), (RUNS[3], RUNS[4])]
    for ours_, theirs in pairs:
        if ours_ in middle and theirs in middle:
            a, b = middle[ours_], middle[theirs]
            told = ", ".join(f"{key} {b[key] / a[key]:.2f}" for key in ("cpu", "wall", "peak"))
            print(f"{theirs} / {ours_}: {told}")


def child(who: str, folder: Path, threads: int) -> dict:
    """One run in its own process, by its own Python."""
    peer = who.split("-")[0]
    python = environment(peer) if peer in PEERS else sys.executable
    variables = os.environ | {
        "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "LOGURU_LEVEL": "ERROR",
        "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    done = subprocess.run([python, __file__, "--run", who, folder], env=variables,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        sys.exit(f"{who} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


class Clock:
    """CPU and wall seconds of a phase; tells them with the peak of the whole process."""

    def __enter__(self) -> "Clock":
        self.start = time.process_time(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = time.process_time() - self.start[0]
        self.wall = time.monotonic() - self.start[1]

    def tell(self, num_bytes: int) -> None:
        # Not ru_maxrss: a child inherits that of the process that started it.
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        print(json.dumps({"cpu": self.cpu, "wall": self.wall, "peak": peak, "bytes": num_bytes,
                          "load": os.getloadavg()[0]}))  # fmt: skip


def ours(who: str, folder: Path) -> None:
    from polylect.checkpoints import Checkpoint
    from polylect.quantization import CalibrationConfig, QuantizeConfig, prepare, quantize

    checkpoint = Checkpoint.open(folder / "model")
    asked = CalibrationConfig(num_samples=16, sample_tokens=512, eval_samples_per_language=0)
    config = QuantizeConfig(scheme=SCHEME[who], calibration=asked)
    text = folder / "text.jsonl" if who == "polylect-gptq" else None
    out = folder / f"out-{os.getpid()}"
    with Clock() as clock:
        ready = prepare(checkpoint, config, text)
        quantize(checkpoint, config, text, out, ready=ready)
    print(*ready.estimate.lines(), file=sys.stderr)
    clock.tell(sum(one.stat().st_size for one in out.glob("*.safetensors")))


def llmcompressor(who: str, folder: Path) -> None:
    import numpy as np
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype="float32")
    rows = np.load(folder / "rows.npy")
    ones = np.ones_like(rows).tolist()
    data = Dataset.from_dict({"input_ids": rows.tolist(), "attention_mask": ones})
    recipe = GPTQModifier(targets="Linear", scheme="W4A16", ignore=["lm_head"])
    with Clock() as clock:
        oneshot(model=model, dataset=data, recipe=recipe, max_seq_length=512,
                num_calibration_samples=len(rows))  # fmt: skip
    clock.tell(0)


def gptqmodel(who: str, folder: Path) -> None:
    os.cpu_count = lambda: 4  # with two, its pool of one worker is asked for two
    import numpy as np
    from gptqmodel import GPTQModel, QuantizeConfig

    model = GPTQModel.load(str(folder / "model"), QuantizeConfig(bits=4, group_size=128))
    rows = np.load(folder / "rows.npy")
    data = [{"input_ids": row.tolist(), "attention_mask": [1] * len(row)} for row in rows]
    with Clock() as clock:
        model.quantize(data, batch_size=1)
    clock.tell(0)


def bitsandbytes(who: str, folder: Path) -> None:
    import bitsandbytes as _  # noqa: F401 - before the clock, as torch is
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                bnb_4bit_use_double_quant=True,
                                bnb_4bit_compute_dtype=torch.float32)  # fmt: skip
    with Clock() as clock:
        AutoModelForCausalLM.from_pretrained(
            folder / "model", quantization_config=config, dtype=torch.float32
        )
    clock.tell(0)


def proxy(folder: Path) -> None:
    """Loss of both on the same moments, of three shapes, one scale a row and groups of 128."""
    import numpy as np
    import torch

    from polylect.quantization.gptq import gptq
    from polylect.quantization.hessian import add_moments, proxy_loss, whole
    from polylect.quantization.rounding import restored, scales_of

    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    cases = []
    for out, width in ((768, 768), (2048, 768), (768, 2048)):
        x = torch.randn(4096, width, generator=random)
        x = x @ (torch.eye(width) + torch.randn(width, width, generator=random) / width**0.5)
        x *= torch.exp(torch.randn(width, generator=random))
        weight = torch.randn(out, width, generator=random) * 0.02
        moments = torch.zeros(width, width)
        add_moments(moments, x)
        cases.append((weight, whole(moments)))
    for i, (weight, moments) in enumerate(cases):
        np.savez(folder / f"case-{i}.npz", weight=weight.numpy(), moments=moments.numpy())
    child("llmcompressor-proxy", folder, 1)
    for i, (weight, moments) in enumerate(cases):
        for group in (0, 128):
            scale = scales_of(weight, 4, group or weight.shape[1])
            found = gptq(weight, scale, moments, 4)
            back = torch.from_numpy(np.load(folder / f"theirs-{i}-{group}.npy"))
            mine, theirs = (
                float(proxy_loss(weight - one, moments).double().sum())
                for one in (restored(found.codes, scale), back)
            )
            plain = float(found.nearest_loss.double().sum())
            print(
                f"{tuple(weight.shape)} group {group or 'row':>4}: ours/theirs {mine / theirs:.4f},"
                f" ours/nearest {mine / plain:.4f}, theirs/nearest {theirs / plain:.4f}"
            )


def load(folder: Path) -> None:
    """Every scheme: bytes of its file, resident memory once loaded, and tokens scored per CPU s."""
    from polylect.checkpoints import Checkpoint
    from polylect.quantization import QuantizeConfig, quantize

    print(
        f"{'scheme':12} {'file MB':>8} {'resident MB':>12} {'load CPU s':>11} {'tokens/CPU s':>13}"
    )
    for scheme in ("full", "w8", "w8a8", "w4", "w4-g128", "llm-int8", "nf4"):
        place = folder / "model"
        if scheme != "full":
            place = folder / scheme
            quantize(Checkpoint.open(folder / "model"), QuantizeConfig(scheme=scheme), None, place)
        (folder / "place").write_text(str(place))
        told = child("polylect-load", folder, 1)
        size = sum(one.stat().st_size for one in place.glob("*.safetensors")) / 1e6
        print(f"{scheme:12} {size:8.1f} {told['resident']:12.0f} {told['cpu']:11.1f}"
              f" {told['speed']:13.0f}", flush=True)  # fmt: skip


def loaded(who: str, folder: Path) -> None:
    import numpy as np

    from polylect.base import Ledger
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Engine, EngineConfig, TokenRequest
    from polylect.quantization.plan import resident
    from polylect.runs import Silent

    place = Path((folder / "place").read_text())
    before = resident()
    with Clock() as clock:
        engine = Engine.open(Checkpoint.open(place), EngineConfig(), None, Ledger())
    held = (resident() - before) / 1e6
    rows = np.load(folder / "rows.npy")[:4].astype(np.int32)
    asked = [TokenRequest(row[:1], row[1:]) for row in rows]
    start = time.process_time()
    engine.answer(engine.prepare_tokens(asked), Silent())
    speed = rows.size / (time.process_time() - start)
    print(json.dumps({"cpu": clock.cpu, "resident": held, "speed": speed}))


def their_proxy(who: str, folder: Path) -> None:
    """llm-compressor's own column loop on the cases; writes the weights that it leaves."""
    import numpy as np
    import torch
    from compressed_tensors.quantization import QuantizationArgs
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight

    torch.set_num_threads(1)
    with Clock() as clock:
        for i in range(3):
            case = np.load(folder / f"case-{i}.npz")
            for group in (0, 128):
                kind = (
                    {"strategy": "group", "group_size": 128} if group else {"strategy": "channel"}
                )
                args = QuantizationArgs(num_bits=4, symmetric=True, actorder="static", **kind)
                out, width = case["weight"].shape
                wide = case["weight"].reshape(out, -1, group or width)
                scale = torch.from_numpy(np.abs(wide).max(axis=2) / np.float32(7.5))
                weight, _, _ = quantize_weight(
                    torch.from_numpy(case["weight"])[None].clone(),
                    torch.from_numpy(case["moments"])[None].clone(),
                    scale[None], torch.zeros_like(scale, dtype=torch.int8)[None], None, args,
                )  # fmt: skip
                np.save(folder / f"theirs-{i}-{group}.npy", weight[0].float().numpy())
    clock.tell(0)


if __name__ == "__main__":
    main()
