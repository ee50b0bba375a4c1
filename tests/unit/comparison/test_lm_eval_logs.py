"""Logs that lm-evaluation-harness 0.4.13 wrote (tests/golden/lm_eval_logs.py)."""

import json
import shutil
from pathlib import Path

import pytest

from polylect.base import InputError
from polylect.comparison import (
    Metrics,
    compare,
    language_of_task,
    read_model,
    read_models,
    with_directions,
)
from polylect.comparison.lm_eval_languages import resolve_language
from polylect.comparison.lm_eval_logs import BY_NUMBER, find_logs

LOGS = Path(__file__).parents[2] / "golden" / "lm_eval_logs"


def samples(side):
    """Every logged sample, by task and document."""
    return {
        (path.name.split("_2026")[0].removeprefix("samples_"), sample["doc_id"]): sample
        for path in sorted((LOGS / side).glob("samples_*"))
        for sample in map(json.loads, path.read_text("utf-8").splitlines())
    }


def test_every_logged_value_is_a_row():
    side = read_model(LOGS / "before")
    assert (side.name, side.kind) == ("before", "lm_eval logs")
    assert side.languages == {"mixed_de": "de", "mixed_ja": "ja"}
    rows = {
        (f"{row['task']}_{row['language']}", int(row["item"]), row["metric"]): row
        for row in side.table.frame.iter_rows(named=True)
    }
    logged = samples("before")
    assert len(rows) == 2 * len(logged) > 0
    for (task, doc), sample in logged.items():
        for metric in ("acc", "acc_norm"):
            row = rows[task, doc, metric]
            assert row["value"] == sample[metric]
            assert row["chance"] == pytest.approx(1 / len(sample["doc"]["choices"]))
            assert sample["doc_hash"][:12] in row["settings"]


def test_the_logged_accuracy_is_the_argmax_of_the_logged_log_likelihoods():
    for sample in samples("after").values():
        sums = [float(value) for value, _ in sample["filtered_resps"]]
        lengths = [len(text) for text in sample["doc"]["choices"]]
        for metric, values in (
            ("acc", sums),
            ("acc_norm", [a / b for a, b in zip(sums, lengths, strict=True)]),
        ):
            assert sample[metric] == (values.index(max(values)) == sample["doc"]["answer"])


def test_two_runs_compare_document_by_document():
    sides = read_models(LOGS / "before", LOGS / "after", ("", ""), {})
    metrics = with_directions(Metrics(), sides)
    assert metrics.higher == ("acc", "acc_norm")
    comparison = compare(sides[0].table, sides[1].table, metrics=metrics)
    before, after = samples("before"), samples("after")
    for row in comparison.languages.iter_rows(named=True):
        keys = [key for key in before if key[0] == f"mixed_{row['language']}"]
        pairs = [(before[key]["acc"], after[key]["acc"]) for key in keys]
        assert row["items"] == len(pairs)
        assert row["worse"] == sum(a > b for a, b in pairs)
        assert row["better"] == sum(a < b for a, b in pairs)


def test_a_different_prompt_counts_as_different_settings(tmp_path):
    shutil.copytree(LOGS / "after", tmp_path / "after")
    for path in (tmp_path / "after").glob("samples_*"):
        text = path.read_text("utf-8").replace('"prompt_hash": "', '"prompt_hash": "0')
        path.write_text(text, "utf-8")
    sides = read_models(LOGS / "before", tmp_path / "after", ("", ""), {})
    with pytest.raises(InputError, match="scored with other settings"):
        compare(sides[0].table, sides[1].table)


