"""The quantization study: on a base trained here in full precision, and on packaged models.

    polylect run base --debian DIR --out runs/base
    python benchmarks/quantize_study.py chance --base runs/base --data DATA --out runs/quant
    python benchmarks/quantize_study.py study --base runs/base --data DATA --out runs/quant
    python benchmarks/quantize_study.py study --base runs/base --data DATA --out runs/gemma \\
        --model DIR --note "Re-quantization: …" --tasks ntrex_bits sums --languages … --limit 24

``chance`` scores full precision on every choice task and says which are above chance; ``study``
quantizes and scores. The base never sees NTREX or XQuAD. Besides the built-in tasks:

news        NTREX's sentences, parallel in all languages, bits per byte; those that are short enough
            for the base's 256 tokens in every language
held_out    documents of the base's own text that were held out, in all its languages, bits per byte
questions   XQuAD's questions, parallel in nine of the languages, bits per byte
asked       which of four questions is asked of a paragraph's end; the others are of other articles
sums        which of four numbers is the sum of two, asked in words of ten languages, three examples
"""

import argparse
import json
import random
from pathlib import Path

from polylect.engine import EngineConfig
from polylect.evals import EvalConfig, Source, score_tasks
from polylect.evals.tasks.ntrex_bits import TASK as NTREX
from polylect.quantization import SCHEMES
from polylect.recipes.quantization.study import StudyConfig, study
from polylect.rows import Document, ScoreTable, Split, read_rows
from polylect.runs import Files, Run, display, read_run

XQUAD = {"ar": "ar", "de": "de", "el": "el", "en": "en", "es": "es", "hi": "hi", "ru": "ru",
         "tr": "tr", "vi": "vi", "zh": "zh-Hans"}  # fmt: skip
