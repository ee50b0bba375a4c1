import numpy as np
import pytest
import torch
import transformers
from scipy import stats
from small_models import FAMILIES

from polylect.base import InputError, Ledger
from polylect.engine import CUT, Engine, EngineConfig, Sampling, TokenPrompt, decoding
from polylect.engine import generator as module
from polylect.engine.sampling import choose, probabilities
from polylect.runs import Silent

SHOTS = "".join(f"Question {i}: is {i} more than {i * 7 % 5}?\nAnswer: yes\n\n" for i in range(9))
TEXTS = [
    f"{SHOTS}Question: what comes after {name}?\nAnswer:"
    for name in ("the dog", "die Frage", "今天天气", "one", "")
] + ["The quick", "Die Frage hat", "今天", "fox", "A question may have several"]


@pytest.fixture(scope="module")
def prompts(tokenizer):
    return [TokenPrompt(np.r_[tokenizer.bos_id, ids]) for ids in tokenizer.encode(TEXTS)]


def open_engine(checkpoint, **config):
    return Engine.open(checkpoint, EngineConfig(**config))


def answers(engine, prompts, ledger=None, **sampling):
    return engine.generate(
        prompts, Sampling(**sampling), Silent(), Ledger() if ledger is None else ledger
    )


def plain(answer_rows):
    return [[(a.text, a.ids.tolist(), a.log_probabilities.tolist(), a.stopped) for a in row]
            for row in answer_rows]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_what_transformers_generates_token_for_token(checkpoints, prompts, family):
    engine, ledger = open_engine(checkpoints[family]), Ledger()
    rows_of_answers = answers(engine, prompts, ledger, max_new_tokens=24)
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoints[family].path).eval()
    ends = engine._generator._ends
    for prompt, (answer,) in zip(prompts, rows_of_answers, strict=True):
        ids = torch.from_numpy(prompt.ids.astype(np.int64))[None]
        whole = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False,
            eos_token_id=sorted(ends), pad_token_id=0,
        )[0, len(prompt.ids) :].tolist()  # fmt: skip
        ended = whole[-1] in ends
        assert answer.ids.tolist() == (whole[:-1] if ended else whole)
        assert answer.stopped == ("end" if ended else "length")
        logits = model(torch.tensor([[*prompt.ids, *answer.ids]])).logits[0].double().log_softmax(1)
        rows = np.arange(len(prompt.ids) - 1, len(prompt.ids) - 1 + len(answer.ids))
        expected = logits[rows, answer.ids.astype(np.int64)].detach().numpy()
        assert np.abs(answer.log_probabilities - expected).max(initial=0) <= 1e-4
    assert sum(row[0].stopped == "length" for row in rows_of_answers) == ledger.total(module.LENGTH)
    assert (ledger.total(module.ALONE) > 0) == (family == "mamba")
    assert len({tuple(row[0].ids) for row in rows_of_answers}) > 3


@pytest.mark.parametrize("family", ["llama", "gemma3", "cohere2"])
def test_a_sample_does_not_depend_on_what_is_generated_beside_it(checkpoints, prompts, family):
    how = {"max_new_tokens": 12, "temperature": 1.0, "top_p": 0.9, "num_samples": 3}
    expected = plain(answers(open_engine(checkpoints[family]), prompts, **how))
    assert len({str(item) for row in expected for item in row}) == 3 * len(prompts)
    alone = open_engine(checkpoints[family])
    assert [plain(answers(alone, [item], **how))[0] for item in prompts] == expected
    order = np.random.default_rng(1).permutation(len(prompts))
    engine, ledger = open_engine(checkpoints[family]), Ledger()
    shuffled = plain(answers(engine, [prompts[i] for i in order], ledger, **how))
    assert shuffled == [expected[i] for i in order]
    assert not ledger.total("fallback")
    for places in (1, 3, 8):
        engine._generator._places = lambda longest, kept, places=places: places
        assert plain(answers(engine, prompts, **how)) == expected
    fewer = plain(answers(engine, prompts[2:5], **how | {"num_samples": 2}))
    assert fewer == [row[:2] for row in expected[2:5]]


def test_a_model_whose_rows_depend_on_each_other_decodes_one_at_a_time(
    checkpoints, prompts, monkeypatch
):
    expected = answers(open_engine(checkpoints["llama"]), prompts, max_new_tokens=6)
    real = decoding.step_hidden
    monkeypatch.setattr(decoding, "_DECODINGS", {})
    monkeypatch.setattr(
        decoding, "step_hidden",
        lambda model, ids, lanes: real(model, ids, lanes) * (1 + 1e-6 * len(lanes.used)),
    )  # fmt: skip
    ledger = Ledger()
    rows_of_answers = answers(open_engine(checkpoints["llama"]), prompts, ledger, max_new_tokens=6)
    assert ledger.total(module.NARROW) == len(prompts)
    assert [row[0].ids.tolist() for row in rows_of_answers] == [
        row[0].ids.tolist() for row in expected
    ]


