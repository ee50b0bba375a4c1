"""Pairs of a pool: kinds, presets, counts, overlap, and the form for people."""

import csv

import polars
import pytest
from planted_pools import NAMES, TEXTS, planted_pool, pooled, write_lines, write_pool

import polylect as pl
from polylect.base import InputError
from polylect.feedback import PAIR_PRESETS, wanted_pairs
from polylect.rows import read_preferences

LANGUAGES = ("th", "ja", "ar", "yo")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def mixed_pool(folder):
    """A pool with answers of every origin, and wrong languages."""
    rows, rewards = [], {}
    for tag in LANGUAGES:
        for number in range(10):
            source = {"source_language": "en", "source_text": TEXTS["en"], "translator": "mt"}
            rows += [
                pooled(tag, number, "strong", f"{TEXTS[tag]} a{number}"),
                pooled(tag, number, "strong", f"{TEXTS[tag]} b{number}", sample=1),
                pooled(tag, number, "weak", f"{TEXTS[tag]} c{number}", answer_origin="translated",
                       **source),
                pooled(tag, number, "mended", f"{TEXTS[tag]} d{number}",
                       answer_origin="post-edited", **source),
                pooled(tag, number, "stray", f"{TEXTS['en']} e{number}", identified="en"),
            ]  # fmt: skip
    rows.sort(key=lambda row: row.key)
    for i, row in enumerate(rows):
        rewards[row.key] = {"strong": 2, "weak": 1, "mended": 1.5, "stray": 3}[row.teacher] + (
            0.001 * (i % 7)
        )
    return write_pool(folder, rows, r=rewards), rows


EXPECTED = {
    "best-worst": ("strong", "stray"),  # the gate puts the wrong language last
    "margin": ("stray", "weak"),
    "native-translated": ("strong", "weak"),
    "homogeneous": ("strong", "strong"),
    "post-edit": ("mended", "weak"),
    "language-verified": ("strong", "stray"),
}


@pytest.mark.parametrize("kind", list(EXPECTED))
def test_each_kind_compares_what_it_says(tmp_path, kind):
    folder, rows = mixed_pool(tmp_path / "pool")
    options = {"min_margin": 0.5, "gate": False} if kind == "margin" else {}
    pairs = pl.feedback.pairs(folder, kind=kind, reward="r", drop=0.1, out="pairs", **options)
    found = read_preferences(pairs.file)
    assert found
    by_text = {(row.language, row.id, row.answer): row for row in rows}
    origins = pairs.rows()
    assert len(origins) == len(found)
    for row, origin in zip(found, origins, strict=True):
        sides = [by_text[row.language, row.id, text] for text in (row.chosen, row.rejected)]
        assert (row.model_a, row.model_b) == EXPECTED[kind]
        assert [side.teacher for side in sides] == [row.model_a, row.model_b]
        assert [side.answer_origin for side in sides] == [row.origin_a, row.origin_b]
        assert row.messages == sides[0].messages
        assert row.source == kind
        assert (origin["chosen_license"], origin["rejected_teacher"]) == (
            sides[0].license, row.model_b
        )  # fmt: skip
        assert origin["rejected_translator"] == sides[1].translator
        assert (row.margin > 0) == (kind == "margin")
    assert not pairs.ledger.total("ignored")


def test_native_and_translated_need_no_reward(tmp_path):
    folder, _ = mixed_pool(tmp_path / "pool")
    pairs = pl.feedback.pairs(folder, kind="native-translated", out="pairs")
    assert len(read_preferences(pairs.file)) == 40
    with pytest.raises(InputError, match="needs a reward"):
        pl.feedback.pairs(folder, out="other")
    with pytest.raises(InputError, match="margin without"):
        pl.feedback.pairs(folder, kind="margin", reward="r", out="other")


def test_ties_and_low_prompts_give_no_pair_and_are_counted(tmp_path):
    rows, rewards = planted_pool(LANGUAGES, 10)
    tied = {
        key: 1.0 if key[1] == "p1" else value + int(key[1][1:]) for key, value in rewards.items()
    }
    folder = write_pool(tmp_path / "pool", rows, r=tied)
    pairs = pl.feedback.pairs(folder, reward="r", drop=0.1, out="pairs")
    assert pairs.ledger.total("left out: the best and the worst answer are equal") == 4
    assert pairs.ledger.total("left out: prompt of low mean reward") == 4
    assert "p0" not in set(pairs.table()["id"])
    assert pairs.table().height == 4 * 8


