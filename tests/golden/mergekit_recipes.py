"""Recipes and the checkpoints that mergekit makes of them, in mergekit_recipes.json.

benchmarks/.envs/mergekit/bin/python tests/golden/mergekit_recipes.py

Random draws are replaced by a fixed pattern (``kept``), here and in the test that reads the file,
so that everything but the draws is compared.
"""

import base64
import json
import struct
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

LAYERS, WIDTH, TOKENS = 3, 8, 9
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
    "intermediate_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": TOKENS, "tie_word_embeddings": False,
    "rms_norm_eps": 1e-6, "max_position_embeddings": 64, "hidden_act": "silu",
}  # fmt: skip
DTYPES = {"b": ("BF16", "bfloat16"), "f": ("F32", "float32"), "h": ("F16", "float16")}
NUM_MODELS = 4

# How ours compares: `bits` with --parity bit for bit (`always`: without it too); `trimmed` the same
# but for elements that tie with a threshold; `close` within a few roundings; `drawn` within two
# roundings, with the draws replaced; `refused` by us, whatever mergekit does.
RECIPES = {
    "linear": ("always", "merge_method: linear", [("b0", .4), ("b1", .3), ("b2", .2), ("b3", .1)]),
    "linear, not normalized": (
        "always", "merge_method: linear\nparameters: {normalize: false}", [("b1", 1), ("b2", .5)]),
    "linear, negative": ("always", "merge_method: linear", [("f0", -.5), ("f1", 2), ("f2", .3)]),
    "linear, gradients": ("always", "merge_method: linear", [("h1", [0, 1]), ("h2", [1, .2, .5])]),
    "linear, filters": (
        "always", "merge_method: linear",
        [("b1", [{"filter": "mlp", "value": [.7, .1]}, {"value": .2}]),
         ("b2", [{"filter": "self_attn", "value": .9}, {"filter": "*", "value": .4}])]),
    "linear, read as bfloat16": (
        "always", "merge_method: linear\ndtype: bfloat16", [("f1", .3), ("f2", .7)]),
    "linear, in float32, out bfloat16": (
        "always", "merge_method: linear\ndtype: float32\nout_dtype: bfloat16",
        [("b1", .3), ("b2", .7)]),
    "linear, out float32": (
        "always", "merge_method: linear\nout_dtype: float32", [("b1", .3), ("b2", .7)]),
    "linear, read as bfloat16, out float16": (
        "always", "merge_method: linear\ndtype: bfloat16\nout_dtype: float16",
        [("f1", .3), ("f2", .7)]),
    "linear, a base beside": (
        "always", "merge_method: linear\nbase_model: b0\nparameters: {weight: 1}",
        [("b1", None), ("b2", None)]),
    "linear, weights that cancel": (
        "refused", "merge_method: linear", [("b1", .1), ("b2", .2), ("b3", -.3)]),
    "linear, a weight missing": ("refused", "merge_method: linear", [("b1", .5), ("b2", None)]),
    "linear, no weight": ("refused", "merge_method: linear", [("b1", None), ("b2", None)]),
    "linear, a weight for some tensors": (
        "refused", "merge_method: linear",
        [("b1", [{"filter": "mlp", "value": .7}]), ("b2", .5)]),
    "linear, a pattern": (
        "refused", "merge_method: linear",
        [("b1", [{"filter": "*mlp*", "value": .7}, {"value": .1}]), ("b2", .5)]),
    "slerp, filters and gradients": (
        "close",
        "merge_method: slerp\nbase_model: b0\nparameters:\n  t:\n"
        "  - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}\n"
        "  - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}\n  - value: 0.5",
        [("b0", None), ("b1", None)]),
    "slerp, base second": (
        "close", "merge_method: slerp\nbase_model: h0\nparameters: {t: 0.3}",
        [("h1", None), ("h0", None)]),
    "slerp, ends": (
        "bits", "merge_method: slerp\nbase_model: f0\nparameters: {t: [0, 0, 1]}",
        [("f0", None), ("f1", None)]),
    "task arithmetic": (
        "bits", "merge_method: task_arithmetic\nbase_model: b0\nparameters: {lambda: 0.7}",
        [("b1", .5), ("b2", -.3), ("b3", [.1, .9])]),
    "task arithmetic, normalized": (
        "bits", "merge_method: task_arithmetic\nbase_model: h0\nparameters: {normalize: true}",
        [("h1", .5), ("h2", .3)]),
    "task arithmetic, a sum of 0": (
        "bits", "merge_method: task_arithmetic\nbase_model: f0\nparameters: {normalize: true}",
        [("f1", 1), ("f2", -1)]),
    "task arithmetic, in float32, out bfloat16": (
        "bits", "merge_method: task_arithmetic\nbase_model: b0\ndtype: float32\n"
        "out_dtype: bfloat16", [("b0", 5), ("b1", .5), ("b2", .3)]),
    "task arithmetic, with a density": (
        "refused", "merge_method: task_arithmetic\nbase_model: b0\nparameters: {density: 0.5}",
        [("b1", .5)]),
    "ties": ("trimmed", "merge_method: ties\nbase_model: f0\nparameters: {density: 0.5}",
             [("f1", .5), ("f2", .3), ("f3", .2)]),
    "ties, density by layer and name": (
        "trimmed",
        "merge_method: ties\nbase_model: b0\nparameters:\n  normalize: false\n  lambda: 1.3\n"
        "  density:\n  - {filter: mlp, value: [0.2, 0.9]}\n  - value: 0.6",
        [("b1", .5), ("b2", .3)]),
    "ties, negative, all kept": (
        "bits", "merge_method: ties\nbase_model: b0", [("b1", .5), ("b2", -.2), ("b3", .9)]),
    "ties, nothing kept": (
        "refused", "merge_method: ties\nbase_model: b0\nparameters: {density: 0}",
        [("b1", .5), ("b2", .9)]),
    "ties, one element kept": (
        "trimmed", "merge_method: ties\nbase_model: h0\nparameters: {density: 1.0e-6}",
        [("h1", .5), ("h2", .9)]),
    "ties, whole weights that cancel": (
        "bits", "merge_method: ties\nbase_model: b0", [("b1", 1), ("b2", 1), ("b3", -2)]),
    "ties, weights that cancel": (
        "refused", "merge_method: ties\nbase_model: b0", [("b1", .1), ("b2", .2), ("b3", -.3)]),
    "ties, rescaled": (
        "refused", "merge_method: ties\nbase_model: b0\nparameters: {rescale: true}",
        [("b1", .5), ("b2", .9)]),
    "dare linear": ("drawn", "merge_method: dare_linear\nbase_model: f0\nparameters: {density: .5}",
                    [("f1", .6), ("f2", .7)]),
    "dare linear, narrow": (
        "drawn", "merge_method: dare_linear\nbase_model: b0\nparameters: {density: .5}",
        [("b1", .6), ("b2", .7)]),
    "dare ties, not rescaled": (
        "drawn", "merge_method: dare_ties\nbase_model: h0\n"
        "parameters: {density: .5, rescale: false, normalize: true}", [("h1", .6), ("h2", -.7)]),
    "dare ties, all kept": (
        "bits", "merge_method: dare_ties\nbase_model: b0", [("b1", .6), ("b2", .7)]),
    "della": ("drawn", "merge_method: della\nbase_model: f0\nparameters: {density: .5}",
              [("f1", .6), ("f2", .7)]),
    "della linear": (
        "drawn", "merge_method: della_linear\nbase_model: b0\n"
        "parameters: {density: [.4, .6], epsilon: 0.1}", [("b1", .6), ("b2", .7)]),
    "della, out of range": (
        "refused", "merge_method: della\nbase_model: b0\nparameters: {density: .9, epsilon: .3}",
        [("b1", .6), ("b2", .7)]),
    "breadcrumbs": (
        "trimmed", "merge_method: breadcrumbs\nbase_model: f0\nparameters: {density: 0.7}",
        [("f1", .5), ("f2", .3)]),
    "breadcrumbs ties": (
        "trimmed", "merge_method: breadcrumbs_ties\nbase_model: h0\n"
        "parameters: {density: 0.4, gamma: 0.2, normalize: true}", [("h1", .5), ("h2", -.3)]),
    "model stock": ("close", "merge_method: model_stock\nbase_model: f0",
                    [("f1", None), ("f2", None), ("f3", None)]),
    "model stock, narrow": ("refused", "merge_method: model_stock\nbase_model: b0",
                            [("b1", None), ("b2", None), ("b3", None)]),
    "multislerp": ("close", "merge_method: multislerp", [("f1", .5), ("f2", .3), ("f3", .2)]),
    "sce": ("close", "merge_method: sce\nbase_model: f0\nparameters: {select_topk: 0.4}",
            [("f1", None), ("f2", None), ("f3", None)]),
    "passthrough, scaled": ("always", "merge_method: passthrough", [("b1", {"scale": 0.3})]),
    "passthrough, a base beside": ("refused", "merge_method: passthrough\nbase_model: b0",
                                   [("b1", None)]),
    "a slice, its filters before all": (
        "always", f"merge_method: linear\nparameters: {{weight: 0.4}}\nslices:\n- sources:\n"
        f"  - {{model: b1, layer_range: [0, {LAYERS}]}}\n"
        f"  - {{model: b2, layer_range: [0, {LAYERS}], parameters: {{weight: [0.9, 0.2]}}}}\n"
        "  parameters: {weight: [{filter: mlp, value: 0.8}]}", []),
    "two slices": (
        "refused", "merge_method: passthrough\nslices:\n"
        "- sources: [{model: b1, layer_range: [0, 2]}]\n"
        "- sources: [{model: b2, layer_range: [1, 3]}]", []),
}  # fmt: skip


