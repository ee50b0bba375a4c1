"""What a user wrote never becomes a control token unless asked for, and is counted either way."""

import json

import numpy as np
import pytest
import tokenizers
from chat_families import FAMILIES
from transformers import PreTrainedTokenizerFast

from polylect.base import InputError, Ledger
from polylect.engine import Likelihood, encode_requests
from polylect.engine.answering import prompt_tokens
from polylect.mixtures import write_tokens
from polylect.rows import Document, Message, Prompt, Split, Tool, ToolCall, as_dicts
from polylect.text import PARSED, SPELLED, ChatTemplate, Continued, Templated, Tokenizer, train_bpe
from polylect.text.special_tokens import MARK
from polylect.text.turns import Plain

TEXT = ["What do you see? I see a red house.", "und nichts", "<b>bold</b> | im _ end"]


def byte_level(specials):
    tokenizer = train_bpe({"en": TEXT}, vocab_size=330)
    added = [tokenizers.AddedToken(special, special=True) for special in specials]
    tokenizer._backend.add_special_tokens(added)
    return Tokenizer(tokenizer._backend, tokenizer.config)


def metaspace(specials, scheme="first"):
    """As SentencePiece's BPE with bytes: Llama 2, Mistral, Gemma."""
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", byte_fallback=True))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    backend.decoder = tokenizers.decoders.Sequence([
        tokenizers.decoders.ByteFallback(),
        tokenizers.decoders.Metaspace(prepend_scheme=scheme, split=False),
    ])  # fmt: skip
    names = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600, special_tokens=names, initial_alphabet=[], show_progress=False
    )
    backend.train_from_iterator(TEXT, trainer)
    state = json.loads(backend.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    backend = tokenizers.Tokenizer.from_str(json.dumps(state))
    backend.add_special_tokens([tokenizers.AddedToken(x, special=True) for x in specials])
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return Tokenizer(backend, config)


KINDS = {
    "byte-level": byte_level,
    "metaspace": metaspace,
    "metaspace, always": lambda specials: metaspace(specials, "always"),
}


def style_for(family, kind, special_tokens="spell"):
    template, specials, _ = FAMILIES[family]
    tokenizer = KINDS[kind](specials)
    tokens = {"bos_token": tokenizer.text_of(tokenizer.bos_id),
              "eos_token": tokenizer.text_of(tokenizer.eos_id)}  # fmt: skip
    return Templated(tokenizer, ChatTemplate(family, template, tokens), special_tokens)


def controls(style, ids):
    special = {style.tokenizer.encode([x], special=True)[0][-1]
               for x in style.tokenizer.special_texts}  # fmt: skip
    return [int(x) for x in ids if x in special]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("around", [("", ""), ("x ", " y"), ("a\n", "\nb")])
def test_content_that_spells_a_control_token_gives_none(family, kind, around):
    style = style_for(family, kind)
    for special in (style.tokenizer.text_of(style.ends()[0]), *style.tokenizer.special_texts[:2]):
        bad = around[0] + special + around[1]
        plain = [Message("user", "x y"), Message("assistant", "z")]
        for chat in (
            [Message("user", bad), Message("assistant", "z")],
            [Message("user", "x"), Message("assistant", bad)],
        ):
            rendered, harmless = style.render(chat), style.render(plain)
            assert controls(style, rendered.ids) == controls(style, harmless.ids)
            spelled = style.tokenizer.decode(rendered.ids)
            assert "".join(bad.split()) in "".join(spelled.split())
            assert MARK not in spelled
            answer = style.tokenizer.decode(rendered.ids[rendered.trained])
            if chat[1].content == bad:
                assert "".join(answer.split()).startswith("".join(bad.split()))
            prompt = style.prompt(chat[:1])
            assert rendered.ids[: len(prompt)].tolist() == prompt.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_parsed_is_what_transformers_does(family):
    style = style_for(family, "byte-level", "parse")
    end = style.tokenizer.text_of(style.ends()[0])
    chat = [Message("user", f"x{end}y"), Message("assistant", "z")]
    tokenizer = style.tokenizer
    peer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(tokenizer._backend.to_str()),
        bos_token=tokenizer.text_of(tokenizer.bos_id),
        eos_token=tokenizer.text_of(tokenizer.eos_id),
        chat_template=FAMILIES[family][0],
    )  # fmt: skip
    expected = peer.apply_chat_template(as_dicts(chat), tokenize=True, return_dict=False)
    assert style.whole(chat).tolist() == expected
    more = len(controls(style, style.render(chat).ids))
    chat[0] = Message("user", "xy")
    assert more == len(controls(style, style.render(chat).ids)) + 1


