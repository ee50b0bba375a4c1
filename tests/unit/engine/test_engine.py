import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from child_processes import num_files
from small_models import FAMILIES, slow_score, write_checkpoint

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import CUT, IN_WINDOWS, Engine, EngineConfig, Likelihood, TokenRequest
from polylect.runs import Silent

SHOTS = "".join(f"Question {i}: is {i} more than {i * 7 % 5}?\nAnswer: yes\n\n" for i in range(9))
QUESTIONS = [f"{SHOTS}Question: what comes after {name}?\nAnswer:" for name in
             ("the dog", "die Frage", "今天天气", "one", "")]  # fmt: skip
CHOICES = (
    " A",
    " B",
    " the lazy dog.",
    " the lazy fox jumps",
    " 很好。",
    " and one of them is right",
)
REQUESTS = [
    *[Likelihood(context, choice) for context in QUESTIONS for choice in CHOICES],
    Likelihood("", "The quick brown fox"),
    Likelihood("   ", "The quick brown fox"),
    Likelihood("Trailing space ", "moves over"),
    Likelihood("The quick brown", " fox"),
    Likelihood("The quick brown", " fox jumps"),
    Likelihood("The quick brown fox", " jumps over"),
]


def open_engine(checkpoint, cache=None, **config):
    return Engine.open(checkpoint, EngineConfig(**config), cache)


@pytest.mark.parametrize("memory_mib", [66, 256])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_separate_forward_passes(checkpoints, tokenizer, family, memory_mib):
    engine = open_engine(checkpoints[family], memory_mib=memory_mib)
    ledger = Ledger()
    scores = engine.score(REQUESTS, Silent(), ledger)
    for i, request in enumerate(REQUESTS):
        value, num, greedy, _ = slow_score(
            checkpoints[family], tokenizer, request.context, request.continuation
        )
        assert abs(scores.log_likelihood[i] - value) <= 1e-5 * max(num, 1), request
        assert (scores.num_tokens[i], scores.greedy[i]) == (num, greedy)
    assert not scores.truncated.any()
    assert not ledger
    # What is shared was computed once, unless the family cannot share.
    alone = sum(
        len(tokenizer.encode([request.context + request.continuation])[0]) for request in REQUESTS
    )
    assert engine.packed == (family != "mamba")
    assert engine.work.tokens < alone / 4
    assert np.ptp(scores.log_likelihood) > 1


def test_small_passes_cache_prefixes_in_pieces(checkpoints):
    wide = open_engine(checkpoints["gemma3"])
    narrow = open_engine(checkpoints["gemma3"])
    narrow.micro_batch_tokens = lambda longest: 24
    expected = wide.score(REQUESTS, Silent(), Ledger())
    scores = narrow.score(REQUESTS, Silent(), Ledger())
    assert np.abs(scores.log_likelihood - expected.log_likelihood).max() <= 1e-4
    assert narrow.work.passes > 3 * wide.work.passes
    assert narrow.work.tokens <= wide.work.tokens + 24 * len(QUESTIONS)


def test_order_and_repetition_of_requests_change_no_score(checkpoints):
    expected = open_engine(checkpoints["cohere2"]).score(REQUESTS, Silent(), Ledger())
    order = np.random.default_rng(0).permutation([*range(len(REQUESTS)), 3, 3, 7])
    scores = open_engine(checkpoints["cohere2"]).score(
        [REQUESTS[i] for i in order], Silent(), Ledger()
    )
    assert scores.log_likelihood.tolist() == expected.log_likelihood[order].tolist()


def test_no_requests_give_no_scores(checkpoints):
    assert len(open_engine(checkpoints["llama"]).score([], Silent(), Ledger())) == 0