def text_of(head, models):
    """The recipe's text: its head, and the models with a weight or parameters each."""
    entries = []
    for name, setting in models:
        parameters = setting if isinstance(setting, dict) else {"weight": setting}
        given = {} if setting is None else {"parameters": parameters}
        entries.append({"model": name, **given})
    return head + ("\nmodels: " + json.dumps(entries) if entries else "") + "\n"


def kept(start, stop):
    """Which elements of a tensor are kept where mergekit would draw them."""
    return np.arange(start, stop) % 3 != 0


def shapes():
    names = {"model.embed_tokens.weight": (TOKENS, WIDTH), "lm_head.weight": (TOKENS, WIDTH)}
    for number in range(LAYERS):
        layer = f"model.layers.{number}."
        for part in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o",
                     "mlp.gate", "mlp.up", "mlp.down"):  # fmt: skip
            names[f"{layer}{part}_proj.weight"] = (WIDTH, WIDTH)
        names |= {f"{layer}{part}_layernorm.weight": (WIDTH,)
                  for part in ("input", "post_attention")}  # fmt: skip
    return dict(sorted((names | {"model.norm.weight": (WIDTH,)}).items()))


def make_models(root):
    """Four checkpoints in each of three dtypes; 0 is the base that the others are near."""
    for letter, (dtype, torch_name) in DTYPES.items():
        for number in range(NUM_MODELS):
            folder = root / f"{letter}{number}"
            folder.mkdir(parents=True)
            (folder / "config.json").write_text(json.dumps({**CONFIG, "torch_dtype": torch_name}))
            header, body = {"__metadata__": {"format": "pt"}}, b""
            for place, (name, shape) in enumerate(shapes().items()):
                random = np.random.default_rng([place, number])
                base = np.random.default_rng(place).standard_normal(shape, dtype=np.float32)
                moved = random.standard_normal(shape, dtype=np.float32) * np.float32(0.1)
                raw = stored((base + moved * (number > 0)) * np.float32(0.02), dtype)
                ends = [len(body), len(body) + len(raw)]
                header[name] = {"dtype": dtype, "shape": shape, "data_offsets": ends}
                body += raw
            text = json.dumps(header).encode()
            (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)


