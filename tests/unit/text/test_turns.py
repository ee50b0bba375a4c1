"""Conversations as tokens: transformers' own ids, and exactly what the assistant said marked."""

from dataclasses import replace

import numpy as np
import pytest
import tokenizers
import transformers
from chat_families import CHATML, FAMILIES, TURN

from polylect.base import InputError
from polylect.rows import Message, Passage, as_dicts
from polylect.text import ChatTemplate, Continued, Templated, Tokenizer, train_bpe
from polylect.text.turns import Plain, style_of

SAID = ("I see a red house.", "व दो और दो चार हैं", "لا أعرف")
CHAT = [
    Message("user", "What do you see?"),
    Message("assistant", SAID[0]),
    Message("user", "And then\n\nnothing? <b>"),
    Message("assistant", SAID[1]),
    Message("user", "مرحبا"),
    Message("assistant", SAID[2]),
]


def tokenizer_with(specials, folder, template):
    text = [message.content for message in CHAT]
    tokenizer = train_bpe({"en": text}, vocab_size=330)
    added = [tokenizers.AddedToken(special, special=True) for special in specials]
    tokenizer._backend.add_special_tokens(added)
    tokenizer.config["chat_template"] = template
    tokenizer.save(folder)
    return Tokenizer.load(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_transformers_and_the_mask_is_what_was_said(family, tmp_path):
    template, specials, end = FAMILIES[family]
    tokenizer = tokenizer_with(specials, tmp_path, template)
    style = style_of(tmp_path, tokenizer)
    rendered = style.render(CHAT)
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    expected = peer.apply_chat_template(as_dicts(CHAT), tokenize=True, return_dict=False)
    assert rendered.ids.tolist() == expected
    assert (rendered.ids == tokenizer.bos_id).sum() == template.count("bos_token")
    # The runs of what is learned from, as text: each answer and its end token, nothing else.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rendered.trained.astype(int), [0]])))
    runs = [rendered.ids[start:stop] for start, stop in edges.reshape(-1, 2)]
    assert [tokenizer.decode(run).strip() for run in runs] == [f"{run}{end}" for run in SAID]
    assert [tokenizer.text_of(int(run[-1])) for run in runs] == [end] * 3
    prompt = peer.apply_chat_template(as_dicts(CHAT[:1]), add_generation_prompt=True,
                                     return_dict=False)  # fmt: skip
    assert style.prompt(CHAT[:1]).tolist() == prompt
    assert rendered.ids[: len(prompt)].tolist() == prompt


def test_plain_turns_end_with_the_end_token():
    tokenizer = train_bpe({"en": [message.content for message in CHAT]}, vocab_size=330)
    style = Plain(tokenizer)
    rendered = style.render(CHAT[:4])
    learned = [tokenizer.decode(rendered.ids[rendered.trained])]
    assert learned == [f"{SAID[0]}<EOS>{SAID[1]}<EOS>"]
    assert rendered.ids[0] == tokenizer.bos_id
    prompt = style.prompt(CHAT[:3])
    assert rendered.ids[: len(prompt)].tolist() == prompt.tolist()
    assert rendered.trained[len(prompt) :].all()


def test_of_a_template_that_rewrites_earlier_turns_the_last_is_learned(tmp_path):
    only_last = (
        TURN + "{% if loop.last or message['role'] == 'user' %}<|im_start|>{{ message['content'] }}"
        "<|im_end|>{% endif %}{% endfor %}"
    )
    tokenizer = tokenizer_with(("<|im_start|>", "<|im_end|>"), tmp_path, only_last)
    style = style_of(tmp_path, tokenizer)
    rendered = style.render(CHAT)
    assert rendered.rewritten == 2
    assert tokenizer.decode(rendered.ids[rendered.trained]) == f"<|im_start|>{SAID[2]}<|im_end|>"
    # An answer to the same turns is cut at the same border.
    answer = style.answer(CHAT[:5], SAID[2])
    assert np.concatenate([answer.prompt, answer.answer]).tolist() == rendered.ids.tolist()
    assert answer.answer.tolist() == rendered.ids[rendered.trained].tolist()
    assert answer.prompt.tolist() == style.prompt(CHAT[:5]).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_turn_alone_is_the_same_text_with_another_mask(family, tmp_path):
    template, specials, end = FAMILIES[family]
    tokenizer = tokenizer_with(specials, tmp_path, template)
    for style in (style_of(tmp_path, tokenizer), Plain(tokenizer)):
        every, last = style.render(CHAT), style.render(CHAT, "last")
        assert every.ids.tolist() == last.ids.tolist()
        assert not (last.trained & ~every.trained).any()
        learned = tokenizer.decode(last.ids[last.trained]).strip()
        assert learned in (f"{SAID[2]}{end}", f"{SAID[2]}<EOS>")


def test_a_thought_that_is_dropped_once_a_user_goes_on_is_rendered_while_it_is_last(tmp_path):
    template = (
        "{% set last = namespace(user=0) %}" + TURN + "{% if message['role'] == 'user' %}"
        "{% set last.user = loop.index0 %}{% endif %}{% endfor %}" + TURN + "<|im_start|>"
        "{{ message['role'] }}\n{% if message.reasoning_content and loop.index0 > last.user %}"
        "<think>{{ message.reasoning_content }}</think>{% endif %}{{ message['content'] }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer = tokenizer_with(("<|im_start|>", "<|im_end|>"), tmp_path, template)
    style = style_of(tmp_path, tokenizer)
    chat = [*CHAT]
    chat[1], chat[5] = (replace(turn, reasoning_content="hm") for turn in (CHAT[1], CHAT[5]))
    rendered = style.render(chat)
    assert rendered.rewritten == 1
    learned = tokenizer.decode(rendered.ids[rendered.trained])
    assert learned == f"{SAID[1]}<|im_end|><think>hm</think>{SAID[2]}<|im_end|>"
    silent = Templated(tokenizer, ChatTemplate("silent", CHATML))
    with pytest.raises(InputError, match="does not render 'reasoning_content' of turn 2"):
        silent.render(chat)


def test_the_turn_ends_at_its_own_end_token_whatever_follows():
    tokenizer = train_bpe({"en": ["say no more <EOS>"]}, vocab_size=300)
    template = (
        TURN + "{{ message['role'] }}: {{ message['content'] }}<EOS>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% else %}<EOS>{% endif %}"
    )
    for special_tokens in ("spell", "parse"):
        style = Templated(tokenizer, ChatTemplate("twice", template), special_tokens)
        for said in ("s", "say <EOS> no", "<EOS>", "E", "\n<EOS>\n"):
            rendered = style.render([Message("user", "<EOS>say s"), Message("assistant", said)])
            assert tokenizer.decode(rendered.ids[rendered.trained]) == f"{said}<EOS>"


def test_what_a_template_leaves_out_of_an_answer_refuses_the_row_though_a_user_said_it():
    tokenizer = train_bpe({"en": ["say no more"]}, vocab_size=300)
    tokenizer._backend.add_special_tokens([tokenizers.AddedToken("<|im_end|>", special=True)])
    tokenizer = Tokenizer(tokenizer._backend, tokenizer.config)
    template = (
        TURN + "{{ message['role'] }}: {{ message['content'] if message['role'] == 'user' else"
        " message['content'].split('</think>')[-1] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    style = Templated(tokenizer, ChatTemplate("silent", template))
    chat = [Message("user", "<think>a</think>b"), Message("assistant", "<think>a</think>b")]
    with pytest.raises(InputError, match="does not keep turn 2"):
        style.render(chat)


def test_a_template_without_an_end_is_refused(tmp_path):
    template = TURN + "{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    tokenizer = tokenizer_with((), tmp_path, template)
    with pytest.raises(InputError, match="no special token after an assistant's turn"):
        style_of(tmp_path, tokenizer).render([Message("user", "a"), Message("assistant", "b")])


def test_a_border_inside_a_token_is_encoded_apart_as_at_inference():
    tokenizer = train_bpe({"en": ["say: yes"] * 50}, vocab_size=300)
    backend = tokenizer._backend
    backend.add_special_tokens([tokenizers.AddedToken("<|im_end|>", special=True)])
    # The answer is glued to the prompt, so that one token may hold the end of one and the other.
    template = ChatTemplate(
        "glued",
        TURN
        + "{{ message['content'] }}{% if message['role'] == 'assistant' %}<|im_end|>{% endif %}"
        "{% endfor %}",
    )
    style = Templated(tokenizer, template)
    chat = [Message("user", "say: y"), Message("assistant", "es")]
    rendered = style.render(chat)
    assert rendered.apart
    assert rendered.ids[: len(style.prompt(chat[:1]))].tolist() == style.prompt(chat[:1]).tolist()
    assert tokenizer.decode(rendered.ids[rendered.trained]) == "es<|im_end|>"


def test_ayas_turns_need_ayas_tokens(tmp_path):
    tokenizer = tokenizer_with((), tmp_path, CHATML)
    with pytest.raises(InputError, match=r"no token <\|START_OF_TURN_TOKEN\|>"):
        style_of(tmp_path, tokenizer, "aya")


def test_an_untrained_answer_is_in_the_tokens_and_not_learned(tmp_path):
    specials = ("<|im_start|>", "<|im_end|>")
    tokenizer = tokenizer_with(specials, tmp_path, CHATML)
    chat = [*CHAT[:1], replace(CHAT[1], trained=False), *CHAT[2:4]]
    for style in (style_of(tmp_path, tokenizer), Plain(tokenizer)):
        rendered, whole = style.render(chat), style.render(CHAT[:4])
        assert rendered.ids.tolist() == whole.ids.tolist()
        learned = tokenizer.decode(rendered.ids[rendered.trained])
        assert learned.startswith(SAID[1])
        assert SAID[0] not in learned


def test_tools_and_documents_are_refused_before_they_are_lost():
    tokenizer = train_bpe({"en": ["a b"]}, vocab_size=270)
    chat = [Message("user", "a", documents=(Passage("b"),))]
    for style in (Plain(tokenizer), Continued(tokenizer)):
        with pytest.raises(InputError, match="message 1 has tools or documents"):
            style.prompt(chat)