def test_bos_follows_the_tokenizer_unless_configured(checkpoints, tokenizer):
    request = Likelihood("The quick brown", " fox")
    with_bos = open_engine(checkpoints["llama"]).score([request], Silent(), Ledger())
    without = open_engine(checkpoints["llama"], add_bos=False).score([request], Silent(), Ledger())
    for scores, bos in ((with_bos, True), (without, False)):
        value = slow_score(
            checkpoints["llama"], tokenizer, request.context, request.continuation, bos
        )[0]
        assert abs(scores.log_likelihood[0] - value) <= 1e-5
    assert with_bos.log_likelihood[0] != without.log_likelihood[0]


def test_a_request_that_is_too_long_is_refused_or_truncated_and_counted(checkpoints, tokenizer):
    long = Likelihood(" ".join(["word"] * 200), " fox jumps")
    with pytest.raises(InputError, match=r"tokens, the model takes 64: 'word word") as caught:
        open_engine(checkpoints["llama"], max_tokens=64).score([long], Silent(), Ledger())
    assert "--over-long cut" in caught.value.hint
    ledger = Ledger()
    engine = open_engine(checkpoints["llama"], max_tokens=64, over_long="cut")
    scores = engine.score([long, REQUESTS[-1]], Silent(), ledger)
    assert scores.truncated.tolist() == [True, False]
    assert ledger.by_event() == {CUT: 1}
    # lm-evaluation-harness: the last 65 tokens of context and continuation, read without the last.
    whole = tokenizer.encode([long.context + long.continuation])[0]
    num = int(scores.num_tokens[0])
    context = tokenizer.decode(whole[-65:-num])
    value = slow_score(checkpoints["llama"], tokenizer, context, long.continuation, add_bos=False)
    assert value[1] == num
    assert abs(scores.log_likelihood[0] - value[0]) <= 1e-4
    with pytest.raises(InputError, match="the model takes 512"):
        open_engine(checkpoints["llama"], max_tokens=513)


@pytest.mark.parametrize("limit", [1, 2, 7, 64])
def test_a_continuation_longer_than_the_model_is_scored_in_windows(checkpoints, tokenizer, limit):
    long = Likelihood("the fox" + " the fox" * 20, " jumps over the lazy dog" * 20)
    with pytest.raises(InputError, match=f"the model takes {limit}: 'the fox"):
        open_engine(checkpoints["llama"], max_tokens=limit).score([long], Silent(), Ledger())
    ledger = Ledger()
    engine = open_engine(checkpoints["llama"], max_tokens=limit, over_long="cut")
    scores = engine.score([REQUESTS[-1], long, REQUESTS[-1]], Silent(), ledger)
    num = int(scores.num_tokens[1])
    assert scores.truncated[1]
    assert ledger.by_event()[IN_WINDOWS] >= 1
    assert scores.log_likelihood[0] == scores.log_likelihood[2]
    # Every token after at least half of what the model takes, and no token twice.
    ids = tokenizer.encode([long.context + long.continuation])[0]
    request = TokenRequest(ids[:-num], ids[-num:])
    parts = request.windows(limit)
    assert np.concatenate([part.continuation for part in parts]).tolist() == ids[-num:].tolist()
    total, end = 0.0, len(ids) - num
    for part in parts:
        end += len(part.continuation)
        assert len(part.input_ids()) <= limit
        assert part is parts[0] or len(part.context) >= limit / 2
        before = tokenizer.decode(ids[end - len(part.continuation) - len(part.context) : end])
        assert before == tokenizer.decode(np.concatenate([part.context, part.continuation]))
        total += engine.answer(engine.prepare_tokens([part]), Silent()).log_likelihood[0]
    assert abs(total - scores.log_likelihood[1]) <= 1e-4


def test_an_empty_continuation_is_refused(checkpoints):
    with pytest.raises(InputError, match="an empty continuation after 'Is it"):
        open_engine(checkpoints["llama"]).score([Likelihood("Is it", "")], Silent(), Ledger())


def test_a_memory_limit_that_is_too_small_says_what_is_needed(checkpoints):
    with pytest.raises(InputError, match="does not fit into 1 MiB") as caught:
        open_engine(checkpoints["llama"], memory_mib=1).score(REQUESTS, Silent(), Ledger())
    need = int(caught.value.hint.removeprefix("--memory-mib "))
    open_engine(checkpoints["llama"], memory_mib=need).score(REQUESTS, Silent(), Ledger())
    assert open_engine(checkpoints["llama"]).micro_batch_tokens(100) > 1000


