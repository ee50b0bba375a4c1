"""The tasks built on parallel news: on a small made-up folder, and on the real one."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from polylect.base import LANGUAGES, InputError
from polylect.evals import TASKS, Source
from polylect.evals.tasks._ntrex import LANGUAGES as FILES
from polylect.evals.tasks._ntrex import spread

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))
SIZES = (7, 4, 9, 5, 3)


@pytest.fixture
def source(tmp_path):
    """Five articles in German, English and Japanese, with the line ends of the published files."""
    folder = tmp_path / "ntrex" / "NTREX-128"
    folder.mkdir(parents=True)
    ids = [f"paper.{i}" for i, size in enumerate(SIZES) for _ in range(size)]
    (tmp_path / "ntrex" / "DOCUMENT_IDS.tsv").write_text("".join(f"{one}\n" for one in ids))
    for code, word in (("ref.deu", "Satz"), ("src.eng", "Sentence"), ("ref.jpn", "文")):
        lines = "".join(f"{word} {i}.\r\n" for i in range(len(ids)))
        (folder / f"newstest2019-{code}.txt").write_bytes(lines.encode())
    return Source.at(tmp_path)


@pytest.fixture
def real(capsys):
    if not (DATA / "ntrex").is_dir():
        with capsys.disabled():
            sys.stderr.write("skipped: no data (ntrex)\n")
        pytest.skip("no data")
    return Source.at(DATA)


def test_the_first_items_are_of_as_many_documents_as_there_are():
    documents = (("a", (0, 1, 2, 3, 4, 5, 6)), ("b", (7, 8)), ("c", (9, 10, 11)))
    found = spread(documents, step=3, length=3)
    assert [name for name, _ in found] == ["a", "c", "a"]
    assert sorted(numbers for _, numbers in found) == [(0, 1, 2), (3, 4, 5), (9, 10, 11)]
    singles = spread(documents, 1, 1)
    assert [name for name, _ in singles] == [*"abc", *"abc", *"ac", *"aaaa"]
    assert sorted(numbers[0] for _, numbers in singles) == list(range(12))


def test_the_first_items_are_from_all_places_in_their_documents():
    documents = tuple((f"paper.{i}", tuple(range(20 * i, 20 * i + 20))) for i in range(100))
    places = Counter(numbers[0] % 20 for _, numbers in spread(documents, 1, 1)[:100])
    assert len(places) > 15  # of 20
    assert max(places.values()) < 15


def test_the_next_sentence_is_the_next_of_the_same_article(source):
    items = TASKS["next_sentence"].items(source, "de")
    ends = [sum(SIZES[: i + 1]) for i in range(len(SIZES))]
    starts = [0, *ends[:-1]]
    assert len(items) == sum(size // 3 for size in SIZES)
    for one in items:
        number = int(one.id)
        document = int(one.cluster.removeprefix("paper."))
        assert starts[document] + 2 <= number < ends[document]
        assert one.context == f"Satz {number - 2}. Satz {number - 1}."
        assert one.choices[one.answer] == f"Satz {number}."
        wrong = [int(text[5:-1]) for text in one.choices if text != f"Satz {number}."]
        own = [next(i for i, end in enumerate(ends) if other < end) for other in wrong]
        assert len(set(own)) == 3  # of three other articles
        assert document not in own
        assert all(other >= starts[i] + 2 for other, i in zip(wrong, own, strict=True))
    assert [one.cluster for one in items[:5]] == [f"paper.{i}" for i in range(5)]


def test_items_are_the_same_sentences_in_every_language(source):
    german, japanese = (TASKS["next_sentence"].items(source, tag) for tag in ("de", "ja"))
    assert [one.choices for one in japanese] == [
        tuple(text.replace("Satz", "文") for text in one.choices) for one in german
    ]
    fields = ("id", "answer", "cluster")
    assert [[getattr(one, f) for f in fields] for one in german] == [
        [getattr(one, f) for f in fields] for one in japanese
    ]
    assert (german[0].delimiter, japanese[0].delimiter) == (" ", "")
    number = int(japanese[0].id)
    assert japanese[0].context == f"文 {number - 2}.文 {number - 1}."


def test_a_translation_is_chosen_among_sentences_of_its_article(source):
    into, back = (TASKS[name].items(source, "de") for name in
                  ("translation_choice", "translation_choice_english"))  # fmt: skip
    assert len(into) == sum(size for size in SIZES if size > 3)
    for one, other in zip(into, back, strict=True):
        number = one.id
        assert one.context == f"English: Sentence {number}.\nDeutsch:"
        assert other.context == f"Deutsch: Satz {number}.\nEnglish:"
        assert one.choices[one.answer] == f"Satz {number}."
        assert len(set(one.choices)) == 4
        assert [text.replace("Satz", "Sentence") for text in one.choices] == list(other.choices)
        assert (one.id, one.answer, one.cluster) == (other.id, other.answer, other.cluster)


def test_a_sentence_written_like_the_right_one_is_no_choice(source, tmp_path):
    path = tmp_path / "ntrex/NTREX-128/newstest2019-ref.deu.txt"
    lines = path.read_bytes().decode().split("\r\n")
    lines[1] = lines[0]
    path.write_bytes("\r\n".join(lines).encode())
    items = {one.id: one for one in TASKS["translation_choice"].items(source, "de")}
    assert all(len(set(one.choices)) == 4 for one in items.values())
    assert (
        items["0"].choices[items["0"].answer] == items["1"].choices[items["1"].answer] == lines[0]
    )


def test_bits_are_of_every_sentence_by_itself(source):
    items = TASKS["ntrex_bits"].items(source, "ja")
    assert sorted(int(one.id) for one in items) == list(range(sum(SIZES)))
    assert all(one.context == one.delimiter == "" for one in items)
    assert all(one.choices == (f"文 {one.id}.",) for one in items)


def test_sentences_and_ids_must_be_as_many(source, tmp_path):
    path = tmp_path / "ntrex/NTREX-128/newstest2019-ref.deu.txt"
    path.write_bytes(path.read_bytes() + b"Einer zu viel.\r\n")
    with pytest.raises(InputError, match="29 sentences in de, 28 document ids"):
        TASKS["ntrex_bits"].items(source, "de")


def test_the_real_files_in_all_languages(real):
    assert set(FILES) == set(LANGUAGES)
    plans, positions = set(), Counter()
    for tag in LANGUAGES:
        items = TASKS["next_sentence"].items(real.fresh(), tag)
        assert len(items) == 634
        assert all(len(set(one.choices)) == 4 for one in items)
        plans.add(tuple((one.id, one.answer, one.cluster) for one in items))
        positions.update(one.answer for one in items)
    assert len(plans) == 1
    assert len({cluster for _, _, cluster in next(iter(plans))}) == 123
    assert min(positions.values()) > 0.2 * sum(positions.values())
    by = {one.id: one for one in TASKS["next_sentence"].items(real, "en")}
    first = by["2"]
    assert first.context.startswith("Welsh AMs worried about 'looking like muppets' There is")
    assert first.choices[first.answer].startswith("It has arisen because of plans")


@pytest.mark.parametrize("name", ["translation_choice", "translation_choice_english"])
def test_real_translations(real, name):
    names = set()
    for tag in TASKS[name].languages:
        items = TASKS[name].items(real.fresh(), tag)
        assert all(len(set(one.choices)) == 4 for one in items)
        names.add(tuple((one.id, one.answer, one.cluster) for one in items))
        # The shortest choice is no guide, in the first items neither.
        for part in (items[:120], items):
            short = [min(range(4), key=lambda i, c=one.choices: len(c[i])) for one in part]
            right = [one.answer == i for one, i in zip(part, short, strict=True)]
            assert 0.15 < sum(right) / len(right) < 0.38
    assert len(names) == 1
