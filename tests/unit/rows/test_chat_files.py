"""Conversations and preferences as people keep them, and the order in which they are learned."""

import json

import numpy as np
import pytest
from align_cases import write_lines

from polylect.base import InputError, Ledger
from polylect.rows import (
    Message,
    Passage,
    ToolCall,
    as_dicts,
    read_conversations,
    read_preferences,
    read_prompts,
)
from polylect.training import ExampleStage
from polylect.training.sampler import mixture_rows, quotas, training_order

USER, BOT = {"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}
IMAGE = {"type": "image_url", "image_url": {"url": "x.png"}}
PAIR = {"prompt": "a?", "chosen": "b", "rejected": "c", "language": "de"}


def test_the_forms_of_a_preference_are_one(tmp_path):
    other = {"role": "assistant", "content": "c"}
    forms = [
        PAIR,
        PAIR | {"prompt": [USER]},
        PAIR | {"chosen": [BOT], "rejected": [other]},
        PAIR | {"prompt": [USER], "chosen": [USER, BOT], "rejected": [USER, other]},
        {"chosen": [USER, BOT], "rejected": [USER, other], "language": "de"},
    ]
    for row in read_preferences(write_lines(tmp_path / "x.jsonl", forms)):
        assert (row.messages, row.chosen, row.rejected) == ((Message("user", "a?"),), "b", "c")
        assert (row.language, row.scores, row.margin) == ("de", None, 0.0)
    scored = write_lines(tmp_path / "y.jsonl", [PAIR | {"chosen_score": 2, "rejected_score": -1.5}])
    assert read_preferences(scored)[0].scores == (2.0, -1.5)


def test_the_forms_of_a_conversation_are_one(tmp_path):
    forms = [
        {"messages": [USER, BOT], "language": "de"},
        {"prompt": "a?", "completion": "b", "language": "de"},
        {"prompt": [USER], "completion": [BOT], "language": "de"},
    ]
    for row in read_conversations(write_lines(tmp_path / "x.jsonl", forms)):
        assert (as_dicts(row.messages), row.language) == ([USER, BOT], "de")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rejected": "b"}, "'chosen' and 'rejected' are equal"),
        ({"chosen": 3}, "'chosen' is 3"),
        ({"prompt": [USER | {"content": ""}]}, "the content of turn 1 is ''"),
        ({"prompt": [USER | {"content": 7}]}, "the content of turn 1 is 7"),
        (
            {"prompt": [USER | {"content": [IMAGE]}]},
            "turn 1 has a part that is no text ('image_url'",
        ),
        ({"prompt": ""}, "there is no prompt before the answers"),
        ({"prompt": [USER, BOT]}, "there is no prompt before the answers"),
        ({"language": "x q"}, "'language'"),
        (
            {"language": None},
            "'language' is missing — add it to the rows, or --default-language TAG",
        ),
        ({"chosen_score": 1}, "one of two scores is missing"),
        ({"chosen_score": 1, "rejected_score": 2}, "'chosen_score' is 1, below"),
        ({"prompt": [{"role": "bot", "content": "x"}]}, "the role of turn 1 is 'bot'"),
        ({"chosen": [USER, BOT], "rejected": [BOT]}, "do not answer the same conversation"),
    ],
)
def test_a_preference_that_does_not_fit_is_named(tmp_path, change, words):
    path = write_lines(tmp_path / "x.jsonl", [PAIR, PAIR | change])
    with pytest.raises(InputError) as caught:
        read_preferences(path)
    text = f"{caught.value.message} — {caught.value.hint}"
    assert f"{path}:2" in text
    assert words in text


def test_content_as_parts_of_text_is_their_text(tmp_path):
    part = {"type": "text", "text": "a?"}
    forms = [[part], ["a?"], [{"type": "text", "text": "a"}, {"type": "text", "text": "?"}]]
    rows = [{"messages": [USER | {"content": form}, BOT], "language": "de"} for form in forms]
    ledger = Ledger()
    for row in read_conversations(write_lines(tmp_path / "x.jsonl", rows), ledger=ledger):
        assert as_dicts(row.messages) == [USER, BOT]
    assert ledger.by_event() == {"joined: content of several parts": 1}