@pytest.mark.parametrize(("total", "languages"), [(7, ()), (30, ("ar", "th")), (200, ())])
def test_counts_of_each_language_are_exact_and_what_is_not_filled_is_said(
    tmp_path, total, languages
):
    rows, rewards = planted_pool(LANGUAGES, 10)
    folder = write_pool(tmp_path / "pool", rows, r=rewards)
    pairs = pl.feedback.pairs(folder, reward="r", drop=0, total_pairs=total, languages=languages,
                              out="pairs")  # fmt: skip
    wanted = wanted_pairs("", total, languages, sorted(LANGUAGES))
    counts = dict(pairs.table().group_by("language").len().iter_rows())
    assert counts == {tag: min(num, 10) for tag, num in wanted.items()}
    assert sum(wanted.values()) == total
    assert pairs.ledger.total("not filled") == total - sum(counts.values())
    if total == 7:  # the same prompts in every language, as far as they go
        ids = [set(part["id"]) for _, part in pairs.table().group_by("language")]
        smallest = min(ids, key=len)
        assert all(smallest <= part for part in ids)


def test_presets_are_those_of_the_paper():
    totals = {name: preset.total_pairs for name, preset in PAIR_PRESETS.items()}
    assert totals == {"en-1-50k": 50_000, "ml-5-50k": 50_000, "ml-23-50k": 50_000,
                      "ml-5-230k": 230_000, "ml-23-230k": 230_000}  # fmt: skip
    assert len(PAIR_PRESETS["ml-23-230k"].languages) == 23
    assert set(wanted_pairs("ml-23-230k", None, (), ()).values()) == {10_000}
    with pytest.raises(InputError, match="no such mixture"):
        wanted_pairs("ml-7", None, (), ())
    with pytest.raises(InputError, match="--languages: de is given twice"):
        wanted_pairs("", 5, ("de", "DE"), ())


def test_prompts_that_are_evaluated_are_refused_or_left_out(tmp_path):
    rows, rewards = planted_pool(LANGUAGES, 10)
    folder = write_pool(tmp_path / "pool", rows, r=rewards)
    held = write_lines(tmp_path / "held.jsonl", [
        {"language": "ar", "prompt": f"  {TEXTS['ar']} 3 ؟"},  # punctuation aside the same
    ])  # fmt: skip
    with pytest.raises(InputError, match="is, or is nearly, one that is evaluated"):
        pl.feedback.pairs(folder, reward="r", not_in=[held], out="pairs")
    pairs = pl.feedback.pairs(folder, reward="r", drop=0, not_in=[held], drop_overlap=True,
                              out="pairs")  # fmt: skip
    gone = pairs.ledger.total("left out: the prompt is, or is nearly")
    assert 1 <= gone <= 10
    assert pairs.table().height == 40 - gone
    kept = pairs.table().filter(polars.col("language") == "ar")
    assert "p3" not in set(kept["id"])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_people_check_a_sample_and_what_they_say_is_read(tmp_path, separator):
    rows, rewards = planted_pool(LANGUAGES, 10)
    rows[0] = pooled(rows[0].language, rows[0].id[1:], rows[0].teacher, "=SUM(A1)")
    folder = write_pool(tmp_path / "pool", rows, r=rewards)
    pairs = pl.feedback.pairs(folder, reward="r", drop=0, sample=10, out="pairs")
    form = (pairs.path / "to_check.csv").read_text("utf-8")
    assert form.startswith("\ufeff")
    assert not any(name in form.split("\n", 1)[0] for name in NAMES)
    key = {
        row["row"]: row
        for row in polars.read_parquet(pairs.path / "to_check_key.parquet").to_dicts()
    }
    lines = list(csv.reader(form.removeprefix("\ufeff").splitlines()))
    assert len(lines) == 11
    assert len({line[1] for line in lines[1:]}) == 4
    assert {key[line[0]]["chosen"] for line in lines[1:]} == {1, 2}
    words = {}
    for number, line in enumerate(lines[1:]):
        right = key[line[0]]["chosen"]
        word = ["", "?", "=", str(3 - right)][number] if number < 4 else str(right)
        line[5] = words[line[0]] = word
    with open("filled.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(lines)
    checked = pl.feedback.check(pairs, "filled.csv", out="checked")
    overall = checked.rows()[0]
    assert (overall["language"], overall["pairs"]) == ("", 8)
    assert overall["agreement"] == pytest.approx((6 + 0.5) / 8)
    assert overall["lower"] < overall["agreement"] < overall["upper"]
    assert checked.ledger.total("open") == 1
    assert checked.ledger.total("undecided") == 1
    lines[1][5] = "first"
    with open("wrong.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(lines)
    with pytest.raises(InputError, match="row 2: better is 'first'"):
        pl.feedback.check(pairs, "wrong.csv", out="other")
