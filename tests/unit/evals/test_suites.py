"""Suites: versions are pinned, what is at hand runs, what is not is named."""

import json
import shutil
from itertools import chain
from pathlib import Path

import pytest

from polylect.base import InputError, Ledger
from polylect.evals import SUITES, TASKS, described_suite, find_suite, prepare_suite, suite_rows
from polylect.evals.config import EvalConfig
from polylect.evals.suites import AYA23, Part, Suite

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tasks"


def config(folder, **more):
    return EvalConfig(name="m", tasks=(), data=folder, limit=2, **more)


def cells(prepared):
    return [(task.task.name, task.language, task.settings["shots"]) for task in prepared]


@pytest.mark.parametrize("name", SUITES)
def test_versions_of_tasks_are_pinned_and_are_todays(name):
    for part in SUITES[name].parts:
        assert part.task == part.definition.label, "raise the version of the suite"
        assert set(part.tags) <= set(part.definition.languages)
        assert part.definition.max_shots is None or part.shots <= part.definition.max_shots
    rows = suite_rows(SUITES[name])
    assert [row["label"] for row in rows] == [part.task for part in SUITES[name].parts]
    assert all(row["license"] and row["data"] and row["metric"] for row in rows)


def test_aya23_is_what_the_paper_reports():
    parts = {part.task.partition("@")[0]: part for part in AYA23.parts}
    assert {name: (len(part.tags), part.shots) for name, part in parts.items()} == {
        "xcopa": (5, 0), "xstorycloze": (7, 0), "xwinograd": (6, 0), "okapi_mmlu": (14, 5),
        "mgsm_native_cot": (7, 5), "flores_from_english": (22, 0), "flores_into_english": (22, 0),
        "xlsum": (15, 0),
    }  # fmt: skip


def test_what_is_at_hand_runs_and_what_is_not_is_named_with_what_would_bring_it():
    ledger = Ledger()
    prepared, absent = prepare_suite(AYA23, config(FIXTURES), None, ledger)
    assert cells(prepared) == [
        ("xcopa", "it", 0), ("xstorycloze", "es", 0), ("xwinograd", "fr", 0),
    ]  # fmt: skip
    named = {(part.task, part.reason): part for part in absent}
    assert named["okapi_mmlu", "fewer than 5 examples"].languages == ("ro",)
    assert len(named["okapi_mmlu", "no file in these languages"].languages) == 13
    assert named["xlsum", "no data"].hint.endswith("--hub to download csebuetnlp/xlsum")
    # Every cell of the suite is either prepared or named once.
    everything = [(part.definition.name, tag) for part in AYA23.parts for tag in part.tags]
    found = [(name, tag) for name, tag, _ in cells(prepared)]
    missing = list(chain.from_iterable(((part.task, tag) for tag in part.languages)
                                       for part in absent))  # fmt: skip
    assert sorted(found + missing) == sorted(everything)
    assert not ledger.by_event()


def test_what_is_said_of_it_is_the_same_on_every_machine(tmp_path):
    elsewhere = shutil.copytree(FIXTURES, tmp_path / "data")
    both = [described_suite(AYA23, prepare_suite(AYA23, config(folder), None, Ledger())[1])
            for folder in (FIXTURES, elsewhere)]  # fmt: skip
    assert both[0] == both[1]
    assert str(tmp_path) not in json.dumps(both)


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        (("it",), [("xcopa", "it", 0)]),
        (("pt-BR", "es"), [("xstorycloze", "es", 0)]),
        (("fr", "it", "fr"), [("xcopa", "it", 0), ("xwinograd", "fr", 0)]),
    ],
)
def test_languages_are_kept_of_each_part(languages, expected):
    prepared, absent = prepare_suite(AYA23, config(FIXTURES, languages=languages), None, Ledger())
    assert cells(prepared) == expected
    wanted = {"pt" if tag == "pt-BR" else tag for tag in languages}
    assert set(chain.from_iterable(part.languages for part in absent)) <= wanted


def test_nothing_at_hand_or_no_such_language_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"nothing of it is at hand — --datasets DIR .*\(xcopa, "):
        prepare_suite(AYA23, config(tmp_path), None, Ledger())
    with pytest.raises(InputError, match="suite aya23: nothing in sw — it has "):
        prepare_suite(AYA23, config(FIXTURES, languages=("sw",)), None, Ledger())
    with pytest.raises(InputError, match="no suite 'aya32' — did you mean aya23"):
        find_suite("aya32")
    assert find_suite("Mixture-Lab") is SUITES["mixture_lab"]


def test_a_package_that_scores_answers_is_asked_for_before_any_is_written(monkeypatch, tmp_path):
    folder = tmp_path / "xlsum"
    folder.mkdir()
    row = {"id": "1", "text": "Ein langer Bericht.", "summary": "Ein Bericht."}
    (folder / "turkish_test.jsonl").write_text(json.dumps(row) + "\n")
    suite = Suite("s", 1, "", "", (Part("xlsum@2", ("tr", "vi")), Part("xcopa@1", ("it",))), {})
    shutil.copytree(FIXTURES / "xcopa", tmp_path / "xcopa")
    prepared, _ = prepare_suite(suite, config(tmp_path), None, Ledger())
    assert cells(prepared) == [("xlsum", "tr", 0), ("xcopa", "it", 0)]
    monkeypatch.setattr("polylect.evals.tasks.task.find_spec", lambda _: None)
    prepared, absent = prepare_suite(suite, config(tmp_path), None, Ledger())
    assert cells(prepared) == [("xcopa", "it", 0)]
    reasons = {part.languages: (part.reason, part.hint) for part in absent}
    assert "'rouge_score', which is not installed" in reasons["tr",][0]
    assert reasons["tr",][1].endswith("'.[summaries]'")
    assert reasons["vi",][0] == "no file in these languages"


def test_the_lab_suite_is_of_tasks_whose_chance_is_known_or_that_are_likelihoods():
    for part in SUITES["mixture_lab"].parts:
        assert TASKS[part.definition.name].scorer in ("choice", "likelihood")