def test_a_row_whose_content_is_no_text_leaves_the_others(tmp_path):
    good = {"messages": [USER, BOT], "language": "de"}
    bad = [{"messages": [USER | {"content": content}, BOT], "language": "de"}
           for content in ([IMAGE], 7, None, "", " ")]  # fmt: skip
    path, ledger = write_lines(tmp_path / "x.jsonl", [good, *bad, good]), Ledger()
    assert len(read_conversations(path, ledger=ledger)) == 2
    assert ledger.total("dropped") == 5
    assert (
        "1 dropped: 'messages': the content of turn 1 has a part that is no text ('image_url')"
        " (de; x.jsonl:2)"
    ) in ledger.lines()
    path = write_lines(tmp_path / "y.jsonl", bad)
    with pytest.raises(InputError, match=r"y\.jsonl:1: .*\(and 4 more rows cannot be used\)"):
        read_conversations(path, ledger=Ledger())


def test_a_conversation_without_the_assistant_teaches_nothing(tmp_path):
    path = write_lines(tmp_path / "x.jsonl", [{"messages": [USER], "language": "de"}])
    with pytest.raises(InputError, match="no turn of the assistant"):
        read_conversations(path)
    (tmp_path / "y.jsonl").write_text("")
    with pytest.raises(InputError, match="no row in it"):
        read_conversations(tmp_path / "y.jsonl")


def test_a_prompt_may_have_several_turns_tools_and_a_system_message(tmp_path):
    turns = [USER, BOT, {"role": "user", "content": "why?"}]
    rows = [
        {"messages": turns, "language": "de"},
        {"messages": [*turns, BOT], "language": "de"},
        {"prompt": "why?", "messages": turns, "language": "de"},
        {"prompt": turns, "language": "de", "id": 7, "system": "Be brief."},
        {"prompt": "why?", "language": "de", "system": "Be brief."},
        {"prompt": "a?", "messages": [*turns, BOT], "language": "de"},
    ]
    prompts = read_prompts(write_lines(tmp_path / "x.jsonl", rows))
    system = {"role": "system", "content": "Be brief."}
    assert [as_dicts(prompt.messages) for prompt in prompts] == [
        turns, turns, turns, [system, *turns], [system, turns[-1]], [USER]
    ]  # fmt: skip
    assert prompts[3].id == "7"
    assert prompts[3].place == f"{tmp_path / 'x.jsonl'}:4"


def test_tool_calls_documents_and_untrained_turns_are_read(tmp_path):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    messages = [
        USER | {"documents": [{"title": "t", "text": "d", "id": None}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "trained": False},
        {"role": "tool", "content": "2", "tool_call_id": "c1"},
        BOT,
    ]
    path = write_lines(tmp_path / "x.jsonl", [{"messages": messages, "language": "de"}])
    (row,) = read_conversations(path)
    assert row.messages == (
        Message("user", "a?", documents=(Passage("d", "t"),)),
        Message("assistant", "", trained=False, tool_calls=(ToolCall("f", '{"x": 1}', "c1"),)),
        Message("tool", "2", tool_call_id="c1"),
        Message("assistant", "b"),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trained": "no"}, "'trained' of turn 1 is 'no'"),
        ({"documents": [{"body": "x"}]}, "the tool calls or documents of turn 1 cannot be read"),
        ({"tool_calls": [{"function": {}}]}, "the tool calls or documents of turn 1"),
    ],
)
def test_a_message_that_cannot_be_read_is_named(tmp_path, change, words):
    path = write_lines(tmp_path / "x.jsonl", [{"messages": [BOT | change], "language": "de"}])
    with pytest.raises(InputError, match=words):
        read_conversations(path)


