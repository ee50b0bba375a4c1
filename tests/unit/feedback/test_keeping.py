from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polylect.feedback.translation.cutting import cut
from polylect.feedback.translation.keeping import (
    code_blocks,
    find_kept,
    not_kept,
    with_marks,
    without_kept,
    without_marks,
)
from polylect.feedback.translation.protocol import Traits

KEPT = (
    "{x}", "{}", "{0:.2f}", "%s", "%(name)d", "%1$s", "{{ user.name|e }}", "{% if a %}", "${HOME}",
    "<b>", "</b>", '<a href="x">', "<br/>", "&nbsp;", "`a = 1`", "``x ` y``", "a.b+c@example.org",
    "https://a.example/b?c=d#e", "http://пример.рф/путь", "\\(x^2\\)", "$a_1 = b$", "[[7]]",
    "```py\nprint(1)\n```", "~~~\nx\n~~~", "````md\n```\ninner\n```\n````",
)  # fmt: skip
WORDS = (
    "Guten Tag", "مرحبا بالعالم", "สวัสดีชาวโลก", "今天天气很好", "नमस्ते दुनिया", "שלום", "こんにちは",
    "안녕하세요", "🙂👩‍👩‍👧", "- first", "1. first", "# Head", "> said", "100% sure",
    "Dr. Who said so.", "costs $5 and $6", "a * b", "«quoted»", "।", "。", "? ", "! ",
)  # fmt: skip
SPACES = (" ", "\n", "\r\n", "\n\n", "\r\n\r\n", "\t", "  ", "\u00a0", "\u3000", "\n \n")
TEXTS = st.lists(st.sampled_from([*KEPT, *WORDS, *SPACES]), max_size=25).map("".join)
ANY = st.one_of(TEXTS, st.text(max_size=80), st.text("`~{}%$<>[]1ab \n\r*\\", max_size=60))
TRAITS = st.builds(Traits, st.booleans(), st.integers(1, 200), st.booleans())


@pytest.mark.parametrize("part", KEPT)
@pytest.mark.parametrize(
    "script", ["ไทย{}ต่อ", "访问\n{}\n查看", "שלום {} עולם", "x {} y", "\r\n{}\r\n"]
)
def test_each_form_is_found_in_every_script(part, script):
    if part[0] in "`~" and "\n" in part:
        script = "访问\n{}\n查看"  # a fence has lines of its own
    text = script.replace("{}", part, 1)
    assert part in [text[span.start : span.end] for span in find_kept(text)]
    assert part not in with_marks(text)[0] or part == "[[7]]"


@pytest.mark.parametrize(
    "text",
    ["100% sure", "50%de", "costs $5 and $6", "5 < 6 and 7 > 3", "a_b_c", "it's", "9 % der", "3*4"],
)
def test_plain_text_is_not_kept(text):
    assert find_kept(text) == []


@settings(max_examples=400, deadline=None)
@given(ANY)
def test_marks_come_and_go(text):
    marked, kept = with_marks(text)
    assert without_marks(marked, kept) == text
    assert not_kept(text, text) == []
    spans = find_kept(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(text[span.start : span.end] for span in spans)


@settings(max_examples=400, deadline=None)
@given(ANY, TRAITS)
def test_pieces_are_the_text_and_units_hold_nothing_that_is_kept(text, traits):
    pieces = cut(text, traits)
    assert "".join(piece.text for piece in pieces) == text
    for piece in pieces:
        if piece.unit and traits.marks:
            assert without_marks(piece.unit, piece.kept) == piece.text
        if piece.unit:
            assert piece.unit == piece.unit.strip()
            assert any(map(str.isalpha, piece.unit))
            assert not (traits.by_line and ("\n" in piece.unit or "\r" in piece.unit))


@settings(max_examples=200, deadline=None)
@example("```py\nprint(1)\n```\t", Traits(by_line=False, longest=19, marks=False))
@example("  ~~~\nx\n~~~ \r\n", Traits(by_line=False, longest=40, marks=True))
@example(" ```\nunclosed \t", Traits(by_line=False, longest=40, marks=False))
@given(ANY, TRAITS)
def test_what_is_kept_is_never_cut(text, traits):
    borders, place = set(), 0
    for piece in cut(text, traits):
        place += len(piece.text)
        borders.add(place)
    for span in find_kept(text):
        assert not borders & set(range(span.start + 1, span.end)), (text, span)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.data())
def test_a_mark_that_is_lost_doubled_or_made_up_is_seen(text, data):
    marked, kept = with_marks(text)
    number = data.draw(st.integers(1, len(kept) + 1))
    mark = f"[[{number}]]"
    assert without_marks(f"{marked} [[{len(kept) + 1}]]", kept) is None
    if number <= len(kept):
        assert without_marks(marked.replace(mark, ""), kept) is None
        assert without_marks(f"{mark} {marked}", kept) is None


def test_marks_may_change_places_digits_and_brackets():
    kept = ("{a}", "{b}")
    assert without_marks("[[2]] und [[1]]", kept) == "{b} und {a}"
    assert without_marks("［［2］］ [[ ١ ]]", kept) == "{b} {a}"


@pytest.mark.parametrize(
    ("source", "translation", "wrong"),
    [
        ("Dear {name}", "Liebe {name}", []),
        ("Dear {name}", "Liebe", ["{name}"]),
        ("Dear {name}", "Liebe {name} {name}", ["{name}"]),
        ("Dear {name}", "Liebe {Name}", ["{name}", "{Name}"]),
        ("see https://a.example/b.", "siehe https://a.example/b!", []),
        ("see https://a.example/b", "siehe https://a.example/c", ["https://a.example/b"]),
        ("```\nx = 1\n```", "```\nx = 1\n```", []),
        ("```\nx = 1\n```", "```\ny = 1\n```", ["```\nx = 1\n```", "```\ny = 1\n```"]),
        ("plain", "`plain`", ["`plain`"]),
        ("%s of %s", "%s von %s", []),
        ("%s of %s", "von %s", ["%s"]),
    ],
)  # fmt: skip
def test_lost_doubled_and_added_parts(source, translation, wrong):
    assert not_kept(source, translation) == wrong


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("a\n```py\nx\n```\nb", ["```py\nx\n```"]),
        ("````\n```\nx\n```\n````\nb", ["````\n```\nx\n```\n````"]),
        ("~~~\n```\nx\n~~~\n", ["~~~\n```\nx\n~~~"]),
        ("a\r\n```\r\nx\r\n```\r\nb", ["```\r\nx\r\n```"]),
        ("a\n```\nnever closed\nb", ["```\nnever closed\nb"]),
        ("``` not a fence ```\nb", []),
        ("    ```\nindented\n", []),
    ],
)
def test_fences_nest_and_end(text, blocks):
    assert [text[span.start : span.end] for span in code_blocks(text)] == blocks


def test_lines_lose_their_markup_and_code_stays():
    text = "# Head\n\n- one {x}\r\n2) two\n```\ncode\n```\n> > quoted"
    units = [piece.unit for piece in cut(text, Traits(by_line=True)) if piece.unit]
    assert units == ["Head", "one [[1]]", "two", "quoted"]


def test_a_long_text_is_cut_at_paragraphs_then_lines_then_sentences():
    text = "One. Two.\n\nThree is here. Four is there.\nFive."
    units = [piece.unit for piece in cut(text, Traits(longest=20)) if piece.unit]
    assert units == ["One. Two.", "Three is here.", "Four is there.", "Five."]
    assert [piece.unit for piece in cut(text, Traits())] == [text]
    assert without_kept("a `b` c") == "a   c"
