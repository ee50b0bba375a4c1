"""Reward models tuned with LoRA: beside the folder that ``train reward`` writes."""

import json

import numpy as np
import pytest
from small_models import TEXT, write_checkpoint

import polylect as pl
from polylect.base import InputError, Ledger
from polylect.engine import Question
from polylect.people import WITH_A_MODEL, Crowd, Seen, Text, find_method, load_model, save_model
from polylect.recipes import find_reward
from polylect.rows import Message
from polylect.text import train_bpe

WORDS = ["cats purr", "dogs bark", "猫がいる", "birds sing"]
PROMPT = (Message("user", "An animal?"),)
TUNED = [name for name in WITH_A_MODEL if name.startswith("tuned_")]
SETTINGS = {"lora_rank": 2, "learning_rate": 0.02, "batch_size": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tuned")
    write_checkpoint(place, train_bpe({"en": [TEXT]}, vocab_size=420))
    return place


@pytest.fixture(scope="module")
def crowd():
    """Ann likes what comes early, Bea what comes late."""
    texts = tuple(Text(PROMPT, word, "en") for word in WORDS)
    pairs = [(user, *((b, a) if user else (a, b)))
             for user in (0, 1) for a in range(4) for b in range(a + 1, 4)]  # fmt: skip
    return Crowd(("ann", "bea"), texts, np.zeros(4, np.int32), *np.array(pairs, np.int32).T)


@pytest.fixture(scope="module")
def seen(crowd):
    return Seen(crowd.texts, np.zeros((4, 0), np.float32))


@pytest.fixture(scope="module")
def fitted(folder, crowd, seen):
    return {name: find_method(name, model=str(folder), **SETTINGS).fit(crowd, seen, 3)
            for name in TUNED}  # fmt: skip


def test_pooled_is_the_reward_model_of_train_reward(folder, crowd, seen, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({
        "prompt": "An animal?", "language": "en", "chosen": WORDS[a], "rejected": WORDS[b],
    }) + "\n" for a, b in zip(crowd.chosen[:6], crowd.rejected[:6], strict=True)))  # fmt: skip
    method = find_method("tuned_pooled", model=str(folder), **SETTINGS)
    model = method.fit(crowd.take(crowd.user == 0), seen, 3)
    from polylect.base import derive_seed

    seed = derive_seed(3, "crowd") % 2**31
    trained = pl.train.reward(folder, rows, seed=seed, out=tmp_path / "t", **SETTINGS)
    ledger = Ledger()
    source = find_reward(trained.path).open("own", 512, ledger)
    expected = source([Question(PROMPT, "en", WORDS)], ledger)[0]
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(model.score("ann", seen), expected, atol=1e-6)


@pytest.mark.parametrize("name", TUNED)
def test_users_come_and_go_and_the_saved_model_is_the_model(name, fitted, crowd, seen, tmp_path):
    model = fitted[name]
    before = {user: model.score(user, seen) for user in ("ann", "bea", "nobody")}
    is_same = np.array_equal(before["ann"], before["bea"])
    assert is_same == (name == "tuned_pooled")
    more = model.adapt("cy", crowd.take(crowd.user == 0), seen)
    assert more.users == ("ann", "bea", "cy")
    for user, scores in before.items():
        np.testing.assert_array_equal(more.score(user, seen), scores)
    learns = name in ("tuned_individual", "tuned_personalized")
    np.testing.assert_array_equal(more.score("cy", seen), before["ann" if learns else "nobody"]
                                  if name != "tuned_pooled" else before["ann"])  # fmt: skip
    rest = more.without("ann")
    save_model(rest, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.users == ("bea", "cy")
    for user in ("bea", "ann", "nobody"):
        expected = before["nobody" if user == "ann" else user]
        np.testing.assert_array_equal(loaded.score(user, seen), expected)
    for key, array in model.arrays().items():
        np.testing.assert_array_equal(more.without("cy").arrays()[key], array)


def test_opposed_users_are_each_served_by_their_own(folder, crowd, seen):
    settings = {**SETTINGS, "epochs": 5, "learning_rate": 0.05}
    model = find_method("tuned_individual", model=str(folder), **settings).fit(crowd, seen)
    for number, user in enumerate(crowd.users):
        part = crowd.take(crowd.user == number)
        scores = model.score(user, seen)
        assert (scores[part.chosen] > scores[part.rejected]).mean() > 0.8


def test_mistakes_get_one_line(folder, crowd, seen, fitted, tmp_path):
    for name in TUNED:
        with pytest.raises(InputError, match="which checkpoint"):
            find_method(name)
    across = Crowd(("ann",), (crowd.texts[0], Text((), "x", "en")), np.arange(2, dtype=np.int32),
                   *np.array([[0], [0], [1]], np.int32))  # fmt: skip
    with pytest.raises(InputError, match="different prompts"):
        find_method("tuned_pooled", model=str(folder)).fit(across, seen)
    other = write_checkpoint(tmp_path / "m", train_bpe({"en": [TEXT]}, vocab_size=420), seed=1)
    model = fitted["tuned_pooled"]
    moved = find_method("tuned_pooled", model=str(other.path)).load(model.users, model.arrays())
    with pytest.raises(InputError, match="not the checkpoint"):
        moved.score("ann", seen)
