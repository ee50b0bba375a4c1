"""Writes lm_eval_borders.json: where lm-evaluation-harness 0.4.13 cuts context and continuation.

The tokens of both by HFLM's own code, for the tokenizers and cases of border_tokenizers.py, also
with spaces at the end of the context. Offline, in an environment that has lm_eval and polylect:

    HF_HUB_OFFLINE=1 python tests/golden/lm_eval_borders.py
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import transformers
from lm_eval.models.huggingface import HFLM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

from border_tokenizers import CASES, TOKENIZERS  # noqa: E402

NAMES = ("byte-level BPE", "byte-level BPE, GPT-2's words, NFC", "Llama 2")
"""Those that are equal in every process: training a Unigram model is not repeatable."""


def model_of(tokenizer, folder):
    """HFLM on the smallest model with a tokenizer."""
    tokenizer.save(folder)
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, max_position_embeddings=64,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return HFLM(pretrained=str(folder), device="cpu", dtype="float32")


def main():
    found = {}
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            model = model_of(TOKENIZERS[name](), Path(folder))
            found[name] = [
                [context, choice, *model._encode_pair(context, choice)]
                for context, choice in [*CASES, *((f"{a} ", b) for a, b in CASES)]
            ]
    golden = {"lm_eval": version("lm_eval"), "pairs": found}
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    (HERE / "lm_eval_borders.json").write_text(text.replace("],[", "],\n[") + "\n", "utf-8")


if __name__ == "__main__":
    main()
