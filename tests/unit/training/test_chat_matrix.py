"""Fifteen templates, fifteen kinds of conversation, three kinds of tokenizer: what is learned.

The oracle is a template's text by plain transformers, and what each template says of a turn,
written by hand (``chat_matrix``): the trained tokens of ``sft``, and the answers of ``dpo`` and
``srpo``, spell the assistant's text and the end of the turn; or the row alone is left out, in one
line.
``POLYLECT_WRITE_TABLES=1`` writes the table of the guide.
"""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tokenizers as hf
from align_cases import write_lines
from border_tokenizers import TOKENIZERS
from chat_matrix import ASK, CONVERSATIONS, EOS, FAMILIES, said
from transformers import PreTrainedTokenizerFast

from polylect.base import InputError, Ledger
from polylect.rows import read_conversations, read_preferences
from polylect.text import SPELLED, ChatTemplate, Templated, Tokenizer, train_bpe
from polylect.training.encode import REWRITTEN, SPOKEN, encode_conversations, encode_preferences
from polylect.training.reading import encode_rewarded

KINDS = ("byte-level", "metaspace", "Chinese and Japanese")
IMPROVE = "Improve it."
GUIDE = Path(__file__).parents[3] / "docs/guides/chat-templates.md"
EAST = [
    "今日は良い天気ですね。散歩に行きましょう",
    "今日天气很好，我们去散步吧。",
    "ですね。良い天気",
]
WEST = ["Two and two? Four. Five.", "Sure? Yes, five. And one?", "be brief, hm", "\n\n", "say more"]


@cache
def base(kind):
    if kind == "metaspace":
        return TOKENIZERS["Llama 2"]()
    if kind == "byte-level":
        return train_bpe({"en": WEST}, vocab_size=320)
    return train_bpe({"ja": EAST * 4, "zh": EAST}, vocab_size=380)


@cache
def family_style(name, kind):
    """The style of a family, its end-of-text token, and transformers' tokenizer beside it."""
    family, tokenizer = FAMILIES[name], base(kind)
    backend = hf.Tokenizer.from_str(tokenizer._backend.to_str())
    backend.add_special_tokens([hf.AddedToken(x, special=True) for x in family.specials])
    backend.add_tokens([hf.AddedToken(x, special=False) for x in family.plain_tokens])
    tokenizer = Tokenizer(backend, tokenizer.config)
    eos, bos = tokenizer.text_of(tokenizer.eos_id), tokenizer.text_of(tokenizer.bos_id)
    template = ChatTemplate(name, family.template, {"eos_token": eos, "bos_token": bos})
    peer = PreTrainedTokenizerFast(
        tokenizer_object=hf.Tokenizer.from_str(backend.to_str()), bos_token=bos, eos_token=eos,
        chat_template=family.template,
    )  # fmt: skip
    return Templated(tokenizer, template), eos, peer


def filled(conversation, name, eos):
    """The conversation with the family's own end token where it says CONTROL."""
    says = FAMILIES[name].says(said("x"), True) or "x<｜end▁of▁sentence｜>"
    end = says.split("x")[-1].strip().replace(EOS, eos)
    return json.loads(json.dumps(conversation, ensure_ascii=False).replace("CONTROL", end))


def texts_of(conversation):
    """Messages whose content is text, as transformers' templates take them."""
    return [
        turn | {"content": "".join(part["text"] for part in turn["content"])}
        if isinstance(turn["content"], list) else turn
        for turn in conversation["messages"]
    ]  # fmt: skip


def render(peer, messages, tools, *, ask):
    return peer.apply_chat_template(
        messages, tools=tools, tokenize=False, add_generation_prompt=ask
    )