def test_texts_of_tools_and_calls_are_spelled_too():
    template = (
        "{% for tool in tools or [] %}{{ tool.function.description }}{% endfor %}"
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% for call in m.tool_calls or [] %}{{ call.function.arguments | tojson }}{% endfor %}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer = byte_level(("<|im_start|>", "<|im_end|>"))
    style = Templated(tokenizer, ChatTemplate("tools", template))

    def chat(text):
        return [
            Message("user", "x", tools=(Tool("f", f"say {text}"),)),
            Message("assistant", "", tool_calls=(ToolCall("f", json.dumps({"a": text})),)),
            Message("tool", f"result {text}", name=""),
            Message("assistant", "z"),
        ]

    bad, good = style.render(chat("<|im_end|>")), style.render(chat("q"))
    assert controls(style, bad.ids) == controls(style, good.ids)
    assert tokenizer.decode(bad.ids).count("<|im_end|>") == 4 + 3


def test_a_token_that_the_template_looks_for_in_content_is_left_to_it():
    template = (
        "{% for m in messages %}<|im_start|>{% if '</think>' in m.content %}"
        "{{ m.content.split('</think>')[0] + '</think>' + m.content.split('</think>')[-1] }}"
        "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>{% endif %}"
    )
    tokenizer = byte_level(("<|im_start|>", "<|im_end|>", "</think>"))
    style = Templated(tokenizer, ChatTemplate("thinking", template))
    rendered = style.render(
        [Message("user", "x"), Message("assistant", "hm</think>a <|im_end|> b")]
    )
    assert tokenizer.decode(rendered.ids[rendered.trained]) == "hm</think>a <|im_end|> b<|im_end|>"
    names = [tokenizer.text_of(token) for token in controls(style, rendered.ids)]
    assert names.count("<|im_end|>") == 2


def test_a_text_with_the_mark_itself_is_refused():
    style = style_for("Qwen (ChatML)", "byte-level")
    with pytest.raises(InputError, match=r"a text has U\+FDD0 in it"):
        style.prompt([Message("user", f"x{MARK}<|im_end|>")])


@pytest.mark.parametrize("special_tokens", ["spell", "parse"])
def test_raw_text_is_spelled_or_parsed_and_counted(special_tokens):
    tokenizer = byte_level(("<|im_start|>", "<|im_end|>"))
    event = SPELLED if special_tokens == "spell" else PARSED
    ledger = Ledger()
    requests = [Likelihood("a<|im_start|>", "b"), Likelihood("a", "b<|im_end|>", chat=True),
                Likelihood("a", "b")]  # fmt: skip
    encoded = encode_requests(
        tokenizer, requests, add_bos=False, max_tokens=99, over_long="refuse", ledger=ledger,
        special_tokens=special_tokens,
    )  # fmt: skip
    assert ledger.rows() is not None
    assert ledger.by_event() == {event: 2}
    found = [[tokenizer.text_of(int(x)) for x in np.concatenate([r.context, r.continuation])]
             for r in encoded]  # fmt: skip
    assert ("<|im_start|>" in found[0]) == (special_tokens == "parse")
    assert ("<|im_end|>" in found[1]) == (special_tokens == "parse")
    prompts = [Prompt(language="de", prompt=text) for text in ("a <|im_end|> b", "a")]
    chatml = ChatTemplate("chatml", FAMILIES["Qwen (ChatML)"][0])
    for style in (
        Plain(tokenizer, special_tokens),
        Continued(tokenizer, special_tokens),
        Templated(tokenizer, chatml, special_tokens),
    ):
        ledger = Ledger()
        encoded, refused = prompt_tokens(style, prompts, ledger)
        assert not refused
        assert ledger.lines() == [f"1 {event} (de)"]
        counts = [
            [tokenizer.text_of(int(x)) for x in ids].count("<|im_end|>") for ids in encoded.values()
        ]
        num = 1 if isinstance(style, Templated) else 0
        assert counts == [num + (special_tokens == "parse"), num]


@pytest.mark.parametrize("special_tokens", ["spell", "parse"])
def test_documents_of_a_mixture_are_spelled_or_parsed_and_counted(special_tokens, tmp_path):
    tokenizer = byte_level(("<|im_end|>",))
    documents = [
        Document(id=str(i), language="de", source="x", license="CC0-1.0", text=text)
        for i, text in enumerate(("nichts", "a <|im_end|> b", "und"))
    ]
    ledger = Ledger()
    write_tokens(iter(documents), tokenizer, tmp_path, Split.TRAIN, special_tokens, ledger)
    event = SPELLED if special_tokens == "spell" else PARSED
    assert ledger.lines() == [f"1 {event} (de)"]
    ids = np.load(tmp_path / "train.npy").tolist()
    end = int(tokenizer.encode(["<|im_end|>"], special=True)[0][0])
    assert ids.count(end) == (special_tokens == "parse")
    assert tokenizer.decode(ids) == "nichtsa <|im_end|> bund"
