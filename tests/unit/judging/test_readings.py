"""What judges write, and what is read: for every preset, and for grades."""

import pytest

from polylect.judging import PRESETS
from polylect.judging.rubrics import RUBRICS
from polylect.rows import Verdict

A, B, TIE, _, INVALID = Verdict

PREFERRED = [
    ("Comparison: B is wrong.\nPreferred: Answer (A)", A),
    ("Comparison: fine\nPreferred: 'Answer (B)'", B),
    ("Preferred: A", A),
    ("Preferred: b", B),
    ("Preferred: 'A'", A),
    ("Preferred: (B)", B),
    ("Preferred: Answer A", A),
    ("Preferred: answer b.", B),
    ("Preferred: Answer(A)", A),
    ("**Preferred:** Answer (B)", B),
    ("Preferred: **B**", B),
    ("__Preferred__: **Answer (A)**", A),
    ("## Preferred: `Answer (B)`", B),
    ("- Preferred: Answer (A)", A),
    ("2. Preferred: Answer (A)", A),
    ("Preferred:\n\nAnswer (B)", B),
    ("Preferred answer: B", B),
    ("The preferred answer is: (A)", A),
    ("My preferred response: Assistant B", B),
    ("Preferred：Answer（A）", A),
    ("PREFERRED: ANSWER (B)", B),
    ("Preferred: Answer (A), since it is in German", A),
    ("Preferred: Answer (A) because it is a good answer", A),
    ("Preferred: A - it is complete", INVALID),
    ("Preferred: The answer (B)", B),
    ("Comparison: both are fine — Preferred: TIE", TIE),
    ("**Preferred:** TIE", TIE),
    ("Preferred: Tie", TIE),
    ("Preferred: a tie.", TIE),
    ("Preferred: It's a tie", TIE),
    ("preferred: answer ( b )", B),
    # the last label counts
    ("Preferred: Answer (A)\nNo.\nPreferred: Answer (B)", B),
    ("Preferred: <'Answer (A)' or 'Answer (B)' or 'TIE'>\nPreferred: Answer (B)", B),
    # a line that is the choice and nothing else, as the protocol asks for it
    ("The first one is fluent.\nAnswer (A)", A),
    ("Both are equal.\n\nTIE", TIE),
    ("Both are equal.\n**TIE**.", TIE),
    # words that only begin like a choice
    ("I preferred tiered pricing in the first one. Preferred: **B**", B),
    ("I preferred tiered pricing … Preferred: **B**", B),
    ("I preferred tiered pricing.\nPreferred: Answer (A)", A),
    (
        "Comparison: Answer (B) is preferred. Tie-breaking was not needed. I pick (A).",
        INVALID,
    ),
    ("Preferred: Tie-breaking was not needed", INVALID),
    ("Preferred: tied up in details", INVALID),
    ("Preferred: tiered pricing", INVALID),
    ("Preferred: A good answer", INVALID),
    ("Preferred: a longer answer", INVALID),
    ("Preferred: Answer (AB)", INVALID),
    ("Preferred: Both", INVALID),
    ("Preferred: neither", INVALID),
    ("Answer (A) is preferred", INVALID),
    ("The preferred one is Answer (B)", INVALID),
    ("I prefer A", INVALID),
    ("A", INVALID),
    ("", INVALID),
    ("  \n ", INVALID),
    # two choices
    ("Preferred: Answer (A) or Answer (B)", INVALID),
    ("Preferred: A or B", INVALID),
    ("Preferred: A/B", INVALID),
    ("Preferred: Answer (A)/(B)", INVALID),
    ("Preferred: A, B", INVALID),
    ("Preferred: Answer (B) and Answer (A) are equal", INVALID),
    ("Preferred: Answer (A) or TIE", INVALID),
    ("Preferred: TIE, or Answer (B)", INVALID),
    ("Preferred: <'Answer (A)' or 'Answer (B)' or 'TIE'>", INVALID),
    ("Preferred: Answer (A), Answer (A)", A),
    ("Preferred: A: weak. B: strong.", INVALID),
    ("Preferred: A: it says that B is wrong.", INVALID),
    # other labels
    ("Least preferred: Answer (A)", INVALID),
    ("Preferred: Answer (B)\nNot preferred: Answer (A)", B),
    ("Preferred: Answer (B)\nNon-preferred: Answer (A)", B),
    ("Preferred: Answer (B)\nLeast preferred: Answer (A)", B),
]
LABELS = [
    ("My final verdict is tie: [[A=B]].", TIE, False),
    ("[[A>>B]]", A, True),
    ("[[A > B]]", A, False),
    ("[[ A >> B ]]", A, True),
    ("[[b>>a]]", B, True),
    ("[[B > A]]", B, False),
    ("**[[A<B]]**", B, False),
    ("[[B<<A]]", A, True),
    ("\\[\\[A>B\\]\\]", A, False),
    ("[[A&gt;B]]", A, False),
    ("［［A＞B］］", A, False),
    ("At first [[B>A]]; on a second look it is [[A>B]].", INVALID, False),
    ("well [[B>A]] no, rather [[A=B]].", INVALID, False),
    ("[[A>B]] [[A>B]]", A, False),
    ("[[A>B]] or [[B>A]]", INVALID, False),
    ("[[A>B]]/[[A=B]]", INVALID, False),
    ("[[A>B]], [[B>A]]", INVALID, False),
    ("1. Assistant A is better: [[A>B]]\n2. Tie: [[A=B]]\n3. B: [[B>A]]", INVALID, False),
    ("[[A>>>B]]", INVALID, False),
    ("It is not [[A>B]]", INVALID, False),
    ("It isn’t “[[A>B]]”.", INVALID, False),
    ("[[B>A]] rather than [[A>B]]", INVALID, False),
    ("It is not [[A>B]] but [[B>A]]", INVALID, False),
    ("Is A better or not? [[A>B]]", INVALID, False),
    ("A does not.\n[[A>B]]", A, False),
    ("[[A>A]]", INVALID, False),
    ("[[A]]", INVALID, False),
    ("A>B", INVALID, False),
    ("Assistant A is better", INVALID, False),
    ("", INVALID, False),
]
LETTERS = [
    ("A", A), (" B", B), ("C", TIE), ("A.", A), ("**B**", B), ("(A)", A), ("B)", B), ("'C'", TIE),
    ("b", B), ("A\n", A), ("B\n\nThe second is longer", B), ("A, since B is wrong", INVALID),
    ("Answer A", A), ("Answer (B)", B), ("Answer B is better", INVALID), ("Preferred: A", A),
    ("Verdict: (B)", B), ("Antwort (B)", B), ("答案：B", B), ("回答（A）", A), ("Ｂ", B),
    ("[[A]]", A), ("Option C", TIE),
    ("A tie", TIE), ("Tie", TIE), ("It's a tie.", TIE),
    ("A good answer is B", INVALID), ("A good", INVALID), ("A's answer", INVALID),
    ("a better one", INVALID), ("Both A and B", INVALID), ("I think B", INVALID),
    ("A or B", INVALID), ("A/B", INVALID), ("A and B", INVALID), ("A, B", INVALID),
    ("B vs. A", INVALID), ("Answer (A) or Answer (B)", INVALID), ("A or A", INVALID),
    ("Certainly", INVALID), ("Because", INVALID), ("D", INVALID), ("AB", INVALID),
    ("A: weak. B: strong.", INVALID), ("A: weak\nB: strong", INVALID),
    ("(B): good, (A): bad", INVALID), ("Answer A: weak. Answer B: strong.", INVALID),
    ("A - weak; B - strong", INVALID), ("A: weak and B: strong", INVALID),
    ("A: it is complete.", INVALID), ("B: A is wrong.", INVALID), ("A, since it is longer", A),
    ("A. Reason: B is weak", INVALID),
    ("Tie-breaking", INVALID), ("tiered", INVALID), ("", INVALID),
]  # fmt: skip
RATINGS = [  # on a scale from 1 to 5
    ("Good. Rating: [[4]]", 4, False),
    ("Rating: [[ 4 ]]", 4, False),
    ("It is not [[4]]", None, False),
    ("[[4.5]]", 4.5, False),
    ("[[4/5]]", 4, False),
    ("**Rating:** [[3]]", 3, False),
    ("Rating：［［３］］", 3, False),
    ("Rating: 4", None, False),
    ("Rating: **4**", None, False),
    ("It is fluent.\n**Rating: 4/5**", None, False),
    ("Rating: 4 out of 5.", None, False),
    ("Rating：３", None, False),
    ("Rating: [4]", None, False),
    ("[[٤]]", 4, False),
    ("First [[2]], on reflection [[4]]", None, False),
    ("[[9]]", None, True),
    ("[[0]]", None, True),
    ("[[-1]]", None, True),
    ("[[4]] or [[5]]", None, False),
    ("[[4]]/[[5]]", None, False),
    ("[[4]] [[4]]", 4, False),
    ("[[4-5]]", None, False),
    ("[[4,5]]", None, False),
    ("[[4/10]]", None, False),
    ("Rating: 4/10", None, False),
    ("Rating: 4 or 5", None, False),
    ("Rating: 4-5", None, False),
    ("The rating is 4", None, False),
    ("I found 3 errors", None, False),
    ("a rating: it has 2 mistakes", None, False),
    ("Rating: high", None, False),
    ("", None, False),
]
NUMBERS = [  # the number alone was asked for, from 1 to 5
    ("4", 4, False), (" 4.", 4, False), ("**4**", 4, False), ("4/5", 4, False),
    ("4 out of 5", 4, False), ("Rating: 4", 4, False), ("[[4]]", 4, False), ("4.5", 4.5, False),
    ("4, since 5 is too much", 4, False), ("4\nIt is good", 4, False), ("评分：4", 4, False),
    ("9", None, True), ("10", None, True), ("-1", None, True),
    ("On a scale of 1 to 5, I give 4", None, False), ("3 errors", None, False),
    ("I rate it 4", None, False), ("4 or 5", None, False), ("4-5", None, False),
    ("3rd", None, False), ("4.5 stars", None, False), ("none", None, False), ("", None, False),
    ("4/10", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "verdict"), PREFERRED)