def expected_runs(name, kind, conversation):
    """What should be learned of each turn, and how many turns are context only; None for a row.

    By transformers' text: a turn is learned where the whole goes on, after the prompt that the
    model would answer, with what the template says of the turn while it is the last.
    """
    family = FAMILIES[name]
    _, eos, peer = family_style(name, kind)
    messages, tools = texts_of(conversation), conversation.get("tools")
    says = [
        family.says(turn, number > 0) if turn["role"] == "assistant" else ""
        for number, turn in enumerate(messages)
    ]
    if None in says or not (messages[-1]["content"] or messages[-1].get("tool_calls")):
        return None
    try:
        whole = render(peer, messages, tools, ask=False)
    except Exception:  # a template may fail in any way
        return None
    asked, alone = (render(peer, [ASK], None, ask=ask) for ask in (True, False))
    num = next((i for i in range(len(asked)) if asked[:i] != alone[:i]), len(asked))
    header = asked[max(0, num - 1) :] if not asked.startswith(alone) else asked[len(alone) :]
    runs, rewritten = [], 0
    for number, text in enumerate(says):
        if messages[number]["role"] != "assistant":
            continue
        text = text.replace(EOS, eos)
        if number:
            before = render(peer, messages[:number], tools, ask=True)
            is_exact = whole.startswith(before + text)
        else:
            is_exact = bool(header) and header + text in whole
        runs += [text] if is_exact else []
        rewritten += not is_exact
    return runs, rewritten


def same(kind, text, expected):
    if kind == "metaspace":  # its decoder puts spaces beside special tokens
        return "".join(text.split()) == "".join(expected.replace("▁", " ").split())
    return text == expected


def runs_of(tokenizer, row):
    """The texts of the runs that are learned."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.trained.astype(int), [0]])))
    texts = []
    for start, stop in edges.reshape(-1, 2):
        before = tokenizer.decode(row.ids[:start])
        texts.append(tokenizer.decode(row.ids[:stop])[len(before) :])
    return texts


def check_sft(name, kind, conversation, folder):
    """Check what is learned of a conversation beside a plain one; the table's cell."""
    style, _, _ = family_style(name, kind)
    expected = expected_runs(name, kind, conversation)
    plain = {"messages": [ASK, said("Four.")], "language": "en"}
    file = write_lines(folder / "chats.jsonl", [plain, conversation | {"language": "ja"}])
    ledger = Ledger()
    rows = encode_conversations(
        read_conversations(file, ledger=ledger), style, 999, "refuse", ledger
    )
    dropped = [line for line in ledger.lines() if "dropped" in line]
    if expected is None:
        assert len(rows) == 1, conversation
        assert len(dropped) == 1
        assert "(ja; chats.jsonl:2)" in dropped[0]
        return dropped[0].removeprefix("1 dropped: ").removesuffix(" (ja; chats.jsonl:2)")
    runs, rewritten = expected
    assert not dropped
    learned = runs_of(style.tokenizer, rows[1])
    assert len(learned) == len(runs), (learned, runs)
    assert all(same(kind, *pair) for pair in zip(learned, runs, strict=True)), (learned, runs)
    assert ledger.total(REWRITTEN) == rewritten
    last = encode_conversations(read_conversations(file), style, 999, "refuse", Ledger(), "last")
    (run,) = runs_of(style.tokenizer, last[1])
    assert same(kind, run, runs[-1])
    return "all" if not rewritten else f"last {len(runs)} of {len(runs) + rewritten}"


