"""The readers of the built-in tasks: fixtures in every published layout, and real files."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polylect.base import LANGUAGES, InputError, described, language
from polylect.evals import TASKS, Item, Source, find_task
from polylect.evals.sources import MissingTranslation

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tasks"
# The folder of real data beside the repository, when it is there; the product does not need it.
DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))


def lines(name):
    return [json.loads(line) for line in (FIXTURES / name).read_text("utf-8").splitlines()]


def table(name, columns, skip=0):
    text = (FIXTURES / name).read_text("utf-8").splitlines()[skip:]
    return [dict(zip(columns, line.split("\t"), strict=True)) for line in text]


def stories(split):
    sentences = [f"input_sentence_{i}" for i in range(1, 5)]
    names = ["story_id", *sentences, "sentence_quiz1", "sentence_quiz2", "answer_right_ending"]
    rows = table(f"xstorycloze/spring2016.val.es.tsv.split_20_80_{split}.tsv", names, skip=1)
    return [row | {"answer_right_ending": int(row["answer_right_ending"])} for row in rows]


def squad():
    data = json.loads((FIXTURES / "xquad/xquad.el.json").read_text("utf-8"))["data"]
    for article in data:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                (answer,) = one["answers"]
                found = {"text": [answer["text"]], "answer_start": [answer["answer_start"]]}
                yield one | {"context": paragraph["context"], "answers": found}


def sums():
    rows = table("mgsm/mgsm_ja.tsv", ["question", "answer_number"])
    return [
        {
            "question": row["question"],
            "answer": None,
            "answer_number": int(row["answer_number"].replace(",", "")),
        }
        for row in rows
    ]


def exemplars():
    data = json.loads((FIXTURES / "mgsm/exemplars.json").read_text("utf-8"))
    asked = data["MGSM_EXEMPLARS"]["ja"]
    return [
        {"question": asked[str(i)]["q"], "answer": asked[str(i)]["a"], "answer_number": number}
        for i, number in enumerate(data["EXEMPLAR_NUMBER_ANSWERS"], start=1)
    ]


def okapi(split):
    return json.loads((FIXTURES / f"okapi_mmlu/ro_{split}.json").read_text("utf-8"))


# Task, language, its name on the hub, and the hub's rows by split: the same as the fixture's.
ON_THE_HUB = [
    ("xcopa", "it", "it", {"test": lambda: lines("xcopa/data/it/test.it.jsonl"),
                           "validation": lambda: lines("xcopa/data/it/val.it.jsonl")}),
    ("xstorycloze", "es", "es", {one: lambda one=one: stories(one) for one in ("eval", "train")}),
    ("xwinograd", "fr", "fr", {"test": lambda: lines("xwinograd/test/fr.jsonl")}),
    ("belebele", "pt", "por_Latn", {"test": lambda: lines("belebele/por_Latn.jsonl")}),
    ("global_mmlu", "tr", "tr", {one: lambda one=one: lines(f"global_mmlu/tr/{one}.jsonl")
                                 for one in ("test", "dev")}),
    ("okapi_mmlu", "ro", "ro", {"test": lambda: okapi("test"), "train": lambda: okapi("dev")}),
    ("xquad", "el", "xquad.el", {"validation": lambda: list(squad())}),
    ("mgsm", "ja", "ja", {"test": sums, "train": exemplars}),
    ("gsm8k", "en", "main", {one: lambda one=one: lines(f"gsm8k/{one}.jsonl")
                             for one in ("test", "train")}),
    ("mbpp_text", "code", "full", {"test": lambda: lines("mbpp_text/mbpp.jsonl")[2:4],
                                   "prompt": lambda: lines("mbpp_text/mbpp.jsonl")[:2]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "tag", "config", "splits"), ON_THE_HUB, ids=lambda one: str(one)[:12]
)
def test_the_original_and_the_hubs_files_give_the_same_items(tmp_path, name, tag, config, splits):
    for split, rows in splits.items():
        path = tmp_path / name / config / split / "0000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows()), path)
    task, original, hub = TASKS[name], Source.at(FIXTURES), Source.at(tmp_path)
    items = task.items(original, tag)
    assert items == task.items(hub, tag)
    assert task.shots(original, tag) == task.shots(hub, tag)
    assert len(items) == (2 if name == "mbpp_text" else 5)
    assert all(one.language == tag for one in items)
    assert original.digests.keys() != hub.digests.keys()
    assert all(one.startswith(f"{name}/") for one in original.digests)


def test_translations_have_equal_ids_and_clusters():
    german, portuguese = (TASKS["belebele"].items(Source.at(FIXTURES), tag) for tag in ("de", "pt"))
    for field in ("id", "cluster", "answer"):
        assert [getattr(one, field) for one in german] == [
            getattr(one, field) for one in portuguese
        ]
    # The file does not tell two passages of one article apart: the second one's item is numbered.
    assert german[3].id == "https://example.org/bruecke#1#2"
    assert german[0].context != portuguese[0].context


def test_an_item_of_the_hubs_belebele_in_full():
    assert TASKS["belebele"].items(Source.at(FIXTURES), "de")[1] == Item(
        id="https://example.org/bruecke#2",
        language="de",
        context="P: Die Brücke wurde 1902 gebaut. Sie ist aus Stahl.\nQ: Woraus ist sie?\n"
        "A: Holz\nB: Stein\nC: Stahl\nD: Glas\nAnswer:",
        choices=("A", "B", "C", "D"),
        answer=2,
        cluster="https://example.org/bruecke",
    )


def test_a_paragraphs_questions_are_one_cluster():
    items = TASKS["xquad"].items(Source.at(FIXTURES), "el")
    assert [one.cluster for one in items] == [f"paragraph-{i}" for i in (0, 0, 1, 2, 2)]


def test_sentences_of_xwinograd_are_nobodys_translation():
    items = TASKS["xwinograd"].items(Source.at(FIXTURES), "fr")
    assert [one.id for one in items] == [f"fr-{i}" for i in range(5)]
    assert items[0].contexts()[1] == "Le sac n'entre pas dans l'armoire parce que l'armoire"


def test_without_exemplars_the_problems_are_not_their_own_examples(tmp_path):
    (tmp_path / "mgsm").mkdir()
    text = (FIXTURES / "mgsm/mgsm_ja.tsv").read_text("utf-8")
    (tmp_path / "mgsm/mgsm_ja.tsv").write_text(text)
    source = Source.at(tmp_path)
    assert len(TASKS["mgsm"].items(source, "ja")) == 5
    with pytest.raises(InputError, match="no data"):
        TASKS["mgsm"].shots(source, "ja")
    with pytest.raises(InputError, match=r"no exemplars in de.*--shots 0"):
        TASKS["mgsm"].shots(Source.at(FIXTURES), "de")


def test_ids_that_repeat_are_told_apart_by_their_order(tmp_path):
    rows = json.loads((FIXTURES / "okapi_mmlu/ro_test.json").read_text("utf-8"))
    (tmp_path / "okapi_mmlu").mkdir()
    path = tmp_path / "okapi_mmlu/ro_test.json"
    path.write_text(json.dumps([*rows, rows[0], rows[0]]))
    names = [one.id for one in TASKS["okapi_mmlu"].items(Source.at(tmp_path), "ro")]
    assert names[5:] == [f"{names[0]}#2", f"{names[0]}#3"]
    assert len(set(names)) == 7


def test_functions_are_read_from_the_gzipped_file(tmp_path):
    row = {"task_id": "HumanEval/0", "prompt": "def f():\n", "canonical_solution": "    return 1\n"}
    (tmp_path / "humaneval").mkdir()
    (tmp_path / "humaneval/HumanEval.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    assert TASKS["humaneval"].items(Source.at(tmp_path), "code") == [
        Item("HumanEval/0", "code", "def f():\n", ("    return 1\n",), 0, "")
    ]


@pytest.mark.parametrize(
    ("name", "file", "change", "said"),
    [
        ("xcopa", "xcopa/it/test.jsonl", {"premise": None}, "'premise' is missing"),
        ("xcopa", "xcopa/it/test.jsonl", {"label": 2}, "item '0': answer 2 of 2 choices"),
        ("xwinograd", "xwinograd/test/en.jsonl", {"sentence": "no blank"}, "nothing after a '_'"),
        ("global_mmlu", "global_mmlu/de/test.jsonl", {"answer": "E"}, "'answer' is 'E', not one"),
    ],
)
def test_a_broken_row_is_named(tmp_path, name, file, change, said):
    row = {
        "premise": "Es regnet.", "choice1": "a", "choice2": "b", "question": "cause", "label": 0,
        "idx": 0, "sentence": "A _ b.", "option1": "x", "option2": "y", "answer": "A",
        "question_": "", "sample_id": "s", "subject": "t",
    } | {f"option_{one}": one for one in "abcd"}  # fmt: skip
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(row | change) + "\n")
    tag = {"xcopa": "it", "xwinograd": "en", "global_mmlu": "de"}[name]
    with pytest.raises(InputError, match=said):
        TASKS[name].items(Source.at(tmp_path), tag)


def test_an_item_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "xcopa/it/test.jsonl"
    path.parent.mkdir(parents=True)
    text = (FIXTURES / "xcopa/data/it/test.it.jsonl").read_text("utf-8")
    path.write_text(text + text.splitlines()[0] + "\n")
    with pytest.raises(InputError, match=r"xcopa \(it\): item '0' is there twice"):
        TASKS["xcopa"].items(Source.at(tmp_path), "it")


def test_names_and_languages():
    assert tuple(TASKS) == tuple(task.name for task in TASKS.values())
    for task in TASKS.values():
        assert all(described(tag).name != tag for tag in task.languages)
        assert all(language(tag).tag == tag for tag in task.languages)
        assert len(set(task.languages)) == len(task.languages) > 0
        assert task.summary
        assert task.data.license
        assert task.data.home.startswith("https://")
    for name in ("next_sentence", "ntrex_bits", "belebele"):
        assert set(LANGUAGES) <= set(TASKS[name].languages)
    assert find_task("Next-Sentence") is TASKS["next_sentence"]
    with pytest.raises(InputError, match="no task 'xcopaa' — did you mean xcopa"):
        find_task("xcopaa")
    with pytest.raises(InputError, match=r"a file ends in \.jsonl or .*; built in are xcopa,"):
        find_task("qqqqqqq")


def test_the_guide_lists_every_task_as_it_is():
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "tasks.md").read_text("utf-8")
    cells = [
        line.strip("| \n").split(" | ") for line in guide.split("\n") if line.startswith("| `")
    ]
    listed = {row[0].strip("`"): row for row in cells if len(row) == 6}
    assert tuple(listed) == tuple(TASKS)
    for name, task in TASKS.items():
        _, _, languages, pool, data, license = listed[name]
        counted = {"the 23": 24, "the 23 without en": 23, "en": 1, "code": 1}.get(languages)
        assert len(task.languages) == (counted or int(languages))
        assert (pool == "itself") == (task.pool is None and task.max_shots is None)
        assert license == task.data.license
        assert (
            data == (task.data.hub or task.data.home.removeprefix("https://")) or data == "the same"
        )


def test_the_file_of_the_guide_is_a_task(tmp_path):
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "tasks.md").read_text("utf-8")
    path = tmp_path / "sky.jsonl"
    path.write_text("\n".join(line for line in guide.split("\n") if line.startswith('{"id"')))
    assert find_task(str(path)).languages == ("de", "fr")


def test_listing_tasks_loads_nothing_heavy():
    code = (
        "import sys; from polylect.evals import TASKS; list(TASKS); "
        "print({'torch', 'transformers', 'huggingface_hub', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture
def data(capsys):
    """A source at the real data; skips visibly where there are none."""
    if not (DATA / "ntrex").is_dir():
        with capsys.disabled():
            sys.stderr.write("skipped: no data (tasks)\n")
        pytest.skip("no data")
    return Source.at(DATA)


# Task, language, items, examples, and the first item's choices and answer.
REAL = [
    ("xcopa", "id", 500, 100, ("barang itu rapuh.", "barang itu kecil."), 0),
    ("xquad", "zh-Hans", 1190, 0, ("308",), 0),
    ("mgsm", "zh-Hans", 250, 8, ("18",), 0),
    ("humaneval", "code", 164, 0, None, 0),
    ("gsm8k", "en", 1319, 7473, None, 0),
    ("mbpp", "code", 500, 10, None, 0),
    ("next_sentence", "de", 634, 0, None, 1),
    ("translation_choice", "ja", 1997, 0, None, 2),
    ("ntrex_bits", "en", 1997, 0, None, 0),
]


@pytest.mark.parametrize(("name", "tag", "num_items", "num_shots", "choices", "answer"), REAL)
def test_real_files(data, name, tag, num_items, num_shots, choices, answer):
    task = TASKS[name]
    items, shots = task.items(data, tag), task.shots(data, tag)
    assert (len(items), len(shots)) == (num_items, num_shots)
    assert items[0].choices == (choices or items[0].choices)
    assert items[0].answer == answer
    assert data.digests


@pytest.mark.parametrize("name", ["xcopa", "xquad", "mgsm"])
def test_real_translations_are_parallel(data, name):
    names, missing = {}, []
    for tag in TASKS[name].languages:
        try:
            items = TASKS[name].items(data.fresh(), tag)
        except MissingTranslation:
            missing.append(tag)
            continue
        names[tag] = [(one.id, one.cluster) for one in items]
        answers = [(one.answer, one.choices if name == "mgsm" else None) for one in items]
        assert answers == names.setdefault("answers", answers)
    del names["answers"]
    assert len({tuple(one) for one in names.values()}) == 1
    assert missing == {
        "xcopa": ["et", "ht", "qu", "sw", "ta", "th"],
        "xquad": ["th"],
        "mgsm": ["bn", "sw", "te", "th"],
    }[name]  # fmt: skip