def test_another_model_at_the_same_path_never_hits_the_cache(tmp_path, tokenizer):
    cache, place = tmp_path / "cache", tmp_path / "model"
    first = write_checkpoint(place, tokenizer, seed=1)
    a = open_engine(first, cache)
    expected = a.score(REQUESTS, Silent(), Ledger())
    again = open_engine(first, cache)
    same = again.score(REQUESTS, Silent(), Ledger())
    assert same.log_likelihood.tobytes() == expected.log_likelihood.tobytes()
    assert (again.work.passes, again.work.tokens, again.work.scored) == (0, 0, 0)
    assert again.work.cached == a.work.scored > 0
    shutil.rmtree(place)
    b = open_engine(write_checkpoint(place, tokenizer, seed=2), cache)
    other = b.score(REQUESTS, Silent(), Ledger())
    assert (b.work.cached_passes, b.work.cached) == (0, 0)
    assert np.abs(other.log_likelihood - expected.log_likelihood).max() > 0.1
    # Nor does another setting, or the same weights with a tokenizer of another rule.
    for config in ({"dtype": "bfloat16"}, {"add_bos": False}):
        c = open_engine(Checkpoint.open(place), cache, **config)
        c.score(REQUESTS, Silent(), Ledger())
        assert c.work.cached == 0, config


def test_a_damaged_cache_file_is_computed_again(checkpoints, tmp_path):
    expected = open_engine(checkpoints["llama"], tmp_path).score(REQUESTS, Silent(), Ledger())
    for file in tmp_path.rglob("*.npy"):
        file.write_bytes(file.read_bytes()[:-3])
    engine = open_engine(checkpoints["llama"], tmp_path)
    scores = engine.score(REQUESTS, Silent(), Ledger())
    assert scores.log_likelihood.tolist() == expected.log_likelihood.tolist()
    assert engine.work.cached == 0


SCRIPT = """
import sys, json
from pathlib import Path
from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import Engine, EngineConfig, Likelihood
from polylect.runs import Silent
model, cache, out, requests = sys.argv[1:]
engine = Engine.open(Checkpoint.open(model), EngineConfig(), Path(cache))
engine.micro_batch_tokens = lambda longest: 64
asked = [Likelihood(*one) for one in json.loads(Path(requests).read_text())]
found = engine.score(asked, Silent(), Ledger())
Path(out).write_bytes(found.log_likelihood.tobytes())
print(json.dumps([engine.work.passes, engine.work.cached_passes]))
"""


@pytest.mark.kill
def test_killed_at_any_moment_it_goes_on_without_computing_a_pass_twice(
    checkpoints, tmp_path, started
):
    requests = [[f"{context} {i}", choice] for i in range(40) for context in QUESTIONS
                for choice in CHOICES]  # fmt: skip
    (tmp_path / "requests.json").write_text(json.dumps(requests))

    def start(cache, out):
        model = checkpoints["llama"].path
        return started(SCRIPT, model, tmp_path / cache, tmp_path / out, tmp_path / "requests.json")

    def passes_of(child):
        assert child.wait() == 0, child.stderr
        return tuple(json.loads(child.stdout))

    total, _ = passes_of(start("a", "a.bin"))
    assert total > 40
    for kill in range(5):
        child = start("b", "b.bin")
        wanted = total * (kill + 1) // 7
        child.wait_until(lambda wanted=wanted: num_files(tmp_path / "b") >= wanted, pause=0.005)
        child.kill()
        assert not (tmp_path / "b.bin").exists()
    kept = len([*(tmp_path / "b").rglob("*.npy")])
    assert passes_of(start("b", "b.bin")) == (total - kept, kept)
    assert 0 < kept < total
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


def test_importing_the_engine_loads_no_torch():
    code = "import sys, polylect.engine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert torch.__version__
