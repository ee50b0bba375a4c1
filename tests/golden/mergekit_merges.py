"""Golden merges by mergekit itself; run in its own environment to write mergekit_merges.json.

benchmarks/.envs/mergekit/bin/python tests/golden/mergekit_merges.py
"""

import base64
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

SHAPE = (13, 23)
WEIGHTS = {
    "shares": [0.4, 0.3, 0.2, 0.1],
    "ones": [1.0, 1.0, 1.0],
    "signed": [0.5, -0.2, 0.9, 0.33],
    "zero": [0.7, 0.0, 0.6],
    "sixteen": [0.01 * (number + 1) for number in range(16)],
}


def arrays(num, seed):
    """A base and models near it, float32; whoever reads the golden file makes the same."""
    random = np.random.default_rng(seed)
    base = random.standard_normal(SHAPE, dtype=np.float32) * np.float32(0.02)
    return [base] + [
        base + random.standard_normal(SHAPE, dtype=np.float32) * np.float32(0.002)
        for _ in range(num)
    ]


def cases():
    for dtype in ("BF16", "F16", "F32"):
        for name, weights in WEIGHTS.items():
            for normalize in (True, False):
                yield {
                    "method": "linear", "dtype": dtype, "weight": weights,
                    "options": {"normalize": normalize}, "name": f"linear {name} {normalize}",
                }  # fmt: skip
        for name in ("shares", "ones", "signed", "zero"):
            for density in (1.0, 0.5):
                for normalize in (True, False):
                    for factor in (1.0, 0.7):
                        yield {
                            "method": "ties", "dtype": dtype, "weight": WEIGHTS[name],
                            "options": {
                                "density": density, "normalize": normalize, "lambda": factor,
                            },
                            "name": f"ties {name} {density} {normalize} {factor}",
                        }  # fmt: skip
        for name in ("shares", "signed"):
            for method in ("task_arithmetic", "breadcrumbs", "breadcrumbs_ties"):
                options = {} if method == "task_arithmetic" else {"density": 0.5, "gamma": 0.1}
                yield {
                    "method": method, "dtype": dtype, "weight": WEIGHTS[name],
                    "options": options, "name": f"{method} {name}",
                }  # fmt: skip
        yield {"method": "slerp", "dtype": dtype, "options": {"t": 0.4}, "name": "slerp"}
    for method, options, weight in [
        ("multislerp", {}, WEIGHTS["shares"]),
        ("model_stock", {}, None),
        ("sce", {"select_topk": 0.5}, None),
        ("sce", {}, None),
    ]:
        yield {
            "method": method, "dtype": "F32", "options": options, "weight": weight,
            "name": f"{method} {options}",
        }  # fmt: skip


def main():
    import torch
    from mergekit.merge_methods.api import merge_tensors

    types = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
    torch.set_num_threads(1)
    done = []
    for case in cases():
        weight = case.get("weight")
        num = 1 if case["method"] == "slerp" else len(weight or [1, 1, 1])
        stack = [
            torch.from_numpy(array).to(types[case["dtype"]]) for array in arrays(num, len(done))
        ]
        based = case["method"] not in {"linear", "multislerp"}
        stack = stack if based else stack[1:]
        parameters = dict(case["options"])
        if weight is not None:
            parameters["weight"] = weight
        merged = merge_tensors(
            stack, case["method"], parameters=parameters, base_index=0 if based else None
        )
        raw = merged.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        done.append({**case, "seed": len(done), "merged": base64.b64encode(raw).decode()})
    path = Path(__file__).with_suffix(".json")
    lines = ",\n".join(json.dumps(case) for case in done)
    path.write_text(f'{{"mergekit": "{version("mergekit")}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
