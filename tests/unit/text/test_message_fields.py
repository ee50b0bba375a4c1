"""What a message holds beside its text: rendered as transformers does, or refused by name."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tokenizers
import transformers
from align_cases import CHATML, write_lines

from polylect.base import InputError, Ledger
from polylect.rows import Message, Passage, as_dicts, read_conversations, read_preferences
from polylect.text import Tokenizer, train_bpe
from polylect.text.turns import Plain, style_of
from polylect.training.encode import encode_conversations

TOOLS_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}{% for document in documents or [] %}<|im_start|>document\n"
    "{{ document.title }}: {{ document.text }}<|im_end|>\n{% endfor %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}"
    "{{ message.content }}{% for call in message.tool_calls or [] %}<|call|>"
    "{{ call.function.name }}({{ call.function.arguments | tojson }}){% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOL = {"function": {"parameters": {"type": "object"}, "name": "add"}, "type": "function"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"b": 2, "a": 1}}}
TURNS = [
    {"role": "user", "content": "what is one and two"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "three", "tool_call_id": "c1", "name": "add"},
    {"role": "assistant", "content": "it is three", "reasoning_content": "easy"},
]


def styles(tmp_path, template):
    tokenizer = train_bpe({"en": ["what is one and two it is three"]}, vocab_size=300)
    specials = ("<|im_start|>", "<|im_end|>", "<|call|>", "<think>", "</think>")
    added = [tokenizers.AddedToken(special, special=True) for special in specials]
    tokenizer._backend.add_special_tokens(added)
    tokenizer.config["chat_template"] = template
    tokenizer.save(tmp_path)
    return style_of(tmp_path, Tokenizer.load(tmp_path))


def read(tmp_path, row, ledger=None):
    path = write_lines(tmp_path / "rows.jsonl", [{"language": "en"} | row])
    return read_conversations(path, ledger=ledger)


@pytest.mark.parametrize("as_text", [False, True])
def test_tools_calls_and_reasoning_are_rendered_as_transformers_does(tmp_path, as_text):
    style = styles(tmp_path, TOOLS_TEMPLATE)
    tools = json.dumps([TOOL]) if as_text else [TOOL]
    (row,) = read(tmp_path, {"messages": TURNS, "tools": tools})
    rendered = style.render(row.messages)
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    expected = peer.apply_chat_template(TURNS, tools=[TOOL], return_dict=False)
    assert rendered.ids.tolist() == expected
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rendered.trained.astype(int), [0]])))
    learned = [style.tokenizer.decode(rendered.ids[a:b]) for a, b in edges.reshape(-1, 2)]
    assert learned == [
        '<|call|>add({"b": 2, "a": 1})<|im_end|>',
        "<think>easy</think>it is three<|im_end|>",
    ]


def test_arguments_as_text_are_an_object_in_the_template(tmp_path):
    style = styles(tmp_path, TOOLS_TEMPLATE)
    call = {"function": {"name": "add", "arguments": '{"a": 1}'}}
    turns = [TURNS[0], {"role": "assistant", "content": None, "tool_calls": [call]}]
    (row,) = read(tmp_path, {"messages": turns})
    assert 'add({"a": 1})' in style.tokenizer.decode(style.render(row.messages).ids)
    call["function"]["arguments"] = "[1]"
    (row,) = read(tmp_path, {"messages": turns})
    with pytest.raises(InputError, match="the arguments of a tool call are"):
        style.render(row.messages)


@pytest.mark.parametrize("weight", [0, 0.0])
def test_a_turn_of_weight_zero_is_not_learned(tmp_path, weight):
    turns = [*TURNS[:1], {"role": "assistant", "content": "two", "weight": weight},
             {"role": "user", "content": "sure?"},
             {"role": "assistant", "content": "three", "weight": 1}]  # fmt: skip
    (row,) = read(tmp_path, {"messages": turns})
    style = styles(tmp_path, CHATML)
    for kind in (style, Plain(style.tokenizer)):
        rendered = kind.render(row.messages)
        text = style.tokenizer.decode(rendered.ids[rendered.trained])
        assert text.startswith("three")
        assert "two" not in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": 0.5}, "'weight' of turn 2 is 0.5"),
        ({"weight": True}, "'weight' of turn 2 is True"),
        ({"weight": 1, "trained": False}, "'trained' of turn 2 is False, its 'weight' 1"),
        ({"weight": 0}, "no turn of the assistant"),
        ({"loss_mask": 0}, "turn 2 has 'loss_mask', which is not read"),
        ({"thinking": "hm"}, "turn 2 has 'thinking', which is not read"),
        ({"reasoning_content": 3}, "'reasoning_content' of turn 2 is 3"),
    ],
)
def test_a_field_that_would_be_missed_is_refused(tmp_path, change, words):
    turns = [TURNS[0], {"role": "assistant", "content": "three"} | change]
    with pytest.raises(InputError, match=r"rows.jsonl:1") as caught:
        read(tmp_path, {"messages": turns})
    assert words in caught.value.message


def test_what_is_not_read_is_counted_once_for_each_row(tmp_path):
    ledger = Ledger()
    turns = [TURNS[0] | {"timestamp": 3, "lang": None},
             {"role": "assistant", "content": "three", "timestamp": 4}]  # fmt: skip
    read(tmp_path, {"messages": turns, "rating": 5, "empty": None}, ledger)
    assert [*ledger.rows()] == [
        ("ignored: column", "rating", 1), ("ignored: field of a message", "timestamp", 2)
    ]  # fmt: skip


CHAT = [Message("user", "what?"), Message("assistant", "three")]


@pytest.mark.parametrize(
    ("number", "change", "words"),
    [
        (0, {"documents": (Passage("one", "t"),)}, "'documents' of turn 1 (user)"),
        (0, {"name": "ann"}, "'name' of turn 1 (user)"),
        (1, {"reasoning_content": "easy"}, "'reasoning_content' of turn 2 (assistant)"),
    ],
)
def test_a_template_that_leaves_a_field_out_refuses_the_row(tmp_path, number, change, words):
    style = styles(tmp_path, CHATML)
    chat = [*CHAT]
    chat[number] = replace(chat[number], **change)
    with pytest.raises(InputError) as caught:
        style.render(chat)
    assert f"the chat template does not render {words}" in caught.value.message
    for plain in (lambda: Plain(style.tokenizer).render(chat), lambda: as_dicts(chat)):
        with pytest.raises(InputError, match=f"message {number + 1} has"):
            plain()


def test_tools_and_calls_that_are_not_rendered_name_the_row(tmp_path):
    style = styles(tmp_path, CHATML)
    for row, words in (
        ({"messages": [*TURNS[:1], BOT], "tools": [TOOL]}, "'tools' of turn 1 (user)"),
        ({"messages": TURNS[:2]}, "'tool_calls' of turn 2 (assistant)"),
    ):
        rows = read(tmp_path, row)
        with pytest.raises(InputError, match=r"rows.jsonl:1") as caught:
            encode_conversations(rows, style, 200, "refuse", Ledger())
        assert words in caught.value.message


BOT = {"role": "assistant", "content": "three"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"tools": "{"}, "'tools': not JSON"),
        ({"tools": [{"x": 1}]}, "'tools' is "),
        ({"documents": [{"text": "x"}]}, "'documents' of a row is not passed"),
        ({"chat_template_kwargs": {"a": 1}}, "'chat_template_kwargs' of a row is not passed"),
    ],
)
def test_arguments_of_a_row_that_cannot_be_read(tmp_path, row, words):
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"messages": [TURNS[0], BOT]} | row)
    assert words in caught.value.message


@pytest.mark.parametrize("change", [{"tool_calls": [CALL]}, {"reasoning_content": "x"},
                                    {"weight": 0}])  # fmt: skip
def test_an_answer_to_be_compared_is_text(tmp_path, change):
    rows = [{"prompt": "a", "chosen": [BOT | change], "rejected": [BOT | {"content": "x"}],
             "language": "en"}]  # fmt: skip
    with pytest.raises(InputError, match="the answer of 'chosen' is more than text"):
        read_preferences(write_lines(tmp_path / "x.jsonl", rows))


def test_tools_of_a_preference_are_in_its_prompt(tmp_path):
    style = styles(tmp_path, TOOLS_TEMPLATE)
    rows = [{"prompt": "a", "chosen": "b", "rejected": "c", "language": "en", "tools": [TOOL]}]
    (row,) = read_preferences(write_lines(tmp_path / "x.jsonl", rows))
    assert '"name": "add"' in style.tokenizer.decode(style.prompt(row.messages))