def test_a_language_for_rows_that_name_none(tmp_path):
    bare = {key: value for key, value in PAIR.items() if key != "language"}
    path = write_lines(tmp_path / "x.jsonl", [bare, PAIR])
    assert [row.language for row in read_preferences(path, "tr")] == ["tr", "de"]
    assert json.loads(path.read_text().splitlines()[0]) == bare


def bare(sizes):
    """Cells without a source."""
    return {(tag, ""): num for tag, num in sizes.items()}


def test_quotas_sum_and_follow_the_temperature():
    sizes = bare({"de": 900, "hi": 90, "tr": 10})
    assert quotas(sizes, 1.0, {}, 1000) == sizes
    even = quotas(sizes, 1e9, {}, 999)
    assert set(even.values()) == {333}
    counts = quotas(sizes, 2.0, {}, 1000)
    weight = {tag: num**0.5 for tag, num in sizes.items()}
    for tag, num in counts.items():
        assert abs(num - 1000 * weight[tag] / sum(weight.values())) < 1
    assert sum(counts.values()) == 1000
    assert quotas(sizes, 1.0, {"hi": 3, "tr": 1}, 100) == bare({"de": 0, "hi": 75, "tr": 25})


def test_the_narrowest_share_counts_and_the_temperature_splits_what_it_stands_for():
    sizes = {("de", "wiki"): 400, ("de", "web"): 100, ("hi", "wiki"): 50, ("hi", "web"): 450}
    shares = {"de/wiki": 1, "de": 2, "*/web": 1}
    counts = quotas(sizes, 1.0, shares, 400)
    assert counts == {
        ("de", "wiki"): 100, ("de", "web"): 200, ("hi", "web"): 100, ("hi", "wiki"): 0
    }  # fmt: skip
    assert quotas(sizes, 2.0, {"de": 1}, 300) == {
        ("de", "wiki"): 200, ("de", "web"): 100, ("hi", "wiki"): 0, ("hi", "web"): 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("temperature", "shares", "words"),
    [
        (1.0, {"fa": 1}, "ask for 1 of fa, of which there is no example"),
        (1.0, {"de/wki": 1}, "de/wki, of which there is no example — did you mean de/wiki"),
        (1.0, {"de/wiki": 1, "de": 1}, "1 of de, of which there is no example"),
        (1.0, {"de": -1}, "-1 of de"),
        (1.0, {"de": 0}, "shares are all 0"),
        (0.5, {}, "temperature is 0.5"),
    ],
)
def test_a_share_of_nothing_is_refused(temperature, shares, words):
    with pytest.raises(InputError, match=words):
        quotas({("de", "wiki"): 10, ("hi", ""): 5}, temperature, shares, 10)


@pytest.mark.parametrize("shares", [{}, {"de": 2, "hi": 1, "tr": 1}])
def test_realized_shares_stay_within_one_per_cent_of_every_ten_thousand(shares):
    languages = ["de"] * 30_000 + ["hi"] * 9_000 + ["tr"] * 1_000
    cells = [(tag, "") for tag in languages]
    stage = ExampleStage(temperature=2.0, shares=shares)
    (order,) = training_order(cells, [stage], 1.0, 0, Ledger())
    tags = np.array(languages)[order]
    weight = shares or {tag: languages.count(tag) ** 0.5 for tag in ("de", "hi", "tr")}
    assert len(order) == len(languages)
    for start in range(0, len(order) - 10_000 + 1, 2_500):
        part = tags[start : start + 10_000]
        for tag, share in weight.items():
            assert abs((part == tag).mean() - share / sum(weight.values())) < 0.01


