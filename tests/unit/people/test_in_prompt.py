"""A language model asked with a user's own choices: beside plain forward passes."""

import numpy as np
import pytest
import torch
import transformers
from small_models import TEXT, write_checkpoint

from polylect.base import InputError
from polylect.people import Crowd, Text, find_method, load_model, save_model, see
from polylect.people.methods import asking
from polylect.rows import Message
from polylect.text import Tokenizer, train_bpe

WORDS = ["cats purr", "dogs bark", "猫がいる", "birds sing", "كلاب تنبح", "fish swim", "owls hoot"]
PROMPT = (Message("user", "An animal?"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("asked")
    write_checkpoint(place, train_bpe({"en": [TEXT]}, vocab_size=420))
    return place


@pytest.fixture(scope="module")
def crowd():
    texts = tuple(Text(PROMPT, word, "en") for word in WORDS)
    pairs = [(0, 0, 1), (0, 2, 3), (0, 4, 5), (1, 5, 6), (1, 3, 0)]
    return Crowd(("ann", "bea"), texts, np.zeros(7, np.int32), *np.array(pairs, np.int32).T)


@pytest.fixture(scope="module")
def fitted(folder, crowd):
    method = find_method("in_prompt", model=str(folder), num_examples=2, num_anchors=3)
    return method.fit(crowd, see(crowd.texts))


@torch.no_grad()
def plain_log_odds(folder, content):
    """log P(A) − log P(B) after a text, by transformers."""
    tokenizer = Tokenizer.load(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    lead, a = (tokenizer.encode([x])[0].tolist() for x in ("Preferred:", "Preferred: A"))
    b = tokenizer.encode(["Preferred: B"])[0].tolist()
    ids = [tokenizer.bos_id, *tokenizer.encode([content + "\n"])[0].tolist()]
    values = []
    for whole in (a, b):
        assert whole[: len(lead)] == lead
        logs = model(torch.tensor([ids + whole])).logits[0].double().log_softmax(-1)
        places = range(len(ids) + len(lead), len(ids) + len(whole))
        values.append(sum(float(logs[i - 1, (ids + whole)[i]]) for i in places))
    return values[0] - values[1]


def test_a_comparison_is_the_mean_over_both_orders_of_plain_passes(folder, crowd, fitted):
    seen = see(crowd.texts)
    value = fitted.compare("bea", seen, [1], [2])[0]
    head = "A person compared texts. Say which text the same person prefers: A or B."
    shown = {a: f"Prompt: An animal?\nA: {WORDS[x]}\nB: {WORDS[y]}"
             for a, (x, y) in {"first": (1, 2), "second": (2, 1)}.items()}  # fmt: skip
    choices = fitted._pairs_of("bea", seen).examples(seen.vectors[1], seen.vectors[2], 2)
    assert len(choices) == 2
    assert [each.chosen for each in choices] == [1, 0]
    before = "\n\n".join([head, *(each.render() for each in choices)])
    first, second = (plain_log_odds(folder, f"{before}\n\n{text}") for text in shown.values())
    assert asking.Asked(choices, asking.Comparison(*(crowd.texts[i] for i in (1, 2)))).render(
        2
    ) == (f"{before}\n\n{shown['first']}")
    assert value == pytest.approx((first - second) / 2, abs=1e-4)


def test_sides_cancel_and_scores_are_means_over_anchors(crowd, fitted):
    seen = see(crowd.texts)
    there, back = fitted.compare("ann", seen, [0, 3], [6, 3]), fitted.compare("ann", seen, [6], [0])
    assert there[0] == pytest.approx(-back[0], abs=1e-5)
    assert there[1] == pytest.approx(0.0, abs=1e-5)
    scores = fitted.score("ann", seen)
    assert scores.shape == (7,)
    assert np.ptp(scores) > 0
    np.testing.assert_allclose(fitted.score("ann", see(crowd.texts[:2])), scores[:2], atol=1e-5)
    stranger = fitted.score("nobody", seen)
    np.testing.assert_allclose(stranger, seen.vectors.astype(float) @ fitted.shared["crowd"])
    expected = stranger[[0]] - stranger[[1]]
    np.testing.assert_array_equal(fitted.compare("nobody", seen, [0], [1]), expected)


def test_the_nearest_pairs_stand_in_the_prompt(crowd, fitted):
    seen = see(crowd.texts)
    choices = fitted._pairs_of("ann", seen)
    for pair, (a, b) in enumerate([(0, 1), (2, 3), (4, 5)]):
        last = choices.examples(seen.vectors[a], seen.vectors[b], 2)[-1]
        assert {last.first.response, last.second.response} == {WORDS[a], WORDS[b]}, pair
        assert (last.first if last.chosen == 0 else last.second).response == WORDS[a]


def test_users_come_and_go_and_the_saved_model_is_the_model(crowd, fitted, tmp_path):
    seen = see(crowd.texts)
    before = {name: fitted.score(name, seen) for name in ("ann", "bea", "nobody")}
    more = fitted.adapt("cy", crowd.take(crowd.user == 1), seen)
    assert more.users == ("ann", "bea", "cy")
    np.testing.assert_array_equal(more.score("cy", seen), before["bea"])
    rest = more.adapt("dee", crowd.take(np.zeros(0, int)), seen).without("ann")
    np.testing.assert_array_equal(rest.score("dee", seen), before["nobody"])
    save_model(rest, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.users == ("bea", "cy", "dee")
    for name in ("bea", "nobody"):
        np.testing.assert_array_equal(loaded.score(name, seen), before[name])
    for name, array in fitted.arrays().items():
        np.testing.assert_array_equal(more.without("cy").arrays()[name], array)


def test_what_does_not_fit_is_left_out_and_counted(folder, crowd):
    long = [Text(PROMPT, "one of them is right " * num, "en") for num in (40, 200)]
    texts = (*crowd.texts, *long)
    crowd = Crowd(("ann",), texts, np.zeros(9, np.int32), *np.array([[0, 0], [0, 1], [7, 2]]))
    seen = see(texts)
    model = find_method("in_prompt", model=str(folder)).fit(crowd, seen)
    assert np.isfinite(model.compare("ann", seen, [3, 8], [4, 0])).all()
    assert model.ledger.total("left out: examples") > 0
    assert model.ledger.total("cut: question") > 0


def test_mistakes_get_one_line(folder, crowd, tmp_path):
    for settings in ({}, {"model": "nowhere"}, {"model": str(folder), "num_examples": 0}):
        with pytest.raises(InputError) as error:
            find_method("in_prompt", **settings).fit(crowd, see(crowd.texts))
        assert "\n" not in str(error.value)
    model = find_method("in_prompt", model=str(folder)).fit(crowd, see(crowd.texts))
    other = write_checkpoint(tmp_path / "m", train_bpe({"en": [TEXT]}, vocab_size=420), seed=1)
    moved = find_method("in_prompt", model=str(other.path)).load(model.users, model.arrays())
    with pytest.raises(InputError, match="not the language model"):
        moved.score("ann", see(crowd.texts))
