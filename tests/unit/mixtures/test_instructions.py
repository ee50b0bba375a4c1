"""Templates of instructions: any rows, any script, and sets that nobody should trust."""

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import InputError, Ledger, canonical_tag
from polylect.evals import KINDS, Source, labelled_rows
from polylect.mixtures import instruct, read_template_set, shipped_sets
from polylect.mixtures.instructing import EMPTY_FIELD, FEWER, NO_TEMPLATE
from polylect.rows import read_conversations

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))
ANY = {"context": "A { b }} {% c", "question": "q?", "answer": "a", "english": "e", "text": "t",
       "title": "T", "choices": ["x", "y"], "label": 1}  # fmt: skip


def set_of(tmp_path, *templates, name="mine"):
    """A set in a file; a template is language, prompt, answer and more."""
    lines = [f'name = "{name}"']
    for number, (language, prompt, answer, *more) in enumerate(templates):
        texts = {"name": f"t{number}", "language": language, "prompt": prompt, "answer": answer}
        texts |= more[0] if more else {}
        lines += ["[[template]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}"
                                    for key, value in texts.items())]  # fmt: skip
    path = tmp_path / f"{name}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def made(sets, *rows, **more):
    ledger = Ledger()
    places = [(f"rows.jsonl:{number}", row) for number, row in enumerate(rows, start=1)]
    return list(instruct(places, sets, ledger, **more)), ledger.by_event()


def asked(rows):
    return [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows]


def test_the_sets_that_ship_are_of_ten_languages_and_twenty_templates_and_fill():
    sets = [read_template_set(name) for name in shipped_sets()]
    templates = [template for group in sets for template in group.templates]
    assert len(templates) >= 20
    assert len({template.language for template in templates}) >= 10
    for group in sets:
        assert len(group.languages) >= 10
        assert group.about
        for tag in group.languages:
            rows, events = made([group], {**ANY, "id": "1", "language": tag}, per_row=9)
            assert len(rows) == len(group.of_language(tag))
            assert set(events) <= {FEWER}
            for row in rows:
                assert all("{{" not in turn["content"].replace(ANY["context"], "")
                           for turn in row["messages"])  # fmt: skip


@pytest.mark.parametrize("name", shipped_sets())
def test_the_words_of_a_shipped_template_are_in_the_script_of_its_language(name):
    for template in read_template_set(name).templates:
        words = template.prompt
        for field in ("english", "text", "context", "question", "options"):
            words = words.replace("{{ " + field + " }}", "")
        scripts = {"ja": "Jpan", "ko": "Kore", "zh-Hans": "Hans", "ru": "Cyrl", "ar": "Arab",
                   "hi": "Deva", "el": "Grek"}  # fmt: skip
        letters = [char for char in words if char.isalpha()]
        latin = sum(char.isascii() for char in letters) / len(letters)
        assert (latin < 0.1) == (template.language in scripts), template


@pytest.mark.parametrize(
    ("row", "event"),
    [
        ({"text": None, "label": 0}, EMPTY_FIELD),
        ({"text": "", "label": 0}, EMPTY_FIELD),
        ({"text": " \u200b\n"[:1], "label": 0}, EMPTY_FIELD),
        ({"text": "gut", "label": None}, EMPTY_FIELD),
        ({"text": "mzuri", "label": 0, "language": "sw"}, NO_TEMPLATE),
        ({"text": "好", "label": 0, "language": "zh-Hant"}, NO_TEMPLATE),
    ],
)
def test_rows_without_text_or_template_are_left_out_and_counted(row, event):
    rows, events = made([read_template_set("sentiment")], {"language": "de", **row})
    assert (rows, events) == ([], {event: 1})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": 1}, r"rows.jsonl:1: set sentiment: template 'ar': field 'text' is missing"),
        ({"text": "gut"}, r"template 'ar': field 'label' is missing"),
        ({"text": ["gut"], "label": 1}, r"template 'de': field 'text' is \['gut'\] — give text"),
        ({"text": True, "label": 1}, r"field 'text' is True"),
        ({"text": "gut", "label": 2}, r"field 'label' is 2 — give 0 to 1, or one of the choices"),
        ({"text": "gut", "label": -1}, r"field 'label' is -1"),
        ({"text": "gut", "label": True}, r"field 'label' is True"),
        ({"text": "gut", "label": "mies"}, r"field 'label' is 'mies'"),
        ({"text": "gut", "label": 1, "language": 3}, r"rows.jsonl:1: field 'language' is missing"),
        ({"text": "gut", "label": 1, "language": "xx-nope-1"}, r"rows.jsonl:1: 'language'"),
        ({"text": "gut", "label": 1, "id": [1]}, r"field 'id' is \[1\]"),
    ],
)
def test_a_row_that_does_not_fit_names_file_template_and_field(row, message):
    with pytest.raises(InputError, match=message):
        made([read_template_set("sentiment")], {"language": "de", **row})