def stored(values, dtype):
    if dtype == "BF16":  # round to nearest even
        bits = values.view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def main():
    import torch
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions
    from safetensors import safe_open

    torch.set_num_threads(1)
    torch.bernoulli = lambda p: torch.from_numpy(kept(0, p.numel())).reshape(p.shape).to(p.dtype)
    results = {}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        make_models(root)
        for name, (_, head, models) in RECIPES.items():
            config = yaml.safe_load(text_of(head, models))
            for entry in config.get("models") or [
                e for s in config["slices"] for e in s["sources"]
            ]:
                entry["model"] = str(root / entry["model"])
            if "base_model" in config:
                config["base_model"] = str(root / config["base_model"])
            out = root / name.replace(" ", "-")
            try:
                run_merge(
                    MergeConfiguration.model_validate(config), str(out),
                    MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False),
                )  # fmt: skip
            except Exception as error:
                text = str(error).splitlines()[0].replace(place + "/", "")
                results[name] = {"refused": f"{type(error).__name__}: {text}"}
                continue
            if RECIPES[name][0] == "refused":
                results[name] = {"refused": ""}  # by us alone
                continue
            with safe_open(next(out.glob("*.safetensors")), "pt") as file:
                tensors = [file.get_tensor(tensor) for tensor in shapes()]
            raw = b"".join(t.contiguous().view(torch.uint8).numpy().tobytes() for t in tensors)
            results[name] = {
                "dtype": str(tensors[0].dtype).removeprefix("torch."),
                "merged": base64.b64encode(raw).decode(),
            }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in results.items())
    path = Path(__file__).with_suffix(".json")
    path.write_text(f'{{"mergekit": "{version("mergekit")}", "recipes": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    main()
