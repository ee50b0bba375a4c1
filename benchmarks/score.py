"""Scoring: polylect and lm-evaluation-harness 0.4.13 in turn, on the same files and model.

    python benchmarks/score.py                        choices of several tokens and of one letter
    python benchmarks/score.py --threads 2 --rounds 5
    python benchmarks/score.py parity                 300 documents, three languages, 0 and 5 shots
    python benchmarks/score.py command                one document, whole process; listing tasks
    python benchmarks/score.py plugin                 the harness's own loop on our engine

Questions are made of NTREX (POLYLECT_DATA): how a news article goes on, its next four words or the
whole sentence among four, as text and as a letter. The model is random, of the shape in the notes
(109.5 million parameters; parity: a smaller one, whose answers differ). The harness runs in
benchmarks/.envs/lm_eval, made when missing.
Every run is a process of its own; "scoring" leaves out imports and loading, the peak memory is the
whole process's. CPU seconds are the figure to compare where the machine is shared.
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
PEER = HERE / ".envs" / "lm_eval"
WORK = HERE / ".envs" / "score-data"
DATA = Path(os.environ.get("POLYLECT_DATA", HERE.parents[1] / "shared" / "data"))
PINS = ("lm_eval==0.4.13", "accelerate", str(HERE.parent) + "[models]")
WHAT = ("speed", "parity", "command", "plugin")
LANGUAGES = ("de", "hi", "tr")
KINDS = {
    "several": "choices of several tokens",
    "letters": "choices of one letter",
    "sentences": "choices of whole sentences",
}
SHOTS = 5
"""Solved examples, apart from what is asked, as benchmarks have them."""

WORDS = 4
"""Of the next sentence, where the choices are short."""
SHAPES = {
    "speed": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12,
              "num_attention_heads": 12, "vocab": 32000},
    "parity": {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4,
               "num_attention_heads": 4, "vocab": 8192},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", default="speed", choices=list(WHAT))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=30)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--run", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        who, model, files, shots, threads = options.run
        WITH_PLUGIN[who](
            Path(model), [Path(one) for one in files.split(",")], int(shots), int(threads)
        )
        return
    if options.make:
        make_model(options.make[0])
        make_questions(int(options.make[1]))
        return
    if not (DATA / "ntrex").is_dir():
        raise SystemExit(f"skipped: no data ({DATA / 'ntrex'})")
    if not (PEER / "bin" / "python").exists():
        venv.create(PEER, with_pip=True)
        pip = [PEER / "bin" / "pip", "install", "-q", "-c", HERE.parent / "constraints.txt"]
        subprocess.run([*pip, *PINS], check=True)
    globals()[options.what](options)


# What is asked: the same JSON lines for both.


def made(model: str, documents: int) -> tuple[Path, dict[tuple[str, str], Path]]:
    """A model and files of questions by kind and language.

    Made in a process of its own: a child's peak memory counts what its parent held at the fork.
    """
    subprocess.run([sys.executable, __file__, "--make", model, str(documents)], check=True)
    folder = WORK / f"questions-{documents}"
    names = [(kind, language) for kind in KINDS for language in LANGUAGES]
    return WORK / f"model-{model}", {one: folder / f"{'_'.join(one)}.jsonl" for one in names}


def make_questions(documents: int) -> None:
    from polylect.evals import Source, find_task

    folder = WORK / f"questions-{documents}"
    folder.mkdir(parents=True, exist_ok=True)
    for language in LANGUAGES:
        items = find_task("next_sentence").items(Source.at(DATA), language)[: documents + SHOTS]
        for kind in KINDS:
            lines = []
            for number, one in enumerate(items):
                context, choices = str(one.context), list(one.choices)
                if kind != "sentences":
                    choices = [" ".join(text.split()[:WORDS]) for text in choices]
                if kind == "letters":
                    listed = "\n".join(f"{'ABCD'[i]}. {text}" for i, text in enumerate(choices))
                    context, choices = f"{context}\n{listed}\nAnswer:", list("ABCD")
                lines.append(
                    {"id": one.id, "language": language, "context": context, "choices": choices,
                     "answer": one.answer, "split": "shots" if number < SHOTS else "test"}
                )  # fmt: skip
            path = folder / f"{kind}_{language}.jsonl"
            path.write_text("".join(json.dumps(one) + "\n" for one in lines), "utf-8")
            for split in ("test", "shots"):
                own = [one for one in lines if one["split"] == split]
                text = "".join(json.dumps(one) + "\n" for one in own)
                (folder / f"{kind}_{language}.{split}.json").write_text(text, "utf-8")


def make_model(name: str) -> None:
    """A random Llama with a tokenizer trained on the text of the questions and Python's library."""
    folder = WORK / f"model-{name}"
    if (folder / "model.safetensors").is_file():
        return
    import torch
    import transformers

    from polylect.text import train_bpe

    shape = dict(SHAPES[name])
    vocab = shape.pop("vocab")
    library = Path(os.__file__).parent
    texts = {"code": [one.read_text("utf-8", "ignore") for one in sorted(library.glob("*.py"))]}
    for language, file in zip(LANGUAGES, ("deu", "hin", "tur"), strict=True):
        text = (DATA / "ntrex" / f"newstest2019-ref.{file}.txt").read_text("utf-8")
        texts[language] = text.split("\n")
    tokenizer = train_bpe(texts, vocab_size=vocab)
    config = transformers.LlamaConfig(
        **shape, vocab_size=tokenizer.vocab_size, max_position_embeddings=4096,
        tie_word_embeddings=True, bos_token_id=tokenizer.bos_id, eos_token_id=tokenizer.eos_id,
        pad_token_id=tokenizer.pad_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(2)
    tokenizer.save(folder)
    model.save_pretrained(folder)
    print(f"{name}: {model.num_parameters():,} parameters", file=sys.stderr)


# One run of each; the last line of the output is its figures.


def run_ours(model: Path, files: list[Path], shots: int, threads: int) -> None:
    from polylect.base import Ledger
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Engine, EngineConfig
    from polylect.evals import EvalConfig, prepare_tasks
    from polylect.evals.scorers import score_items
    from polylect.runs import Silent

    config = EvalConfig(name="m", tasks=tuple(map(str, files)), shots=shots)
    checkpoint = Checkpoint.open(model)
    engine = Engine.open(checkpoint, EngineConfig(threads=threads))
    started = time.process_time(), time.perf_counter()
    answers = {}
    for task in prepare_tasks(config, checkpoint, Ledger()):
        prepared = engine.prepare(task.requests, Ledger())
        scores = engine.answer(prepared, Silent())
        rows = score_items(task.task, task.items, scores)
        at = 0
        for item in task.items:
            mine = [row for row in rows if row["item"] == item.id]
            answers[f"{task.task.name}/{item.id}"] = {
                "lls": scores.log_likelihood[at : at + len(item.choices)].tolist(),
                **{row["metric"]: row["value"] for row in mine},
            }
            at += len(item.choices)
    tell(started, engine.work.tokens, answers)


def run_plugin(model: Path, files: list[Path], shots: int, threads: int) -> None:
    run_lm_eval(model, files, shots, threads, plugin=True)


def run_lm_eval(
    model: Path, files: list[Path], shots: int, threads: int, plugin: bool = False
) -> None:
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(threads)
    positions = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            write_yaml(Path(folder), file)
        manager = TaskManager(include_defaults=False, include_path=folder)
        if plugin:
            from lm_eval_polylect import PolylectLM

            lm = PolylectLM(str(model), threads=threads)
        else:
            lm = HFLM(pretrained=str(model), device="cpu", dtype="float32", batch_size=8)
            own = lm._model_call

            def counted(inps, *args, **kwargs):
                nonlocal positions
                positions += inps.numel()
                return own(inps, *args, **kwargs)

            lm._model_call = counted
        started = time.process_time(), time.perf_counter()
        found = simple_evaluate(
            model=lm, tasks=[one.stem for one in files], num_fewshot=shots, task_manager=manager,
            bootstrap_iters=0,
        )  # fmt: skip
    answers = {
        f"{task}/{one['doc']['id']}": {
            "lls": [response[0] for response in one["filtered_resps"]],
            "acc": one["acc"],
            "acc_norm": one["acc_norm"],
        }
        for task, samples in found["samples"].items()
        for one in samples
    }
    tell(started, positions, answers)


def write_yaml(folder: Path, file: Path) -> None:
    """The file as a task of the harness."""
    metrics = "".join(
        f"  - {{metric: {one}, aggregation: mean, higher_is_better: true}}\n"
        for one in ("acc", "acc_norm")
    )
    (folder / f"{file.stem}.yaml").write_text(
        f"task: {file.stem}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
        f"    test: {file.with_suffix('.test.json')}\n"
        f"    shots: {file.with_suffix('.shots.json')}\n"
        "output_type: multiple_choice\ntest_split: test\nfewshot_split: shots\n"
        "fewshot_config: {sampler: first_n}\n"
        'doc_to_text: "{{context}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: answer\n'
        f'target_delimiter: " "\nmetric_list:\n{metrics}'
    )


PATHS = os.pathsep.join(str(HERE.parent / one) for one in ("src", "plugins/lm_eval_polylect"))
RUNNERS = {"polylect": run_ours, "lm_eval": run_lm_eval}
WITH_PLUGIN = RUNNERS | {"plugin": run_plugin}


def tell(started: tuple[float, float], tokens: int, answers: dict) -> None:
    cpu, wall = time.process_time() - started[0], time.perf_counter() - started[1]
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": cpu, "wall": wall, "mib": mib, "tokens": tokens, "answers": answers}))


def run(who: str, model: Path, files: list[Path], shots: int, threads: int) -> dict:
    """One run in a process of its own, with its own CPU seconds beside those of the scoring."""
    python = sys.executable if who == "polylect" else str(PEER / "bin" / "python")
    joined = ",".join(map(str, files))
    words = [python, __file__, "--run", who, str(model), joined, str(shots), str(threads)]
    output, used = measured(words, threads)
    return json.loads(output.splitlines()[-1]) | {"process_cpu": used["cpu"]}


def measured(words: list[str], threads: int, **more: str) -> tuple[str, dict]:
    """Output, and CPU seconds, wall seconds and peak memory of a whole process."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(WORK / "datasets")}
    limits = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    env = os.environ | offline | limits | {"PYTHONPATH": PATHS} | more
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(words, stdout=output, stderr=errors, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        output.seek(0)
        errors.seek(0)
        if status:
            raise SystemExit(f"{' '.join(words)}\n{errors.read()[-3000:]}")
        found = output.read()
    used = {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.perf_counter() - started,
            "mib": usage.ru_maxrss / 1024}  # fmt: skip
    return found, used


# The three questions.


def speed(options: argparse.Namespace) -> None:
    model, files = made("speed", options.documents)
    print(f"{options.documents} documents × 4, {options.shots} shots, {options.threads} thread(s),"
          f" {options.rounds} rounds in turn; load {load()}")  # fmt: skip
    print("| | who | scoring, CPU s | wall s | whole process, CPU s | peak MiB | positions |")
    print("|---|---|---|---|---|---|---|")
    for kind in options.kinds:
        name = KINDS[kind]
        one = [files[kind, LANGUAGES[0]]]
        runs = {who: [] for who in RUNNERS}
        for _ in range(options.rounds):
            for who, found in runs.items():
                found.append(run(who, model, one, options.shots, options.threads))
        middle = {who: {key: median(one[key] for one in found)
                        for key in ("cpu", "wall", "process_cpu", "mib", "tokens")}
                  for who, found in runs.items()}  # fmt: skip
        for who, m in middle.items():
            print(f"| {name} | {who} | {m['cpu']:.2f} | {m['wall']:.2f} | {m['process_cpu']:.2f} |"
                  f" {m['mib']:.0f} | {m['tokens']:,.0f} |")  # fmt: skip
        ours, theirs = middle["polylect"], middle["lm_eval"]
        print(f"| {name} | ratio | **{theirs['cpu'] / ours['cpu']:.1f}×** |"
              f" {theirs['wall'] / ours['wall']:.1f}× |"
              f" {theirs['process_cpu'] / ours['process_cpu']:.1f}× |"
              f" {ours['mib'] / theirs['mib']:.2f} | {theirs['tokens'] / ours['tokens']:.1f}× |",
              flush=True)  # fmt: skip
        check(name, runs["polylect"][0]["answers"], runs["lm_eval"][0]["answers"])
    print(f"load at the end {load()}")


def parity(options: argparse.Namespace) -> None:
    model, files = made("parity", 100)
    for kind, name in KINDS.items():
        for shots in (0, 5):
            mine = [files[kind, language] for language in LANGUAGES]
            ours, theirs = (run(who, model, mine, shots, options.threads) for who in RUNNERS)
            label = f"{name}, {shots} shots, {'/'.join(LANGUAGES)}"
            check(label, ours["answers"], theirs["answers"])
            print(f"  CPU s {ours['cpu']:.1f} and {theirs['cpu']:.1f}", flush=True)


def plugin(options: argparse.Namespace) -> None:
    model, files = made("parity", 100)
    for kind, name in KINDS.items():
        mine = [files[kind, language] for language in LANGUAGES]
        ours, theirs = (run(who, model, mine, options.shots, options.threads)
                        for who in ("plugin", "lm_eval"))  # fmt: skip
        check(f"{name}, {options.shots} shots, by the plugin", ours["answers"], theirs["answers"])
        print(f"  CPU s {ours['cpu']:.1f} and {theirs['cpu']:.1f}", flush=True)


def check(name: str, ours: dict, theirs: dict) -> None:
    """Print how far two sets of answers agree; fail where a prediction differs."""
    assert ours.keys() == theirs.keys(), "not the same items"
    worst, other = 0.0, 0
    for key, one in ours.items():
        peer = theirs[key]
        for a, b in zip(one["lls"], peer["lls"], strict=True):
            worst = max(worst, abs(a - b) / abs(b))
        other += argmax(one["lls"]) != argmax(peer["lls"])
        other += (one["acc"], one["acc_norm"]) != (peer["acc"], peer["acc_norm"])
    total = {who: sum(one["acc"] for one in side.values()) / len(side)
             for who, side in (("ours", ours), ("theirs", theirs))}  # fmt: skip
    print(f"{name}: {len(ours)} documents, {other} predictions differ, log-likelihoods within"
          f" {worst:.1e} relative; acc {total['ours']:.4f} and {total['theirs']:.4f}")  # fmt: skip
    if other or worst > 1e-4:
        raise SystemExit("no parity")


def argmax(values: list[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def command(options: argparse.Namespace) -> None:
    """Whole processes from the command line: one document of four choices; the list of tasks."""
    model, files = made("speed", 1)
    file = files["several", LANGUAGES[0]]
    ours = [sys.executable, "-c", "import sys; from polylect.cli import main; sys.exit(main())"]
    harness = str(PEER / "bin" / "lm_eval")
    with tempfile.TemporaryDirectory() as folder:
        write_yaml(Path(folder), file)
        words = {
            ("one document", "lm_eval"): [
                harness, "run", "--model", "hf", "--model_args",
                f"pretrained={model},dtype=float32", "--tasks", file.stem,
                "--include_path", folder, "--device", "cpu", "--batch_size", "8",
                "--output_path", f"{folder}/out",
            ],
            ("one document", "polylect"): [],
            ("list of tasks", "lm_eval"): [harness, "ls", "tasks"],
            ("list of tasks", "polylect"): [*ours, "tasks"],
        }  # fmt: skip
        print(
            f"whole processes, {options.threads} thread(s), {options.rounds} rounds; load {load()}"
        )
        print("| | who | CPU s | wall s | peak MiB |\n|---|---|---|---|---|")
        for (what, who), line in words.items():
            used = []
            for turn in range(options.rounds):
                out = f"{folder}/ours-{turn}"
                mine = line or [*ours, "eval", str(model), "--tasks", str(file), "--out", out,
                                "--threads", str(options.threads)]  # fmt: skip
                used.append(measured(mine, options.threads)[1])
            m = {key: median(one[key] for one in used) for key in used[0]}
            print(f"| {what} | {who} | {m['cpu']:.2f} | {m['wall']:.2f} | {m['mib']:.0f} |",
                  flush=True)  # fmt: skip


def load() -> str:
    return "/".join(f"{one:.1f}" for one in os.getloadavg())


if __name__ == "__main__":
    main()