@pytest.mark.parametrize(
    "text",
    [
        "{{ 7*7 }}",
        "{% raw %}",
        "}} {{",
        "{# x",
        "مرحبا {name}",
        "\u202bعربي\u202c",
        "a\u0000b",
        "好🙂",
    ],
)
def test_what_a_field_holds_is_text_whatever_it_looks_like(text):
    rows, _ = made([read_template_set("sentiment")], {"language": "ar", "text": text, "label": 1})
    ((prompt, answer),) = asked(rows)
    assert prompt.endswith(f"\n\n{text}")
    assert answer == "إيجابي"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{{ text.__class__ }}", "line 1: Getattr is not allowed"),
        ("{{ ''['__class__'] }}", "line 1: Getitem is not allowed"),
        ("{{ cycler() }}", "line 1: Call is not allowed"),
        ("{% for x in text %}{{ x }}{% endfor %}", "line 1: For is not allowed"),
        ("\n{{ 'a' * 10**9 }}", "line 2: Mul is not allowed"),
        ("{% set x = text %}", "Assign is not allowed"),
        ("{% include '/etc/passwd' %}", "Include is not allowed"),
        ("{% import 'os' as os %}", "Import is not allowed"),
        ("{% macro f() %}{% endmacro %}", "Macro is not allowed"),
        ("{{ text | attr('x') }}", "no filter 'attr'"),
        ("{{ text | map('upper') }}", "no filter 'map'"),
        ("{{ text | join('x' ~ text) }}", "Concat is not allowed"),
        ("{{ __import__ }}", "no field may be called '__import__'"),
        ("{{ text", "line 1: unexpected end of template"),
        ("{{ text | nope }}", "No filter named 'nope'|no filter 'nope'"),
        ("{% block x %}{% endblock %}", "Block is not allowed"),
        ("{{ text is defined }}", "is not allowed|No test named"),
        ("  ", "is empty"),
    ],
)
def test_a_set_that_wants_more_than_fields_is_refused_with_file_template_and_line(
    tmp_path, prompt, message
):
    path = set_of(tmp_path, ("de", prompt, "{{ text }}"))
    with pytest.raises(InputError, match=message) as caught:
        read_template_set(path)
    assert str(caught.value).startswith(f"{path}: template 't0': 'prompt'")
    assert "\n" not in str(caught.value)


def test_conditions_filters_and_choices_of_other_scripts(tmp_path):
    path = set_of(
        tmp_path,
        ("tr", "{% if hint %}({{ hint | trim }}) {% endif %}{{ choices | join('، ') }}?",
         "{{ number }}: {{ choice | upper }}"),
    )  # fmt: skip
    row = {"language": "tr", "hint": " ipucu ", "choices": ["جميل", "ж", "iı"], "label": 2}
    rows, _ = made([read_template_set(path)], row)
    assert asked(rows) == [("(ipucu) جميل، ж، iı?", "3: II")]


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ([("de", "{{ a }}", "{{ b }}"), ("de", "{{ a }}", "{{ b }}")], "'t1' is the same as 't0'"),
        ([("de", "{{ a }}", "b"), ("de", "{{ c }}", "d", {"name": "t0"})], "'t0' is there twice"),
        ([("qqq-1", "{{ a }}", "b")], "template 't0': 'language'"),
        ([("de", "{{ a }}", "b", {"weight": 0})], "weight"),
        ([("de", "{{ a }}", "b", {"wieght": 1})], "wieght"),
        ([], r"\[\[template\]\]|template"),
    ],
)
def test_a_set_that_is_wrong_is_refused(tmp_path, templates, message):
    with pytest.raises(InputError, match=message):
        read_template_set(set_of(tmp_path, *templates))


def test_equal_texts_in_two_languages_are_no_duplicates(tmp_path):
    group = read_template_set(set_of(tmp_path, ("de", "{{ a }}", "b"), ("nl", "{{ a }}", "b")))
    assert group.languages == ("de", "nl")


def test_a_template_that_gives_a_blank_is_left_out(tmp_path):
    group = read_template_set(set_of(tmp_path, ("de", "{{ a }}", "{% if b == 'x' %}y{% endif %}")))
    rows, events = made([group], {"language": "de", "a": "1", "b": "z"})
    assert (rows, events) == ([], {EMPTY_FIELD: 1})


def test_the_draw_is_of_the_row_not_of_its_neighbors(tmp_path):
    group = read_template_set(
        set_of(tmp_path, *[("de", f"{{{{ a }}}} {n}", "{{ b }}") for n in range(5)])
    )
    rows = [{"language": "de", "id": str(n), "a": str(n), "b": "x"} for n in range(200)]
    whole, _ = made([group], *rows)
    backwards, _ = made([group], *rows[::-1][:50])
    assert {row["id"] for row in backwards} <= {row["id"] for row in whole}
    drawn = [row["template"] for row in whole]
    assert min(drawn.count(name) for name in set(drawn)) > 20
    assert len(set(drawn)) == 5
    other, _ = made([group], *rows, seed=1)
    assert [row["template"] for row in other] != drawn
    three, _ = made([group], *rows, per_row=3)
    assert len({row["id"] for row in three}) == 600


