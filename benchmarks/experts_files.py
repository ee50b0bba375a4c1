"""Extending a mixture of 100 million parameters: seconds and memory, beside a copy of its bytes.

    python benchmarks/experts_files.py --rounds 5            # needs 2 GB of disk
    python benchmarks/experts_files.py --rounds 1 --flat     # memory: 50 to 370 million parameters

Every measurement is a process of its own, in turn: ``polylect.experts.extend`` on one thread (with
the digests that the lineage and the seal need), the same without the digests, and ``cat`` of all
that is read and as many bytes as are written. Results are removed between runs. CPU seconds are
user and system; memory is the largest resident set (VmHWM) of Python.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models

from polylect.checkpoints import Checkpoint, ShardWriter, TensorSpec, to_bytes
from polylect.experts import Domains, Output, UpcycleConfig, upcycle

VOCABULARY, DOMAIN = 16_000, 512
EXTEND = """
import sys
from pathlib import Path
import numpy as np
from polylect.checkpoints import Checkpoint
from polylect.experts import Domains, ExtendConfig, Output, extend
root, digests = Path(sys.argv[1]), sys.argv[2]
if digests == "without":
    import polylect.checkpoints.handle as handle, polylect.checkpoints.writer as writer
    handle._tensor_digest = lambda info: info.name
    writer.digest_file = lambda path: path.name
domain = Domains(np.ones((1, 512), np.float32), ({"digest": "new"},))
extend(ExtendConfig(), Checkpoint.open(root / "moe"), Checkpoint.open(root / "new"), root / "out",
       domain=domain, output=Output(num_threads=1))
"""
IMPORT = "import numpy, polylect.experts; from polylect.experts import extend, Domains"
PEAK = """
import re
status = open("/proc/self/status").read()
open(sys.argv[-1], "w").write(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


def write_dense(folder, width, layers, number):
    """A Llama with random weights, float32."""
    hidden = width * 2
    shapes = {"model.embed_tokens.weight": (VOCABULARY, width), "model.norm.weight": (width,),
              "lm_head.weight": (VOCABULARY, width)}  # fmt: skip
    for layer in range(layers):
        place = f"model.layers.{layer}."
        shapes |= {f"{place}self_attn.{x}_proj.weight": (width, width) for x in "qkvo"}
        shapes |= {f"{place}mlp.{x}_proj.weight": (hidden, width) for x in ("gate", "up")}
        shapes[f"{place}mlp.down_proj.weight"] = (width, hidden)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{place}{norm}.weight"] = (width,)
    folder.mkdir(parents=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width,
              "intermediate_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 8,
              "vocab_size": VOCABULARY, "tie_word_embeddings": False}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))
    specs = [TensorSpec(name, "F32", shape) for name, shape in sorted(shapes.items())]
    writer = ShardWriter(folder, specs)
    random = np.random.default_rng(number)
    for spec in specs:
        values = random.standard_normal(spec.num_elements, np.float32)
        writer.write(spec.name, 0, to_bytes(values, "F32"))
    writer.finish()
    return Checkpoint.open(folder)


def make(root, width, layers, num_experts):
    """A mixture of experts, and one more expert."""
    seed, new, *experts = [
        write_dense(root / name, width, layers, number)
        for number, name in enumerate(["seed", "new", *(f"e{i}" for i in range(num_experts))])
    ]
    vectors = np.random.default_rng(9).standard_normal((num_experts, DOMAIN)).astype(np.float32)
    output = Output(num_threads=1)
    mixture = upcycle(UpcycleConfig(), seed, experts, root / "moe",
                      domains=Domains(vectors, ()), output=output)  # fmt: skip
    for name in ("seed", *(f"e{i}" for i in range(num_experts))):
        shutil.rmtree(root / name)
    return mixture.checkpoint, new


def measured(root, command):
    """CPU seconds of a process, and what it wrote into the file of its peak, in MB."""
    peak = root / "peak"
    peak.unlink(missing_ok=True)
    process = subprocess.Popen([*command, str(peak)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    memory = int(peak.read_text()) / 1024 if peak.exists() else 0.0
    return usage.ru_utime + usage.ru_stime, memory


def run(root, kind):
    out = root / "out"
    shutil.rmtree(out, ignore_errors=True)
    if kind == "import alone":
        return measured(root, [sys.executable, "-c", f"import sys\n{IMPORT}{PEAK}"])
    if kind.startswith("extend"):
        digests = "without" if "without" in kind else "with"
        return measured(root, [sys.executable, "-c", EXTEND + PEAK, str(root), digests])
    out.mkdir()
    files = f"{root}/moe/model.safetensors {root}/new/model.safetensors"
    return measured(root, ["sh", "-c", f"cat {files} > {out}/copy"])


KINDS = ("extend", "extend without digests", "cat of what is read", "import alone")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flat", action="store_true", help="memory over sizes")
    arguments = parser.parse_args()
    sizes = [(512, 9, 4)] if not arguments.flat else [(384, 8, 4), (512, 9, 4), (768, 12, 6)]
    for width, layers, num in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("POLYLECT_SCRATCH")) as place:
            root = Path(place)
            mixture, new = make(root, width, layers, num)
            size = sum(info.end - info.begin for info in mixture.tensors.values())
            print(f"{mixture.num_parameters:,} parameters, {size / 1e6:,.0f} MB, {num} experts;"
                  f" the new expert {new.num_parameters:,}")  # fmt: skip
            rows = {kind: [] for kind in KINDS}
            for _ in range(arguments.rounds):
                for kind in KINDS:
                    rows[kind].append(run(root, kind))
            for kind, values in rows.items():
                seconds, memory = zip(*values, strict=True)
                shown = f"{statistics.median(memory):.0f} MB" if any(memory) else ""
                print(f"  {kind:24} {statistics.median(seconds):6.2f} CPU s"
                      f"  ({min(seconds):.2f} to {max(seconds):.2f})  {shown}")  # fmt: skip


if __name__ == "__main__":
    main()
