"""What ``same_figures.py make`` feeds the commands: text, preferences, tasks, votes, judgments.

Everything is drawn from fixed seeds, so that two makes begin with the same bytes. Rows are written
with the keys and values of before, or with those of after by the map of names.
"""

import json
import random
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from same_figures_models import write_checkpoints, write_json

TESTS = Path(__file__).resolve().parents[1] / "tests"
WORDS = {
    "en": "the house is small and white but nobody lives there because winter was very long",
    "de": "das Haus ist klein und weiß aber niemand wohnt darin weil der Winter sehr lang war",
    "es": "la casa es pequeña y blanca pero nadie vive allí porque el invierno fue muy largo",
    "ru": "этот дом маленький и белый но никто там не живёт потому что зима была очень долгой",
    "tr": "bu ev küçük ve beyaz ama kış çok uzun olduğu için orada kimse yaşamıyor artık",
    "ja": "この 家 は 小さくて 白い です が 冬 が とても 長かった ので 誰 も 住んで いません",
}
ASKED = ("what do you see", "tell me more", "and where do you go")
GOOD = ("the red house is large", "a small tree stands here", "we walk to the sea")
BAD = ("no no no no", "xx yy zz", "bad bad answer")
TAGS = ("en", "de", "tr")
Rows = list[dict[str, Any]]
Renamed = Mapping[str, str]
"""New spelling of a key or a value of the rows that polylect reads, by the old one."""


def write_inputs(folder: Path, renamed: Renamed) -> None:
    """Write everything that the jobs read below a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_checkpoints(folder, [*WORDS.values(), *ASKED, *GOOD, *BAD])
    rows: dict[str, Rows] = {
        **alignment_rows(), **text_rows(), **task_rows(), **vote_rows(), **people_rows(),
    }  # fmt: skip
    for name, kept in rows.items():
        write_lines(folder / f"{name}.jsonl", [_renamed(row, renamed) for row in kept])
    write_lines(folder / "games.jsonl", games())  # arena-hard's format, not ours
    stages = [{"part": 2, "temperature": 2.0}, {"part": 1, "shares": {"de": 2, "en": 1}}]
    rubric = {"name": "polite", "criteria": "How polite is the answer in {language}?",
              "levels": {"0": "rude", "1": "neutral", "2": "polite"}}  # fmt: skip
    write_json(folder / "mixture.json", [_renamed(stage, renamed) for stage in stages])
    write_json(folder / "rubric.json", _renamed(rubric, renamed))
    (folder / "reward.py").write_text(REWARD, "utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
    (folder / "words.txt").write_text("\n".join(WORDS["en"].split()) + "\n", "utf-8")
    write_csv(folder / "answers.csv")
    write_data(folder / "data")
    shutil.copytree(TESTS / "golden" / "lm_eval_logs", folder / "lm_eval_logs")


def _renamed(row: Mapping[str, Any], renamed: Renamed) -> dict[str, Any]:
    return {
        renamed.get(key, key): renamed.get(value, value) if isinstance(value, str) else value
        for key, value in row.items()
    }


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, "utf-8")


def sentence(draw: random.Random, tag: str, num_words: int) -> str:
    """Words of a language, in any order."""
    return " ".join(draw.choice(WORDS[tag].split()) for _ in range(num_words))


REWARD = '''"""A reward of the user's: the longer, the better, and a little for its letters."""


def reward(messages, answer, language):
    return len(answer) + (sum(map(ord, answer)) % 7) / 10