def test_the_width_is_tested_once_per_model_structure(checkpoints, monkeypatch):
    monkeypatch.setattr(decoding, "_DECODINGS", {})
    real, steps = decoding.step_hidden, []
    monkeypatch.setattr(decoding, "step_hidden", lambda *args: steps.append(0) or real(*args))

    def generator(**config):
        engine = open_engine(checkpoints["llama"], **config)
        return module.Generator(engine._model, engine.tokenizer, 2**20)

    def width(made):
        return decoding.decoding_of(made._model, made._logits).width

    assert width(generator()) == decoding.WIDTH
    num = len(steps)
    assert num
    other = generator()
    other._model.model.norm.weight.data *= 2  # other weights, the same kernels
    assert width(other) == decoding.WIDTH
    assert len(steps) == num
    width(generator(dtype="bfloat16"))
    assert len(steps) > num
    num = len(steps)
    for _ in range(2):
        other = generator()
        other._model.config.num_local_experts = 4  # a router computes what its weights choose
        width(other)
        assert len(steps) > num
        num = len(steps)


def test_shared_prefixes_are_computed_once(checkpoints, prompts):
    engine = open_engine(checkpoints["llama"])
    answers(engine, prompts[:5], max_new_tokens=1, num_samples=3)
    longest = len(prompts[0].ids)
    shared = longest // module.PIECE * module.PIECE - module.PIECE
    assert engine.work.tokens <= longest + 4 * (longest - shared)


def test_equal_prompts_with_other_keys_or_seeds_give_other_samples(checkpoints, prompts):
    engine = open_engine(checkpoints["llama"])
    ids = prompts[0].ids
    same_prompts = [
        TokenPrompt(ids, "a"),
        TokenPrompt(ids, "b"),
        TokenPrompt(ids),
        TokenPrompt(ids),
    ]
    how = {"max_new_tokens": 16, "temperature": 1.0}
    a, b, c, d = (row[0].ids.tolist() for row in answers(engine, same_prompts, **how))
    assert a != b != c == d
    assert a != answers(engine, same_prompts, **how, seed=1)[0][0].ids.tolist()


@pytest.mark.parametrize(
    "how", [{}, {"temperature": 0.5}, {"top_k": 5}, {"top_p": 0.7}, {"min_p": 0.1}]
)
def test_samples_follow_the_exact_probabilities(how):
    logits = np.random.default_rng(0).normal(size=40).astype(np.float32) * 2
    sampling = Sampling(**{"temperature": 1.0} | how)
    # The same filters as transformers', on float64.
    warpers = [transformers.TemperatureLogitsWarper(float(sampling.temperature))]
    if sampling.top_k:
        warpers.append(transformers.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(transformers.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(transformers.MinPLogitsWarper(sampling.min_p))
    scores = torch.from_numpy(logits.astype(np.float64))[None]
    for warper in warpers:
        scores = warper(None, scores)
    expected = scores.softmax(1)[0].numpy()
    assert np.abs(probabilities(logits, sampling) - expected).max() < 1e-12
    num = 4000
    drawn = np.bincount([choose(logits, sampling, "r", i // 50, i % 50) for i in range(num)],
                        minlength=40)  # fmt: skip
    assert not drawn[expected == 0].any()
    likely = expected * num >= 5
    observed = np.r_[drawn[likely], drawn[~likely].sum()]
    wanted = np.r_[expected[likely], expected[~likely].sum()] * num
    keep = wanted > 0
    assert stats.chisquare(observed[keep], wanted[keep]).pvalue > 1e-3


def test_a_stop_string_ends_the_answer_across_token_boundaries(checkpoints, prompts):
    engine = open_engine(checkpoints["llama"])
    how = {"max_new_tokens": 40, "temperature": 1.0}
    tried = 0
    for prompt, (free,) in zip(prompts, answers(engine, prompts, **how), strict=True):
        # Any piece of the answer, cut at characters; every third position of the text.
        for at in range(0, max(0, len(free.text) - 6), 3):
            stop = free.text[at : at + 4]
            if "\ufffd" in stop:
                continue
            ((cut,),) = answers(engine, [prompt], **how, stop=(stop, "no such text"))
            assert cut.stopped == "stop"
            assert cut.text == free.text[: free.text.index(stop)]
            assert cut.ids.tolist() == free.ids[: len(cut.ids)].tolist()
            tried += 1
            break
    assert tried > 5


def test_prompts_that_do_not_fit_are_refused_or_truncated_and_counted(checkpoints, prompts):
    with pytest.raises(InputError, match=r"prompt 0 has .* the model takes 64") as caught:
        answers(open_engine(checkpoints["llama"], max_tokens=64), prompts, max_new_tokens=8)
    assert "--over-long cut" in caught.value.hint
    ledger = Ledger()
    cut = open_engine(checkpoints["llama"], max_tokens=64, over_long="cut")
    rows_of_answers = answers(cut, prompts, ledger, max_new_tokens=8)
    assert ledger.total(CUT) == 5
    tail = [TokenPrompt(prompts[0].ids[-56:])]
    assert plain(rows_of_answers)[0] == plain(answers(cut, tail, max_new_tokens=8))[0]
    with pytest.raises(InputError, match="prompt 0 has no token"):
        answers(cut, [TokenPrompt(np.empty(0, np.int32))], max_new_tokens=8)
    small = open_engine(checkpoints["llama"])
    answers(small, prompts, max_new_tokens=1)
    small._generator._memory = 1000
    with pytest.raises(InputError, match="does not fit into 0 MiB"):
        answers(small, prompts, max_new_tokens=8)


@pytest.mark.parametrize(
    "bad",
    [{"max_new_tokens": 0}, {"temperature": -1}, {"top_p": 0}, {"min_p": 2}, {"top_k": -1},
     {"num_samples": 0}, {"stop": ("",)}, {"temperature": float("nan")}],
)  # fmt: skip
def test_sampling_settings_out_of_range_are_refused(bad):
    with pytest.raises(InputError):
        Sampling(**bad)
