"""Laws of requests and rows that hold for any items and any log-likelihoods."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import InputError
from polylect.engine import Scores
from polylect.evals import TASKS, Item, Source, find_task
from polylect.evals.scorers import build_requests, choose_shots, fewshot_prefix, score_items

TEXT = st.text("aßあ🙂 \n'", min_size=1, max_size=6)
CHOICE, GOLD = TASKS["belebele"], TASKS["gsm8k"]


@st.composite
def items(draw, least=1, most=6):
    found = []
    for number in range(draw(st.integers(least, most))):
        choices = tuple(draw(st.lists(TEXT, min_size=2, max_size=4)))
        context = draw(st.one_of(TEXT, st.tuples(*[TEXT] * len(choices))))
        answer = draw(st.integers(0, len(choices) - 1))
        found.append(Item(str(number), "de", context, choices, answer, draw(st.sampled_from(" _"))))
    return found


def scored(draw, chosen):
    number = sum(len(one.choices) for one in chosen)
    lls = draw(st.lists(st.integers(-40, -1), min_size=number, max_size=number))
    tokens = draw(st.lists(st.integers(1, 9), min_size=number, max_size=number))
    none = np.zeros(number, bool)
    return Scores(np.array(lls, float), np.array(tokens), none, none)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_an_items_rows_do_not_depend_on_the_others(data):
    chosen = data.draw(items())
    scores = scored(data.draw, chosen)
    rows = score_items(CHOICE, chosen, scores)
    start = 0
    alone = []
    for one in chosen:
        part = slice(start, start := start + len(one.choices))
        own = [getattr(scores, name)[part] for name in
               ("log_likelihood", "num_tokens", "greedy", "truncated")]  # fmt: skip
        alone += score_items(CHOICE, [one], Scores(*own))
    assert rows == alone
    assert len(rows) == 4 * len(chosen)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_acc_forgets_what_is_added_to_all_choices(data):
    chosen = data.draw(items(most=1))
    scores = scored(data.draw, chosen)
    moved = Scores(scores.log_likelihood - 64.0, scores.num_tokens, scores.greedy, scores.truncated)
    (before, *_), (after, *_) = (score_items(CHOICE, chosen, one) for one in (scores, moved))
    assert before == after


@given(st.data(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_request_is_prefix_context_delimiter_and_choice(data, num_shots):
    chosen = data.draw(items(least=4))
    shots = choose_shots(CHOICE, chosen, [], num_shots)
    found = iter(build_requests(chosen, shots))
    for one, own in zip(chosen, shots, strict=True):
        assert len(own) == num_shots
        assert one not in own
        for context, choice in zip(one.contexts(), one.choices, strict=True):
            asked = next(found)
            assert asked.context == fewshot_prefix(own) + context
            assert asked.continuation == one.delimiter + choice
            assert asked.continuation
    assert next(found, None) is None
    assert len(set(shots)) <= num_shots + 1


@given(TEXT, st.integers(-500, -1))
@settings(max_examples=60, deadline=None)
def test_bits_per_byte_times_bytes_are_the_bits(text, ll):
    one = Item("1", "de", "", (text,), 0, "")
    none = np.zeros(1, bool)
    rows = score_items(GOLD, [one], Scores(np.array([float(ll)]), np.ones(1, int), none, none))
    found = {row["metric"]: row for row in rows}
    per_byte = found["bits_per_byte"]
    assert np.isclose(per_byte["value"] * per_byte["weight"], found["bits"]["value"], rtol=1e-12)
    assert np.isclose(found["bits"]["value"], -ll / np.log(2), rtol=1e-12)


JSON = st.one_of(st.none(), st.booleans(), st.integers(), TEXT, st.lists(TEXT, max_size=3))


@given(st.dictionaries(st.sampled_from(["id", "language", "context", "choices", "answer"]), JSON))
@settings(max_examples=150, deadline=None)
def test_any_line_is_an_item_or_a_one_line_error(tmp_path_factory, change):
    path = tmp_path_factory.mktemp("task") / "any.jsonl"
    good = {"id": "1", "language": "de", "context": "x", "choices": ["a", "b"], "answer": 0}
    path.write_text(json.dumps(good | change) + "\n")
    task = said = None
    try:
        task = find_task(str(path))
    except InputError as error:
        said = str(error)
    if task is None:
        assert said.startswith(f"{path}:1: ")
        assert "\n" not in said
        return
    (item,) = [one for tag in task.languages for one in task.items(Source.at(None), tag)]
    assert 0 <= item.answer < len(item.choices) == len(item.contexts())
    assert all(item.choices)