SUMS = {
    "ar": "سؤال: كم يساوي {a} زائد {b}؟\nالجواب:",
    "de": "Frage: Was ist {a} plus {b}?\nAntwort:",
    "en": "Question: What is {a} plus {b}?\nAnswer:",
    "es": "Pregunta: ¿Cuánto es {a} más {b}?\nRespuesta:",
    "fr": "Question : Combien font {a} plus {b} ?\nRéponse :",
    "hi": "प्रश्न: {a} और {b} का योग क्या है?\nउत्तर:",
    "ja": "問題：{a}たす{b}はいくつですか。\n答え：",
    "ko": "질문: {a} 더하기 {b}는 얼마입니까?\n답:",
    "ru": "Вопрос: Сколько будет {a} плюс {b}?\nОтвет:",
    "zh-Hans": "问题：{a}加{b}等于多少？\n答案：",
}
DOCUMENTS, QUESTIONS, SUMMED = 60, 240, 100
NEWS_CHARACTERS, CHARACTERS = 250, 160
CHOICES = ("asked", "sums", "next_sentence", "translation_choice", "xcopa")
OWN = ("news", "held_out", "questions", "asked", "sums")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["chance", "study"])
    parser.add_argument("--base", type=Path, required=True, help="a run of the recipe base")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="another model, calibrated on the base's text")
    parser.add_argument("--note", default="")
    parser.add_argument("--tasks", nargs="*", default=["news", "questions", "held_out"])
    parser.add_argument("--languages", nargs="*", help="default: the base's")
    parser.add_argument("--schemes", nargs="*", default=list(SCHEMES))
    parser.add_argument("--limit", type=int, default=300, help="items of a task and language")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--sample-tokens", type=int, default=256)
    parser.add_argument("--eval-samples-per-language", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the calibration")
    options = parser.parse_args()
    steps = read_run(options.base)["steps"]
    text, base, calibration = (
        options.base / steps[name]["folder"] for name in ("text", "base", "calibration")
    )
    languages = tuple(options.languages or sorted(
        {one.language for one in read_rows(text / f"{Split.TEST}.parquet", Document)} - {"code"}
    ))  # fmt: skip
    items = options.out / "items"
    items.mkdir(parents=True, exist_ok=True)
    write(items / "held_out.jsonl", held_out(text))
    write(items / "news.jsonl", news(options.data, languages))
    xquad = {tag: read_xquad(options.data / f"xquad/xquad.{name}.json")
             for name, tag in XQUAD.items()}  # fmt: skip
    write(items / "questions.jsonl", questions(xquad))
    write(items / "asked.jsonl", asked(xquad))
    write(items / "sums.jsonl", sums())
    model = options.model or base
    named = [str(items / f"{one}.jsonl") if one in OWN else one
             for one in (CHOICES if options.what == "chance" else options.tasks)]  # fmt: skip
    if options.what == "chance":
        chance(model, tuple(named), languages, options)
        return
    config = StudyConfig(
        model=model,
        calibration=calibration / "calibration.jsonl",
        schemes=tuple(options.schemes),
        tasks=tuple(named),
        data=options.data,
        languages=languages,
        limit=options.limit,
        samples=options.samples,
        sample_tokens=options.sample_tokens,
        eval_samples_per_language=options.eval_samples_per_language,
        note=options.note,
        seed=options.seed,
    )
    with display() as shown:
        run = Run(options.out / "run", "study", config, num_workers=1, display=shown)
        study(run, config)


def chance(model: Path, tasks: tuple[str, ...], languages: tuple[str, ...], options) -> None:
    """Accuracy of full precision, with the 95 % interval of its mean over all items."""
    config = EvalConfig(
        name="full", tasks=tasks, languages=languages, limit=options.limit, data=options.data,
        engine=EngineConfig(threads=1, over_long="cut"),
    )  # fmt: skip
    with display() as shown:
        run = Run(options.out / "chance", "chance", config, num_workers=1, display=shown)
        scored = run.step(score_tasks, "score", config, {"model": Files(model)})
        run.finish([])
    frame = ScoreTable.read(scored.path / "scores.parquet").frame
    metrics = ("acc", "acc_norm", "acc_bytes")
    for (task, metric), part in frame.group_by("task", "metric", maintain_order=True):
        if metric in metrics:
            mean, num, guess = part["value"].mean(), len(part), part["chance"].mean()
            half = 1.96 * (mean * (1 - mean) / num) ** 0.5
            above = "above chance" if mean - half > guess else "not above chance"
            print(f"{task:24} {metric:10} {mean:.3f} ± {half:.3f}, chance {guess:.2f},"
                  f" {num:,} items, {part['language'].n_unique()} languages: {above}")  # fmt: skip


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def held_out(text: Path) -> list[dict]:
    """The first documents of every language, cut to what fits the model."""
    num: dict[str, int] = {}
    rows = []
    for one in read_rows(text / f"{Split.TEST}.parquet", Document):
        num[one.language] = num.get(one.language, 0) + 1
        if num[one.language] <= DOCUMENTS and one.language != "code":
            cut = one.text[:CHARACTERS]
            rows.append({"id": one.id, "language": one.language, "context": "", "choices": [cut],
                         "answer": 0, "delimiter": ""})  # fmt: skip
    return rows


def news(data: Path, languages: tuple[str, ...]) -> list[dict]:
    """Parallel sentences; a sentence that is too long in one language is left out in all."""
    source = Source(data / "ntrex", hub=False)
    found = {tag: {one.id: one for one in NTREX.read(source, tag)} for tag in languages}
    short = [
        name
        for name in found[languages[0]]
        if all(len(own[name].choices[0]) <= NEWS_CHARACTERS for own in found.values())
    ]
    return [
        {"id": name, "language": tag, "context": "", "choices": list(own[name].choices),
         "answer": 0, "delimiter": "", "cluster": own[name].cluster}
        for tag, own in found.items()
        for name in short
    ]  # fmt: skip


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
    first = xquad["en"]
    for i, (number, _, _) in enumerate(first):
        others = drawn.sample([j for j, one in enumerate(first) if one[0] != number], 3)
        answer = drawn.randrange(4)
        plan.append((i, [*others[:answer], i, *others[answer:]], answer))
    rows = []
    for tag, own in xquad.items():
        for i, choices, answer in plan:
            rows.append(
                {"id": str(i), "language": tag, "context": own[i][1][-CHARACTERS // 2 :],
                 "choices": [own[j][2] for j in choices], "answer": answer,
                 "cluster": f"article-{own[i][0]}"}
            )  # fmt: skip
    return rows


def sums() -> list[dict]:
    """The same sums and choices in every language; three solved ones stand before each."""
    drawn = random.Random(0)
    plan = []
    for number in range(SUMMED):
        a, b = drawn.randint(2, 49), drawn.randint(2, 49)
        wrong = drawn.sample([a + b + step for step in (-10, -2, -1, 1, 2, 10) if a + b + step > 0],
                             3)  # fmt: skip
        answer = drawn.randrange(4)
        plan.append((str(number), a, b, [*wrong[:answer], a + b, *wrong[answer:]], answer))
    rows = []
    for tag, asked_ in SUMS.items():
        gap = "" if tag in ("ja", "zh-Hans") else " "
        solved = "".join(
            asked_.format(a=a, b=b) + gap + str(a + b) + "\n\n"
            for a, b in ((3, 4), (12, 25), (31, 8))
        )
        rows += [
            {"id": name, "language": tag, "context": solved + asked_.format(a=a, b=b),
             "choices": [str(one) for one in choices], "answer": answer, "delimiter": gap}
            for name, a, b, choices, answer in plan
        ]  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