def test_every_example_comes_once_an_epoch_and_the_order_is_the_seeds():
    cells = [(tag, "") for tag in ("de", "hi", "tr", "hi", "de")] * 7
    plain, ledger = [ExampleStage()], Ledger()
    (order,) = training_order(cells, plain, 2.0, 3, ledger)
    assert np.array_equal(np.bincount(order), np.full(35, 2))
    assert not ledger.by_event()
    assert np.array_equal(order, training_order(cells, plain, 2.0, 3, Ledger())[0])
    assert not np.array_equal(order, training_order(cells, plain, 2.0, 4, Ledger())[0])
    some = Ledger()
    training_order(cells, [ExampleStage(shares={"tr": 1})], 1.0, 0, some)
    counted = some.by_event()
    assert counted["repeated: example of a small language"] == 35 - 7
    assert counted["left out: example of a large language"] == 28
    with pytest.raises(InputError, match="--epochs is 0"):
        training_order(cells, plain, 0.0, 0, Ledger())


def test_stages_go_on_where_the_last_one_stopped_and_are_told_exactly():
    """Two stages of one mixture take every example once, before any comes again."""
    cells = [("de", "wiki")] * 40 + [("de", "web")] * 40 + [("hi", "")] * 20
    halves = [ExampleStage(), ExampleStage()]
    first, second = training_order(cells, halves, 1.0, 0, Ledger())
    assert np.array_equal(np.bincount(np.concatenate([first, second])), np.ones(100))
    stages = (ExampleStage(part=3), ExampleStage(part=1, shares={"hi": 3, "*/wiki": 1}))
    tokens = list(range(1, 101))
    orders = training_order(cells, stages, 2.0, 0, Ledger())
    rows = mixture_rows(orders, cells, tokens)
    assert [len(order) for order in orders] == [150, 50]
    for row in rows:
        members = [i for i in orders[row["stage"] - 1].tolist()
                if cells[i] == (row["language"], row["source"])]  # fmt: skip
        assert row["examples"] == len(members)
        assert row["tokens"] == sum(tokens[i] for i in members)
    last = {row["language"] + row["source"]: row["examples"] for row in rows if row["stage"] == 2}
    assert last == {"dewiki": 12, "deweb": 0, "hi": 38} or last == {"dewiki": 13, "deweb": 0,
                                                                     "hi": 37}  # fmt: skip
    with pytest.raises(InputError, match="stage 2 gets none of 3 examples"):
        training_order(cells[:3], [ExampleStage(), ExampleStage(part=0.01)], 1.0, 0, Ledger())
    with pytest.raises(InputError, match="--part is 0"):
        training_order(cells, [ExampleStage(part=0), ExampleStage()], 1.0, 0, Ledger())
    with pytest.raises(InputError, match="stage 2: shares ask for 1 of tr"):
        training_order(cells, [ExampleStage(), ExampleStage(shares={"tr": 1})], 1, 0, Ledger())


SYSTEM = {"role": "system", "content": "Kurz."}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "a?", "messages": [USER, BOT]}, [USER]),
        ({"prompt": "a?", "messages": [SYSTEM, USER, BOT, USER | {"content": "c?"}]},
         [SYSTEM, USER]),
        ({"prompt": "c?", "messages": [USER, BOT, USER | {"content": "c?"}, BOT]},
         [USER, BOT, USER | {"content": "c?"}]),
        ({"prompt": "a?", "system": "Kurz."}, [SYSTEM, USER]),
        ({"messages": [SYSTEM, USER], "system": "Kurz."}, [SYSTEM, USER]),
        ({"prompt": "other", "messages": [USER, BOT]}, "'prompt' is no part of the other messages"),
        ({"messages": [SYSTEM, USER], "system": "Lang."}, "'system' is not what the first message"),
    ],
)  # fmt: skip
def test_nothing_of_a_prompt_is_lost_beside_other_messages(tmp_path, row, expected):
    path = write_lines(tmp_path / "x.jsonl", [row | {"language": "de"}])
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read_prompts(path)
    else:
        assert as_dicts(read_prompts(path)[0].messages) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [USER, BOT], "prompt": "a?", "completion": "b"}, [USER, BOT]),
        ({"messages": [USER, BOT], "prompt": "", "completion": None}, [USER, BOT]),
        ({"messages": [USER, BOT], "system": "Kurz."}, [SYSTEM, USER, BOT]),
        ({"prompt": "a?", "completion": "b", "system": "Kurz."}, [SYSTEM, USER, BOT]),
        ({"messages": [USER, BOT], "prompt": "x"}, "'prompt' is no part of the other messages"),
        ({"messages": [USER, BOT], "completion": "x"}, "'completion' is no part of the other"),
        ({"messages": None, "prompt": "a?", "completion": "b"}, [USER, BOT]),
    ],
)
def test_nothing_of_a_conversation_is_lost_beside_its_messages(tmp_path, row, expected):
    path = write_lines(tmp_path / "x.jsonl", [row | {"language": "de"}])
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read_conversations(path)
    else:
        assert as_dicts(read_conversations(path)[0].messages) == expected