def test_the_folder_above_is_found_and_several_are_refused(tmp_path):
    shutil.copytree(LOGS / "before", tmp_path / "logs" / "before")
    assert read_model(tmp_path / "logs").name == "before"
    shutil.copytree(LOGS / "after", tmp_path / "logs" / "after")
    with pytest.raises(InputError, match="logs of several models"):
        read_model(tmp_path / "logs")
    first = next((LOGS / "before").glob("samples_mixed_de*"))
    folder = tmp_path / "twice"
    folder.mkdir()
    shutil.copy(first, folder)
    shutil.copy(first, folder / first.name.replace("2026", "2027"))
    with pytest.raises(InputError, match="logged more than once"):
        find_logs(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ":1: not JSON"),
        ('{"a": 1}', ":1: not a sample of lm-evaluation-harness"),
        ('{"doc_id": 0, "metrics": ["text"], "text": "x"}', "no sample has a metric"),
        ('{"doc_id": 0, "metrics": ["acc"], "acc": 1, "doc_hash": 3}', "doc_hash is 3, not text"),
    ],
)
def test_a_broken_log_is_refused_with_one_line(tmp_path, text, words):
    (tmp_path / "samples_x_de.jsonl").write_text(text + "\n")
    with pytest.raises(InputError, match=words):
        read_model(tmp_path)


def test_a_log_of_bits_per_byte_is_weighted_by_bytes(tmp_path):
    (tmp_path / "samples_text_de.jsonl").write_text(
        '{"doc_id": 0, "metrics": ["bits_per_byte"], "bits_per_byte": [-10.0, 4]}\n'
        '{"doc_id": 1, "metrics": ["bits_per_byte"], "bits_per_byte": [-10.0, 16]}\n'
    )
    side = read_model(tmp_path)
    mean = side.table.by("language")["value"][0]
    assert mean == pytest.approx(20 / 20 / 0.6931471805599453)


def test_languages_are_read_from_names_and_never_guessed():
    cases = {
        "xcopa_tr": ("tr", "xcopa"),
        "belebele_deu_Latn": ("de", "belebele"),
        "belebele_zho_Hant": ("zh-Hant", "belebele"),
        "mgsm_direct_de_v2": ("de", "mgsm_direct_v2"),
        "wmt16-de-en": ("und", "wmt16-de-en"),
        "hellaswag": ("und", "hellaswag"),
        "xwinograd_jp": ("ja", "xwinograd"),
        "xstorycloze_sw": ("sw", "xstorycloze"),
        "truth_in_time": ("und", "truth_in_time"),
    }
    for name, expected in cases.items():
        assert language_of_task(name) == expected
    assert resolve_language("hellaswag", {"hella*": "en"}) == ("en", "hellaswag")


def without_hashes(tmp_path, side, *, keep_documents, permuted=False):
    """The logs of a side as a version before 0.4.3 wrote them, their numbers permuted or not."""
    folder = tmp_path / f"{side}{permuted}"
    folder.mkdir(parents=True)
    for path in (LOGS / side).rglob("samples_*.jsonl"):
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        numbers = [line["doc_id"] for line in lines]
        numbers = numbers[1:] + numbers[:1] if permuted else numbers
        for line, number in zip(lines, numbers, strict=True):
            for key in ("doc_hash", "prompt_hash", "target_hash"):
                del line[key]
            if not keep_documents:
                for key in ("doc", "target", "arguments"):
                    del line[key]
            line["doc_id"] = number
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / path.name).write_text(text, "utf-8")
    return folder


def test_a_log_without_hashes_has_those_of_its_documents(tmp_path):
    given = read_model(LOGS / "before").table.frame
    made = read_model(without_hashes(tmp_path, "before", keep_documents=True)).table.frame
    assert made["settings"].to_list() == given["settings"].to_list()
    assert all("doc=" in text and "prompt=" in text for text in made["settings"])


def test_permuted_numbers_are_refused_and_numbers_alone_are_counted(tmp_path):
    before = read_model(without_hashes(tmp_path, "before", keep_documents=True))
    after = read_model(without_hashes(tmp_path, "after", keep_documents=True, permuted=True))
    with pytest.raises(InputError, match="another doc"):
        compare(before.table, after.table)
    bare = read_model(without_hashes(tmp_path / "x", "before", keep_documents=False))
    assert bare.ledger.by_event()[BY_NUMBER] == len(samples("before"))
