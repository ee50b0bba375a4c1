"""Preferences of many people as arrays."""

import pytest

from polylect.base import InputError
from polylect.people import crowd_of
from polylect.rows import Message, Preference, Verdict


def row(user, a, b, prompt="q", language="de", line=1):
    return Preference(
        language=language, messages=(Message("user", prompt),), answer_a=a, answer_b=b,
        verdict=Verdict.B, user=user, place=f"x.jsonl:{line}",
    )  # fmt: skip


def test_texts_stand_once_and_keep_their_prompts_and_languages_apart():
    crowd = crowd_of([row("v", "a", "b"), row("u", "b", "c"), row("u", "a", "b", "r"),
                      row("u", "a", "b", language="nl")])  # fmt: skip
    assert crowd.users == ("u", "v")
    assert crowd.user.tolist() == [1, 0, 0, 0]
    assert [crowd.texts[i].response for i in crowd.chosen] == ["b", "c", "b", "b"]
    assert [crowd.texts[i].response for i in crowd.rejected] == ["a", "b", "a", "a"]
    assert crowd.prompts.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert crowd.pairs_of(0).tolist() == [1, 2, 3]
    part = crowd.take(crowd.user == 1)
    assert (part.num_pairs, part.places, part.texts) == (1, ("x.jsonl:1",), crowd.texts)
    assert part.digest != crowd.digest == crowd_of([row("v", "a", "b", line=7), row("u", "b", "c"),
        row("u", "a", "b", "r"), row("u", "a", "b", language="nl")]).digest  # fmt: skip


def test_a_row_without_a_user_and_no_rows_are_refused():
    with pytest.raises(InputError, match=r"x.jsonl:3: 'user' is missing"):
        crowd_of([row("u", "a", "b"), row("", "a", "b", line=3)])
    with pytest.raises(InputError, match="there is no preference"):
        crowd_of([])
