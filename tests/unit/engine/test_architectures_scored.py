"""The guide's table of architectures: scores and greedy answers are those of plain transformers."""

import numpy as np
import pytest
import tokenizers
import torch
from architecture_matrix import (
    ARCHITECTURES,
    VOCABULARY,
    WINDOW,
    check_refusal,
    plain_model,
    table_of_the_guide,
    write_architecture,
)

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import Engine, EngineConfig, Sampling, TokenPrompt, TokenRequest
from polylect.engine.generator import ALONE, NARROW, NO_TOKEN, SCALED
from polylect.engine.kept_size import KeptSize, kept_size
from polylect.engine.local import UNSHARED
from polylect.models import SEPARATE, load_model
from polylect.runs import Silent
from polylect.text import Tokenizer

TABLE = table_of_the_guide()
NUM_NEW = 8


def requests():
    """Questions that share forty tokens, several times the window, with choices of each."""
    random = np.random.default_rng(0)
    shots = random.integers(3, VOCABULARY, 5 * WINDOW)
    asked = []
    for length in (1, 5, 2 * WINDOW):
        context = np.r_[shots, random.integers(3, VOCABULARY, length)].astype(np.int32)
        for num in (1, 3, WINDOW + 4):
            ids = random.integers(3, VOCABULARY, num).astype(np.int32)
            asked.append(TokenRequest(context, ids))
    alone = random.integers(3, VOCABULARY, 3 * WINDOW).astype(np.int32)
    return [*asked, TokenRequest(np.array([1], np.int32), alone)]


def test_the_table_has_every_architecture_of_the_test():
    assert [*TABLE] == [*ARCHITECTURES]
    assert len(TABLE) >= 25


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_scores_are_plain_transformers(name, tmp_path):
    checkpoint, ledger = write_architecture(name, tmp_path / "model"), Ledger()
    try:
        engine = Engine.open(checkpoint, EngineConfig(), ledger=ledger)
    except InputError as error:
        check_refusal(TABLE[name]["eval"], error)
        return
    asked = requests()
    prepared = engine.prepare_tokens(asked, ledger)
    scores = engine.answer(prepared, Silent())
    plain = plain_model(checkpoint.path)
    for request, value in zip(asked, scores.log_likelihood, strict=True):
        ids = torch.from_numpy(request.input_ids().astype(np.int64))[None]
        logits = plain(ids, use_cache=False).logits[0].double().log_softmax(dim=1)
        num = len(request.continuation)
        targets = torch.from_numpy(request.continuation.astype(np.int64))
        assert value == pytest.approx(
            float(logits[-num:].gather(1, targets[:, None]).sum()), abs=1e-4
        )
    apart = ledger.total(SEPARATE) + ledger.total(UNSHARED)
    assert TABLE[name]["eval"] == ("apart" if apart else "yes")
    assert bool(ledger.total(UNSHARED)) == ("LongRoPE" in name)


def greedy(plain, prompt, ends, answer):
    """Transformers' greedy answer: one pass over ours, or one per token where they part."""
    ids = torch.from_numpy(np.concatenate([prompt, answer.ids]).astype(np.int64))
    likeliest = plain(ids[None], use_cache=False).logits[0, len(prompt) - 1 :].argmax(-1).tolist()
    expected = [*likeliest[:-1]] if likeliest[-1] in ends else likeliest[:NUM_NEW]
    if expected == answer.ids.tolist() and ends.isdisjoint(expected):
        return expected
    expected = []
    for _ in range(NUM_NEW):
        row = torch.tensor([[*prompt.tolist(), *expected]])
        token = int(plain(row, use_cache=False).logits[0, -1].argmax())
        if token in ends:
            break
        expected.append(token)
    return expected


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_greedy_answers_are_plain_transformers(name, tmp_path):
    checkpoint, ledger = write_architecture(name, tmp_path / "model"), Ledger()
    try:
        engine = Engine.open(checkpoint, EngineConfig(), ledger=ledger)
    except InputError as error:
        check_refusal(TABLE[name]["generate"], error)
        return
    random = np.random.default_rng(1)
    prompts = [
        TokenPrompt(random.integers(3, VOCABULARY, num).astype(np.int32))
        for num in (2, WINDOW + 1, 70)
    ]
    answers = engine.generate(prompts, Sampling(max_new_tokens=NUM_NEW), Silent(), ledger)
    plain = plain_model(checkpoint.path)
    for prompt, (answer,) in zip(prompts, answers, strict=True):
        assert answer.ids.tolist() == greedy(plain, prompt.ids, engine._generator._own_ends, answer)
    cell = "yes"
    if ledger.total(ALONE) or ledger.total(SCALED):
        cell = "apart"
    elif ledger.total(NARROW):
        cell = "singly"
    # Whether rows depend on their neighbors is up to the kernels of the processor, too.
    expected = TABLE[name]["generate"]
    assert expected == cell or {expected, cell} == {"singly", "yes"}


@torch.no_grad()
def test_choices_on_both_sides_of_the_longrope_limit_are_scored_as_alone(tmp_path):
    checkpoint = write_architecture("Phi 3, LongRoPE", tmp_path / "model")
    random = np.random.default_rng(0)
    context = random.integers(3, VOCABULARY, 28).astype(np.int32)
    asked = [
        TokenRequest(context, random.integers(3, VOCABULARY, num).astype(np.int32))
        for num in (1, 2, 4, 6, 12)
    ]
    engine = Engine.open(checkpoint, EngineConfig())
    together = engine.answer(engine.prepare_tokens(asked), Silent()).log_likelihood
    alone = [
        engine.answer(engine.prepare_tokens([one]), Silent()).log_likelihood[0] for one in asked
    ]
    assert together == pytest.approx(alone, abs=1e-5)


def test_rows_without_a_token_are_never_chosen(tmp_path):
    checkpoint = write_architecture("Llama", tmp_path / "model")
    few = few_words()
    few.save(checkpoint.path)
    engine = Engine.open(Checkpoint.open(checkpoint.path), EngineConfig())
    prompts = [TokenPrompt(np.array([1, number], np.int32)) for number in range(3, 9)]
    for temperature in (0.0, 1.0):
        ledger = Ledger()
        sampling = Sampling(max_new_tokens=12, temperature=temperature)
        answers = engine.generate(prompts, sampling, Silent(), ledger)
        ids = np.concatenate([answer.ids for row in answers for answer in row])
        assert len(ids)
        assert ids.max() < few.vocab_size < VOCABULARY
        assert ledger.total(NO_TOKEN) > 0
        # The log-probabilities are the model's, over all its rows.
        for row in answers:
            assert all(value < 0 for value in row[0].log_probabilities)


def few_words():
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({f"w{i}": i for i in range(12)} | {"</s>": 12}, "w0")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return Tokenizer(backend, {"eos_token": "</s>"})


def test_what_a_token_keeps_is_measured(tmp_path):
    expected = {
        # Two layers, two key heads of 8, keys and values.
        "Llama": KeptSize(2 * 2 * 2 * 8, 2 * 2 * 8, 8),
        # Two layers, four heads, keys of 16 and values of 12.
        "DeepSeek-V3": KeptSize(2 * 4 * (16 + 12), 4 * (16 + 12), 16),
    }
    for name, size in expected.items():
        assert kept_size(load_model(write_architecture(name, tmp_path / name))) == size