'''

RECIPE = """\
models:
  - model: inputs/llama-a
  - model: inputs/llama-b
    parameters: {weight: 0.6, density: 0.7}
  - model: inputs/llama-c
    parameters: {weight: 0.4, density: 0.5}
merge_method: ties
base_model: inputs/llama-a
parameters: {normalize: true}
dtype: float32
"""


def pair_rows(num: int, seed: int) -> Rows:
    """Preferences: a sentence over nonsense."""
    draw = random.Random(seed)
    return [
        {"prompt": f"{draw.choice(ASKED)} {draw.randrange(10)}", "chosen": draw.choice(GOOD),
         "rejected": draw.choice(BAD), "language": TAGS[i % 3]}
        for i in range(num)
    ]  # fmt: skip


def chat_rows(num: int, seed: int) -> Rows:
    """Conversations of two turns."""
    return [
        {"messages": [{"role": "user", "content": pair["prompt"]},
                      {"role": "assistant", "content": pair["chosen"]},
                      {"role": "user", "content": "and then"},
                      {"role": "assistant", "content": pair["rejected"]}],
         "language": pair["language"]}
        for pair in pair_rows(num, seed)
    ]  # fmt: skip


def alignment_rows() -> dict[str, Rows]:
    """What training, polishing, rounds, soups and clusters learn from."""
    scored = [
        row | {"chosen_score": 1.0 + i / 8, "rejected_score": -0.5}
        for i, row in enumerate(pair_rows(6, 3))
    ]
    questions = [
        {"id": f"q{i}", "language": tag, "prompt": f"{ASKED[i % 3]} {i}", "system": "Be short.",
         "category": "monolingual/aya", "origin": ("native", "translated")[i % 2]}
        for i in range(3) for tag in TAGS
    ]  # fmt: skip
    return {
        "pairs": pair_rows(6, 0), "other-pairs": scored, "held": pair_rows(3, 2),
        "chats": chat_rows(6, 4), "more-chats": chat_rows(3, 5), "prompts": chat_rows(6, 1),
        "questions": questions,
    }  # fmt: skip


def text_rows() -> dict[str, Rows]:
    """Text to search on and to calibrate with; translations share a key."""
    draw = random.Random(10)
    text = [
        {"id": f"{tag}{i}", "language": tag, "text": sentence(draw, tag, draw.randrange(20, 60)),
         "parallel": f"p{i}" if i % 4 else "", "licence": "CC0-1.0",
         "source": "news" if i % 3 else "chat"}
        for i in range(60) for tag in ("en", "de", "es", "ru")
    ]  # fmt: skip
    return {"text": text}


def task_rows() -> dict[str, Rows]:
    """A task of choice and one of likelihood, in the form of the user's files."""
    draw = random.Random(11)
    choice, likelihood = [], []
    for tag in ("en", "de", "ja"):
        for i in range(24):
            item = {"id": str(i), "language": tag, "context": f"{sentence(draw, tag, 4)} {i}",
                    "cluster": f"c{i // 2}", "split": "test" if i < 22 else "shots"}  # fmt: skip
            choices = [sentence(draw, tag, 3), sentence(draw, tag, 5)]
            choice.append(item | {"choices": choices, "answer": i % 2})
            text = [sentence(draw, tag, 6)]
            likelihood.append(item | {"context": "", "choices": text, "answer": 0, "delimiter": ""})
    return {"choice": choice, "likelihood": likelihood}


def vote_rows() -> dict[str, Rows]:
    """An arena of six models, with riggers, boards of two days and a registry."""
    draw = random.Random(12)
    names = ["big-0", "big-1", "mid-0", "mid-1", "free-0", "free-1"]
    votes = []
    for k in range(900):
        a, b = draw.sample(range(6), 2)
        tie, first = draw.random() < 0.2, draw.random() < 1 / (1 + np.exp(0.3 * (a - b)))
        rigger = k % 15 == 0
        if rigger and "mid-1" in (names[a], names[b]):
            tie, first = False, names[a] == "mid-1"
        ties = ("TIE", "BOTH_BAD")[k % 2]
        votes.append(
            {"model_a": names[a], "model_b": names[b],
             "verdict": ties if tie else "A" if first else "B",
             "language": ("en", "ru", "fa")[k % 3], "category": ("code", "chat")[k % 2],
             "voter": f"r{k % 20}" if rigger else f"u{draw.randrange(80)}",
             "time": 1735689600.0 + 86400.0 * (k // 10), "prompt": f"p{draw.randrange(300)}",
             "length_a": draw.randrange(1, 99), "length_b": draw.randrange(1, 99)}
        )  # fmt: skip
    licences = ("proprietary", "open-weight", "open-source")
    registry = [
        {"model": name, "provider": name.split("-")[0], "licence": licences[i // 2],
         "added": "2025-01-01"}
        for i, name in enumerate(names)
    ]  # fmt: skip
    registry += [
        {"model": f"anonymous-{i}", "provider": "big", "licence": "proprietary", "private": True,
         "tested_from": f"2025-02-{1 + i:02}", "tested_to": "2025-02-20", "score": 1100.0 - i}
        for i in range(4)
    ]  # fmt: skip
    boards = [
        {"date": date, "model": name, "rating": 1000.0 - 9 * i, "battles": 30 * day + i}
        for day, date in ((3, "2025-01-31"), (9, "2025-03-31")) for i, name in enumerate(names)
    ]  # fmt: skip
    return {"votes": votes, "registry": registry, "boards": boards}


def people_rows() -> dict[str, Rows]:
    """Judgments and grades by people, of the answers to the questions."""
    verdicts = ("A", "B", "TIE")
    places = [(f"q{i}", tag) for i in range(3) for tag in TAGS]
    judgments = [
        {"id": name, "language": tag, "model_a": "llama-a", "model_b": "planted",
         "verdict": verdicts[i % 3], "judge": "people", "swapped": False}
        for i, (name, tag) in enumerate(places)
    ]  # fmt: skip
    judged = [row | {"model_a": "full", "model_b": "w4", "judge": judge}
              for row in judgments for judge in ("gpt", "ann")]  # fmt: skip
    grades = [
        {"id": name, "language": tag, "model": "llama-a", "judge": "people",
         "score": float(1 + i % 5)}
        for i, (name, tag) in enumerate(places)
    ]  # fmt: skip
    return {"people": judgments, "quantized-judgments": judged, "people-grades": grades}


def games() -> Rows:
    """Judgments in arena-hard-auto's format."""
    labels = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
    return [
        {"uid": str(i), "model": f"m{i % 2}", "baseline": "b",
         "games": [{"score": labels[i % 5]}, {"score": labels[(3 * i + 1) % 5]}]}
        for i in range(24)
    ]  # fmt: skip


def write_csv(path: Path) -> None:
    """Answers in the form in which the Language Confusion Benchmark publishes them."""
    draw = random.Random(13)
    lines = ["model,task,source,language,completion"]
    for tag in ("de", "tr", "ja"):
        for i in range(4):
            text = sentence(draw, tag if i else "en", 14)
            lines.append(f"csv,monolingual,aya,{tag},{text}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_data(folder: Path) -> None:
    """Data of the built-in tasks: the tests' fixtures, and tiny files for the others."""
    shutil.copytree(TESTS / "fixtures" / "tasks", folder)
    draw = random.Random(14)
    news = folder / "ntrex"
    news.mkdir()
    ids = [f"paper.{i}" for i, size in enumerate((7, 6, 9, 6)) for _ in range(size)]
    (news / "DOCUMENT_IDS.tsv").write_text("".join(f"{name}\n" for name in ids), "utf-8")
    for tag, code in (("de", "ref.deu"), ("en", "src.eng"), ("ja", "ref.jpn")):
        lines = [f"{sentence(draw, tag, 7)} {i}.\n" for i in range(len(ids))]
        (news / f"newstest2019-{code}.txt").write_text("".join(lines), "utf-8")
    programs = [
        {"task_id": f"HumanEval/{i}", "prompt": f"def f{i}(x):\n    '''Add {i}.'''\n",
         "canonical_solution": f"    return x + {i}\n", "entry_point": f"f{i}",
         "test": f"def check(candidate):\n    assert candidate(1) == {1 + i}\n"}
        for i in range(2)
    ]  # fmt: skip
    (folder / "humaneval").mkdir()
    write_lines(folder / "humaneval" / "HumanEval.jsonl", programs)
    prompts = [f"{i},{kind},{sentence(draw, 'en', 5)},{label}" for i, (kind, label) in
               enumerate((("homonyms", "safe"), ("contrast_homonyms", "unsafe")))]  # fmt: skip
    (folder / "xstest").mkdir()
    (folder / "xstest" / "xstest_prompts.csv").write_text(
        "\n".join(["id,type,prompt,label", *prompts]) + "\n", "utf-8"
    )
    (folder / "xlsum").mkdir()
    articles = [{"id": f"n{i}", "text": f"{sentence(draw, 'en', 12)}.",
                 "summary": f"{sentence(draw, 'en', 4)}."} for i in range(2)]  # fmt: skip
    write_lines(folder / "xlsum" / "english_test.jsonl", articles)
    confusion = folder / "language-confusion"
    confusion.mkdir()
    with zipfile.ZipFile(confusion / "test_sets.zip", "w") as archive:
        for tag in ("de", "tr"):
            rows = "".join(f"{sentence(draw, tag, 6)},aya\n" for _ in range(3))
            place = zipfile.ZipInfo(f"test_sets/monolingual/aya/{tag}.csv")
            archive.writestr(place, f"prompt,source\n{rows}")