OTHER = BOT | {"content": "c"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (PAIR | {"chosen": [SYSTEM, USER, BOT], "rejected": [SYSTEM, USER, OTHER]}, [SYSTEM, USER]),
        (PAIR | {"prompt": [SYSTEM, USER], "chosen": [USER, BOT], "rejected": [USER, OTHER]},
         [SYSTEM, USER]),
        (PAIR | {"chosen": [BOT, USER, BOT], "rejected": [BOT, USER, OTHER]}, [USER, BOT, USER]),
        (PAIR | {"system": "Kurz."}, [SYSTEM, USER]),
        (PAIR | {"prompt": "x", "chosen": [USER, BOT], "rejected": [USER, OTHER]},
         "'prompt' is no part of the other messages"),
        (PAIR | {"prompt": [SYSTEM, USER], "system": "Lang."}, "'system' is not what the first"),
    ],
)  # fmt: skip
def test_a_prompt_is_written_once_before_two_answers(tmp_path, row, expected):
    path = write_lines(tmp_path / "x.jsonl", [row])
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read_preferences(path)
    else:
        assert as_dicts(read_preferences(path)[0].messages) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user": "Ada", "annotator": 7}, ("Ada", "7")),
        ({"user": 12}, ("12", "")),
        ({"user": 12.0, "annotator": None}, ("12", "")),
        ({"user": True}, "x.jsonl:1: 'user' is True"),
        ({"annotator": " "}, "x.jsonl:1: 'annotator' is ' '"),
        ({"user": 1.5}, "x.jsonl:1: 'user' is 1.5"),
    ],
)
def test_whose_preference_it_is_is_text_or_a_whole_number(tmp_path, change, expected):
    path, ledger = write_lines(tmp_path / "x.jsonl", [PAIR | change]), Ledger()
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read_preferences(path, ledger=ledger)
    else:
        row = read_preferences(path, ledger=ledger)[0]
        assert (row.user, row.annotator) == expected
        assert not ledger


def test_texts_that_answer_nothing_are_compared_where_that_is_wanted(tmp_path):
    row = {"chosen": "a", "rejected": "b", "language": "de", "user": "u"}
    path = write_lines(tmp_path / "x.jsonl", [row])
    assert read_preferences(path, needs_prompt=False)[0].messages == ()
    with pytest.raises(InputError, match="no prompt before the answers"):
        read_preferences(path)


def test_an_answer_at_the_end_of_a_prompt_is_left_out_and_counted(tmp_path):
    rows = [{"messages": [USER, BOT], "language": "de"}, {"messages": [USER], "language": "de"}]
    ledger = Ledger()
    prompts = read_prompts(write_lines(tmp_path / "x.jsonl", rows), ledger=ledger)
    assert [as_dicts(prompt.messages) for prompt in prompts] == [[USER], [USER]]
    assert ledger.by_event() == {"left out: the answer that a prompt's messages end with": 1}