def check_pairs(name, kind, conversation, folder):
    """Check the tokens of reward, dpo and srpo; the conversation's last turn is chosen."""
    style, eos, peer = family_style(name, kind)
    decode = style.tokenizer.decode
    messages, tools = texts_of(conversation), conversation.get("tools")
    last, prompt = messages[-1], messages[:-1]
    expected = expected_runs(name, kind, conversation)
    if last.get("reasoning_content"):
        expected = None
    plain = {"prompt": [ASK], "chosen": "Four.", "rejected": "No.", "language": "en"}
    pair = {"prompt": conversation["messages"][:-1], "chosen": [conversation["messages"][-1]],
            "rejected": "No.", "language": "ja"}  # fmt: skip
    pair |= {"tools": tools} if tools else {}
    file = write_lines(folder / "pairs.jsonl", [plain, pair])
    if expected is not None:
        rewarded = encode_rewarded(read_preferences(file), style, 999, "refuse", Ledger(), -1)[1]
        for ids, turn in zip(
            (rewarded.chosen, rewarded.rejected), (last, said("No.")), strict=True
        ):
            text = decode(np.concatenate([rewarded.prompt, ids]))
            assert same(kind, text, render(peer, [*prompt, turn], tools, ask=False))
    for request in (None, IMPROVE):
        ledger = Ledger()
        pairs = encode_preferences(
            read_preferences(file, ledger=ledger), style, 999, "refuse", ledger, request
        )
        dropped = [line for line in ledger.lines() if "dropped" in line]
        if expected is None:
            assert len(pairs) == 1
            assert ["(ja; pairs.jsonl:2)" in line for line in dropped] == [True]
            continue
        assert not dropped
        tokens = pairs[1]
        before = render(peer, prompt, tools, ask=True)
        assert same(kind, decode(tokens.prompt), before)
        answers = (tokens.chosen, tokens.rejected)
        for ids, turn in zip(answers, (last, said("No.")), strict=True):
            whole = decode(np.concatenate([tokens.prompt, ids]))
            text = FAMILIES[name].says(turn, True).replace(EOS, eos)
            assert same(kind, whole, before + text)
        for context, ids, turn in zip(
            tokens.refine, answers, (last, said("No.")), strict=bool(request)
        ):
            shared = {"answer": [tokens.prompt, ids], "prompt": [tokens.prompt], "nothing": []}
            text = decode(np.concatenate([*shared[context.shared], context.ids]))
            asked = [*prompt, turn, {"role": "user", "content": IMPROVE}]
            assert same(kind, text, render(peer, asked, tools, ask=True))


def cells(name, kind, folder):
    """The cells of a template's row, by kind of conversation."""
    _, eos, _ = family_style(name, kind)
    row = {}
    for title, raw in CONVERSATIONS.items():
        conversation = filled(raw, name, eos)
        row[title] = check_sft(name, kind, conversation, folder)
        check_pairs(name, kind, conversation, folder)
    return row


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "DeepSeek R1"])
def test_what_is_trained_is_what_the_assistant_says_or_the_row_is_left_out(name, kind, tmp_path):
    row = cells(name, kind, tmp_path)
    assert row["one turn"] == "all"


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_row_is_left_the_command_says_why(kind, tmp_path):
    style, _, _ = family_style("DeepSeek R1", kind)
    for title, raw in CONVERSATIONS.items():
        rows = [filled(raw, "DeepSeek R1", "</s>") | {"language": "en"}] * 2
        file = write_lines(tmp_path / "chats.jsonl", rows)
        with pytest.raises(InputError, match=r"chats\.jsonl:1: ") as caught:
            encode_conversations(read_conversations(file), style, 999, "refuse", Ledger())
        if title == "one turn":
            assert "the model answers after '<｜Assistant｜><think>\\n'" in caught.value.message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["DeepSeek", "DeepSeek R1"])
