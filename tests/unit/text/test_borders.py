"""One rule for the border of prompt and answer, for training and for scoring."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tokenizers as hf
from border_tokenizers import CASES, LOSSLESS, TOKENIZERS

from polylect.base import InputError, Ledger
from polylect.engine import Likelihood, encode_requests
from polylect.rows import Message
from polylect.text import APART, RESPELLED, ChatTemplate, Templated, Tokenizer, cut_at_borders
from polylect.text.turns import Plain


@pytest.fixture(scope="module", params=TOKENIZERS)
def kind(request):
    return request.param, TOKENIZERS[request.param]()


def spelled(tokenizer, ids):
    return unicodedata.normalize("NFKC", tokenizer.decode(ids))


def encode(tokenizer, requests, **more):
    ledger = Ledger()
    settings = {"add_bos": tokenizer.adds_bos, "max_tokens": 99, "over_long": "refuse"} | more
    return encode_requests(tokenizer, requests, **settings, ledger=ledger), ledger


def test_a_context_has_its_own_tokens_and_both_together_spell_the_whole(kind):
    name, tokenizer = kind
    cuts = cut_at_borders(tokenizer, CASES)
    for cut, (context, choice) in zip(cuts, CASES, strict=True):
        whole, before = tokenizer.encode([context + choice, context])
        ids = np.concatenate(cut.pieces)
        assert cut.pieces[0].tolist() == before.tolist(), (context, choice)
        assert len(cut.pieces[1]), (context, choice)
        assert cut.apart == (ids.tolist() != whole.tolist())
        if not cut.respelled:
            assert spelled(tokenizer, ids) == spelled(tokenizer, whole), (context, choice)
        if name.startswith(LOSSLESS):
            assert not cut.respelled
            expected = unicodedata.normalize("NFKC", context + choice)
            assert spelled(tokenizer, ids) == expected, (context, choice)
    # The matrix holds the case, and no kind but that of whole words leaves most of it unsolved.
    assert any(cut.apart for cut in cuts)
    if name != "whole words":
        assert sum(cut.respelled for cut in cuts) <= 4


def test_no_mark_of_a_beginning_is_written_into_a_word():
    tokenizer = TOKENIZERS["Llama 2"]()
    (cut,) = cut_at_borders(tokenizer, [("The inter", "national law")])
    assert tokenizer.encode(["national law"])[0].tolist() != cut.pieces[1].tolist()
    assert [tokenizer.text_of(int(i)) for i in cut.pieces[1]] == ["national", "▁la", "w"]
    style = Plain(tokenizer)
    chat = [Message("user", "The inter"), Message("assistant", "national law")]
    rendered = style.render(chat)
    assert tokenizer.decode(rendered.ids[rendered.trained]) == "national law</s>"
    prompt = style.prompt(chat[:1])
    assert rendered.ids[: len(prompt)].tolist() == prompt.tolist()


def test_every_choice_is_conditioned_on_the_same_tokens(kind):
    name, tokenizer = kind
    for context, choices in (
        ("今日は天", ("気がいい", "国", "、", " x")),
        ("東京", ("都に", "で", "京")),
        ("hello wor", ("ld", "d", " x", "\n")),
    ):
        asked = [Likelihood(context, choice) for choice in choices]
        requests, ledger = encode(tokenizer, [one for one in asked if one.continuation.strip()])
        contexts = {request.context.tobytes() for request in requests}
        assert len(contexts) == 1, (name, context)
        if name.startswith("byte"):
            assert ledger.by_event().get(APART)


def test_the_interior_of_a_word_is_scored_whole_and_counted():
    tokenizer = TOKENIZERS["byte-level BPE"]()
    asked = [Likelihood("The inter", "national law"), Likelihood("hello", " world")]
    requests, ledger = encode(tokenizer, asked)
    texts = [(tokenizer.decode(one.context), tokenizer.decode(one.continuation))
             for one in requests]  # fmt: skip
    assert texts == [("<BOS>The inter", "national law"), ("<BOS>hello", " world")]
    assert ledger.by_event() == {APART: 1}


@pytest.mark.parametrize("choice", ["ld", "  ld", "\nld", " world"])
@pytest.mark.parametrize("spaces", ["", " ", "  ", "\n", "\u3000"])
def test_spaces_on_either_side_are_neither_lost_nor_repeated(spaces, choice):
    for name in ("byte-level BPE", "byte-level BPE, GPT-2's words, NFC", "Llama 2"):
        tokenizer = TOKENIZERS[name]()
        for chat in (False, True):
            ((request,), _) = encode(
                tokenizer, [Likelihood(f"hello wor{spaces}", choice, chat)], add_bos=False
            )
            ids = np.concatenate([request.context, request.continuation])
            assert tokenizer.decode(ids) == f"hello wor{spaces}{choice}"
            # What the model answers after keeps its spaces; a plain text gives them to the word.
            assert tokenizer.decode(request.context) == f"hello wor{spaces if chat else ''}"


def test_an_item_that_merges_wholly_is_scored_and_what_has_no_token_names_its_item():
    tokenizer = TOKENIZERS["byte-level BPE"]()
    asked = [Likelihood("hello wor", "ld", where="item 'q7' (en)")]
    assert tokenizer.encode(["hello world"])[0].size <= tokenizer.encode(["hello wor"])[0].size
    ((request,), _) = encode(tokenizer, asked)
    assert tokenizer.decode(request.continuation) == "ld"
    with pytest.raises(InputError, match=r"item 'q7' \(en\): no token of its own in .*'ld'"):
        encode(tokenizer, asked, border="lm-eval")
    with pytest.raises(InputError, match=r"item 'q8' \(en\): an empty continuation"):
        encode(tokenizer, [Likelihood("hello", "", where="item 'q8' (en)")])
    words = TOKENIZERS["WordPiece"]()
    with pytest.raises(InputError, match=r"item 'q9' \(en\): no token of its own in .*'\\n'"):
        encode(words, [Likelihood("hello", "\n", where="item 'q9' (en)")])
    with pytest.raises(InputError, match=r"item 'q9' \(en\): \d+ tokens, the model takes 2"):
        encode(tokenizer, [Likelihood("hello", " w" * 9, where="item 'q9' (en)")], max_tokens=2)


def test_training_and_scoring_cut_alike(kind):
    _, tokenizer = kind
    backend = tokenizer._backend
    backend.add_special_tokens([hf.AddedToken("<|end|>", special=True)])
    tokenizer = Tokenizer(backend, tokenizer.config)
    # The answer is glued to the prompt: the worst that a template can do.
    template = ChatTemplate(
        "glued",
        "{% for message in messages %}{{ message['content'] }}{% if message['role'] =="
        " 'assistant' %}<|end|>{% endif %}{% endfor %}",
    )
    style = Templated(tokenizer, template)
    for context, choice in CASES:
        chat = [Message("user", context), Message("assistant", choice)]
        rendered = style.render(chat)
        prompt = style.prompt(chat[:1])
        ((request,), ledger) = encode(
            tokenizer,
            [Likelihood(context, f"{choice}<|end|>", chat=True)],
            special_tokens="parse",
        )
        assert request.context.tolist() == prompt.tolist()
        assert rendered.ids[: len(prompt)].tolist() == prompt.tolist()
        assert rendered.ids[rendered.trained].tolist() == request.continuation.tolist()
        assert rendered.trained.sum() == len(rendered.ids) - len(prompt)
        counts = ledger.by_event()
        assert (rendered.apart, rendered.respelled) == (APART in counts, RESPELLED in counts)


def test_only_the_border_that_is_crossed_is_encoded_apart():
    tokenizer = TOKENIZERS["Llama 2"]()
    pieces = ["hello", " la", "The inter", "national law", " of"]
    (cut,) = cut_at_borders(tokenizer, [pieces])
    assert cut.apart
    assert not cut.respelled
    assert tokenizer.decode(np.concatenate(cut.pieces)) == "".join(pieces)
    beginning = tokenizer.encode(["".join(pieces[:3])])[0]
    assert np.concatenate(cut.pieces[:3]).tolist() == beginning.tolist()


GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "lm_eval_borders.json").read_text("utf-8")
)


@pytest.mark.parametrize("name", GOLDEN["pairs"])
def test_lm_evals_rule_cuts_where_lm_eval_cuts(name):
    tokenizer = TOKENIZERS[name]()
    differ = 0
    for context, choice, before, after in GOLDEN["pairs"][name]:
        asked = [Likelihood(context, choice)]
        if not after:
            with pytest.raises(InputError, match="no token of its own"):
                encode(tokenizer, asked, border="lm-eval")
            continue
        ((request,), ledger) = encode(tokenizer, asked, border="lm-eval")
        assert request.context.tolist() == before, (context, choice)
        assert request.continuation.tolist() == after, (context, choice)
        assert not ledger
        ((ours,), ledger) = encode(tokenizer, asked)
        assert ours.context.tolist() == before
        assert (APART in ledger.by_event()) >= (ours.continuation.tolist() != after)
        differ += ours.continuation.tolist() != after
    assert differ > 0
