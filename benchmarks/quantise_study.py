"""The quantisation study on a base that was trained here in full precision.

    python benchmarks/alignment_study.py --data ../shared/data --out runs/align     (its base)
    python benchmarks/quantise_study.py --base runs/align/run --data ../shared/data --out runs/quant

The base has four million parameters and learnt 2.5 million tokens of 15 languages, NTREX's among
them: NTREX therefore cannot be asked. Three files of items are made, and ``study`` is run on them:

held_out    documents of the base's own text that were held out for test, 15 languages, bits per
            byte; they are no translations of each other
questions   XQuAD's questions, parallel in nine of the languages, bits per byte; a paragraph's first
            question, the article is the cluster
asked       which of four questions is asked of a paragraph's end; the others are of other articles.
            Left out unless it is named in --tasks: this base is near chance on it
"""

import argparse
import json
import random
from pathlib import Path

from polylect.recipes.study import StudyConfig, study
from polylect.rows import Document, Split, read_rows
from polylect.runs import Run, display, read_run

XQUAD = ("ar", "de", "en", "es", "hi", "ru", "tr", "vi", "zh")
DOCUMENTS, QUESTIONS, CHARACTERS = 40, 120, 160


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="the run of alignment_study.py")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--row-tokens", type=int, default=256)
    parser.add_argument("--tasks", nargs="*", default=["held_out", "questions"])
    options = parser.parse_args()
    steps = read_run(options.base)["steps"]
    text, base = (options.base / steps[name]["folder"] for name in ("text", "base"))
    items = options.out / "items"
    items.mkdir(parents=True, exist_ok=True)
    calibration = [
        {"text": one.text, "language": one.language}
        for one in read_rows(text / f"{Split.TRAIN}.parquet", Document)
    ]
    write(items / "calibration.jsonl", calibration)
    write(items / "held_out.jsonl", held_out(text))
    xquad = {tag: read_xquad(options.data / f"xquad/xquad.{tag}.json") for tag in XQUAD}
    write(items / "questions.jsonl", questions(xquad))
    write(items / "asked.jsonl", asked(xquad))
    config = StudyConfig(
        model=base,
        calibration=items / "calibration.jsonl",
        tasks=tuple(str(items / f"{one}.jsonl") for one in options.tasks),
        rows=options.rows,
        row_tokens=options.row_tokens,
        measured_rows=4,
    )
    with display() as shown:
        run = Run(options.out / "run", "study", config, num_workers=1, display=shown)
        study(run, config)


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def held_out(text: Path) -> list[dict]:
    """The first documents of every language, cut to what fits the model."""
    num: dict[str, int] = {}
    rows = []
    for one in read_rows(text / f"{Split.TEST}.parquet", Document):
        num[one.language] = num.get(one.language, 0) + 1
        if num[one.language] <= DOCUMENTS:
            cut = one.text[:CHARACTERS]
            rows.append({"id": one.id, "language": one.language, "context": "", "choices": [cut],
                         "answer": 0, "delimiter": ""})  # fmt: skip
    return rows


def read_xquad(path: Path) -> list[tuple[int, str, str]]:
    """Article, paragraph and its first question."""
    articles = json.loads(path.read_text("utf-8"))["data"]
    return [
        (number, one["context"], one["qas"][0]["question"])
        for number, article in enumerate(articles)
        for one in article["paragraphs"]
    ][:QUESTIONS]


def questions(xquad: dict) -> list[dict]:
    return [
        {"id": str(i), "language": tag, "context": "", "choices": [question], "answer": 0,
         "delimiter": "", "cluster": f"article-{number}"}
        for tag, own in xquad.items()
        for i, (number, _, question) in enumerate(own)
    ]  # fmt: skip


def asked(xquad: dict) -> list[dict]:
    """The same choices in every language: places are drawn once."""
    drawn = random.Random(0)
    plan = []
    first = xquad[XQUAD[0]]
    for i, (number, _, _) in enumerate(first):
        others = drawn.sample([j for j, one in enumerate(first) if one[0] != number], 3)
        answer = drawn.randrange(4)
        plan.append((i, [*others[:answer], i, *others[answer:]], answer))
    rows = []
    for tag, own in xquad.items():
        for i, choices, answer in plan:
            rows.append(
                {"id": str(i), "language": tag, "context": own[i][1][-CHARACTERS:],
                 "choices": [own[j][2] for j in choices], "answer": answer,
                 "cluster": f"article-{own[i][0]}"}
            )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