def test_aya_reads_the_choice_after_its_label_and_nothing_else(answer, verdict):
    assert PRESETS["aya"].read(answer) == (verdict, False)


@pytest.mark.parametrize(("answer", "verdict", "strong"), LABELS)
@pytest.mark.parametrize("preset", ["arena-hard", "m-arena-hard"])
def test_arena_hard_reads_a_label_in_brackets(preset, answer, verdict, strong):
    assert PRESETS[preset].read(answer) == (verdict, strong)


@pytest.mark.parametrize(("answer", "verdict"), LETTERS)
def test_a_letter_is_read_where_an_answer_begins_with_it(answer, verdict):
    presets = [preset for preset in PRESETS.values() if preset.lead]
    assert len(presets) == 3
    assert {preset.read(answer) for preset in presets} == {(verdict, False)}


def test_the_table_of_cases_covers_every_preset():
    assert {preset.read.__name__ for preset in PRESETS.values()} == {
        "read_preferred", "read_label", "read_letter",
    }  # fmt: skip


@pytest.mark.parametrize(("answer", "score", "off"), RATINGS)
def test_a_rating_is_read_in_brackets(answer, score, off):
    assert RUBRICS["aya"].read(answer) == (score, off)


@pytest.mark.parametrize(("answer", "score", "off"), NUMBERS)
def test_a_number_is_read_where_an_answer_begins_with_it(answer, score, off):
    assert RUBRICS["aya"].read(answer, by_digit=True) == (score, off)