def test_a_turn_whose_thought_is_dropped_is_learned_alone_as_the_model_says_it(
    name, kind, tmp_path
):
    style, _, peer = family_style(name, kind)
    conversation = CONVERSATIONS["<think> in several turns"]
    row = conversation | {"language": "en"}
    rows = read_conversations(write_lines(tmp_path / "chats.jsonl", [row]))
    with pytest.raises(InputError, match="--turns last") as caught:
        encode_conversations(rows, style, 999, "refuse", Ledger())
    assert "learns it as the model says it" in caught.value.hint
    ledger = Ledger()
    (tokens,) = encode_conversations(rows, style, 999, "refuse", ledger, "last")
    messages = conversation["messages"]
    before = render(peer, messages[:-1], None, ask=True)
    opening = "<think>\n" if name == "DeepSeek R1" else ""
    assert before.endswith(opening)
    answer = messages[-1]["content"].removeprefix(opening) + "<｜end▁of▁sentence｜>"
    assert same(kind, style.tokenizer.decode(tokens.ids), before + answer)
    assert [same(kind, run, answer) for run in runs_of(style.tokenizer, tokens)] == [True]
    assert ledger.total(SPOKEN) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_control_tokens_in_content_are_counted_and_are_no_tokens(kind, tmp_path):
    for name in FAMILIES:
        style, eos, _ = family_style(name, kind)
        if FAMILIES[name].says(said("x"), True) is None:
            continue
        conversation = filled(CONVERSATIONS["control tokens"], name, eos)
        file = write_lines(tmp_path / "chats.jsonl", [conversation | {"language": "en"}])
        ledger = Ledger()
        (row,) = encode_conversations(read_conversations(file), style, 999, "refuse", ledger)
        assert ledger.total(SPELLED) == 1
        end = style.ends()[0]
        assert (row.ids[row.trained] == end).sum() == 1
        assert row.ids[row.trained][-1] == end


HEAD = """# Chat templates, and what is learned with each

Fifteen templates in the manner of public families, and fifteen kinds of conversation. Measured by
`tests/unit/training/test_chat_matrix.py`, for a byte-level tokenizer, one in the manner of
SentencePiece and one trained on Chinese and Japanese text, alike: the tokens that `train sft`
learns, and the answers of `--objective dpo` and `srpo`, spell the assistant's text and the end of
the turn, or the row is left out in one line, counted, and the other rows are learned; SRPO's
requests and the conversations that `train reward` reads are those that transformers writes.

A cell says what `train sft` learns: `all` turns of the assistant, or the `last 1 of 3`, because the
template writes the others otherwise once more turns follow; they are context then, and counted
(`--turns last` asks for the last one alone). `dpo` and `srpo` learn the last turn wherever there is
no number, which stands for why the row is left out; the answer of a pair is text, so that one with
`reasoning_content` is left out with every template. Control tokens in what a user or the assistant
wrote are spelled out and counted; `--special-tokens parse` reads them as tokens.

Templates that drop the thoughts of the last turn too (DeepSeek's and R1's, everything before
`</think>`) keep nothing that `train sft` could learn by itself. `--turns last` learns that turn as
the model says it, which is counted: the prompt, the content as it is in the row, the end token.
Where a prompt ends with the beginning of the thought, the content has to begin with it
(`<think>` and a line end for R1).

"""


def guide(table):
    """The guide's text."""
    all_cells = [cell for row in table.values() for cell in row.values()]
    reasons = [*dict.fromkeys(x for x in all_cells if not x.startswith(("all", "last")))]
    numbers = {reason: f"– {number}" for number, reason in enumerate(reasons, start=1)}
    lines = [["template", *CONVERSATIONS], ["---"] * (1 + len(CONVERSATIONS))]
    lines += [[name, *(numbers.get(cell, cell) for cell in row.values())]
              for name, row in table.items()]  # fmt: skip
    legend = [f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)]
    rows = "\n".join(f"| {' | '.join(cells).replace('<think>', '`<think>`')} |" for cells in lines)
    return HEAD + rows + "\n\n" + "\n".join(legend) + "\n"


def test_the_guides_table_is_what_happens(tmp_path):
    table = {name: cells(name, KINDS[0], tmp_path) for name in FAMILIES if name != "DeepSeek R1"}
    reason = (
        "the model answers after '<｜Assistant｜><think>\\n', the chat template writes the"
        " answer otherwise"
    )
    table["DeepSeek R1"] = dict.fromkeys(CONVERSATIONS, reason)
    if os.environ.get("POLYLECT_WRITE_TABLES"):
        GUIDE.write_text(guide(table), encoding="utf-8")
    assert GUIDE.read_text(encoding="utf-8") == guide(table)