def test_weights_decide_how_often_a_template_is_drawn(tmp_path):
    group = read_template_set(
        set_of(tmp_path, ("de", "{{ a }} 0", "b", {"weight": 9.0}), ("de", "{{ a }} 1", "b"))
    )
    rows, _ = made([group], *[{"language": "de", "id": str(n), "a": "x"} for n in range(500)])
    assert 0.85 < [row["template"] for row in rows].count("mine/t0") / 500 < 0.95


def test_a_row_is_used_with_every_set_whose_fields_it_has():
    sets = [read_template_set(name) for name in ("sentiment", "headline", "question")]
    row = {"language": "ja", "text": "本文", "title": "題", "label": 0, "id": "7"}
    rows, _ = made(sets, row)
    assert [row["template"] for row in rows] == ["sentiment/ja", "headline/ja"]
    with pytest.raises(InputError, match="set headline: template 'ar': field 'title' is missing"):
        made(sets[1:], {"language": "ja", "text": "本文"})


@given(st.dictionaries(st.sampled_from(["text", "label", "id", "language", "choices"]),
                       st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4),
                                 st.lists(st.text(max_size=2), max_size=2))))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_row_is_an_instruction_or_counted_or_a_one_line_error(change):
    row = {"language": "de", "text": "gut", "label": 1} | change
    said, rows, events = "rows.jsonl:1", [None], {}
    try:
        rows, events = made([read_template_set("sentiment")], row)
    except InputError as error:
        said = str(error)
    assert said.startswith("rows.jsonl:1")
    assert "\n" not in said
    assert len(rows) + sum(events.values()) == 1


def test_instructions_are_conversations_of_the_project(tmp_path):
    rows, _ = made(
        [read_template_set("translation")],
        {"language": "ko", "english": "Hello.", "text": "안녕하세요.", "source": "ntrex"},
        per_row=2,
    )
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ledger = Ledger()
    conversations = read_conversations(path, ledger=ledger)
    assert [(chat.language, chat.source) for chat in conversations] == [("ko", "ntrex")] * 2
    assert {row["origin"] for row in rows} == {"templated"}
    assert not ledger.by_event()


@pytest.mark.parametrize("kind", KINDS)
def test_labelled_rows_of_real_data_fill_the_templates_of_their_kind(kind, capsys):
    if not (DATA / KINDS[kind]).is_dir():
        with capsys.disabled():
            sys.stderr.write(f"skipped: no data ({KINDS[kind]})\n")
        pytest.skip("no data")
    group = read_template_set(kind)
    for tag in group.languages:
        rows = list(labelled_rows(kind, Source.at(DATA), tag))
        made_rows, events = made([group], *[row for _, row in rows[:40]])
        assert len(made_rows) + sum(events.values()) == len(rows[:40])
        assert {canonical_tag(row["language"]) for row in made_rows} <= {tag}
    assert list(labelled_rows(kind, Source.at(DATA), "sw")) == []


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (["gut"], "'choices' has only 'gut': there is nothing to choose"),
        (["gut", " "], "'choices': number 2 is blank"),
        (["خبر", "x", "خبر "], "'choices': 'خبر' is there twice"),
    ],
)
def test_choices_among_which_nothing_can_be_chosen_are_refused_when_read(tmp_path, choices, words):
    place = set_of(tmp_path, ("de", "{{ text }}", "{{ choice }}", {"choices": choices}))
    with pytest.raises(InputError, match=words):
        read_template_set(place)


def test_a_key_of_a_set_is_no_option(tmp_path):
    place = set_of(tmp_path, ("de", "{{ text }}", "{{ text }}"))
    text = Path(place).read_text(encoding="utf-8")
    Path(place).write_text(text + "\nweight = 0.0\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"mine\.toml: 'template\.0\.weight' is 0\.0: give more"
    ) as error:
        read_template_set(place)
    assert "--" not in str(error.value)


@pytest.mark.parametrize("content", ["", "\n", "\n\n"])
def test_a_file_without_rows_is_said_to_have_none(tmp_path, content):
    import polylect as pl

    (tmp_path / "empty.jsonl").write_text(content)
    with pytest.raises(InputError, match=r"empty\.jsonl: the file has no rows"):
        pl.mixture.instructions(tmp_path / "empty.jsonl", templates=["sentiment"],
                                out=tmp_path / "out")  # fmt: skip


def test_one_instruction_is_no_plural_and_a_set_is_named_once(tmp_path):
    import polylect as pl

    (tmp_path / "one.jsonl").write_text('{"language": "de", "text": "gut", "label": 1}\n')
    done = pl.mixture.instructions(tmp_path / "one.jsonl", templates=["sentiment"],
                                   out=tmp_path / "out")  # fmt: skip
    assert done.lines()[0] == "1 instruction"
    with pytest.raises(InputError, match="templates: sentiment is given twice"):
        pl.mixture.instructions(tmp_path / "one.jsonl", templates=["sentiment", "sentiment"],
                                out=tmp_path / "out2")  # fmt: skip
