"""What every method keeps: users come and go without moving others, saved is as it was fitted."""

import numpy as np
import pytest
from crowds import known_crowd

from polylect.base import InputError
from polylect.people import METHODS, Origin, find_method, load_model, read_origin, save_model

SMALL: dict[str, dict] = {
    "conditional": {"num_steps": 10},
    "pal": {"num_steps": 10},
    "vpl": {"num_steps": 4, "num_hidden": 8},
    "gpo": {"num_steps": 4, "model_width": 8, "num_layers": 1},
}
"""Settings under which a method is fitted fast."""


@pytest.fixture(scope="module")
def known():
    draw = np.random.default_rng(5)
    vectors = draw.normal(size=(70, 3))
    tastes = draw.normal(size=(3, 2))[:, [0, 0, 1, 1, 0, 1, 0]]
    return known_crowd(vectors, vectors @ (tastes + 0.2 * draw.normal(size=(3, 7))), 25)


@pytest.fixture(scope="module", params=METHODS)
def fitted(request, known):
    method = find_method(request.param, **SMALL.get(request.param, {}))
    others = known.crowd.take(known.crowd.user != 6)
    return method, others, method.fit(others, known.seen, 3)


def scores(model, known):
    names = (*known.crowd.users, "nobody")
    return {name: model.score(name, known.unseen) for name in names}


def test_users_come_and_go_without_moving_a_bit_of_the_others(fitted, known):
    _, _, model = fitted
    before = scores(model, known)
    assert model.users == known.crowd.users[:6]
    newcomer = known.crowd.take(known.crowd.user == 6)
    more = model.adapt("user 006", newcomer, known.seen)
    assert more.users == known.crowd.users
    again = more.adapt("user 002", known.crowd.take(known.crowd.user == 1), known.seen)
    assert again.users == more.users
    less = again.without("user 000")
    assert less.users == known.crowd.users[1:]
    for after, moved in ((more, {6}), (again, {6, 2}), (less, {6, 2, 0})):
        for i, (name, score) in enumerate(scores(after, known).items()):
            if i not in moved:
                assert np.array_equal(score, before[name]), name
    assert np.array_equal(less.score("user 000", known.unseen), before["nobody"])
    assert np.array_equal(
        less.without("nobody").score("user 001", known.unseen), before["user 001"]
    )
    for name, score in scores(model, known).items():  # nothing was changed in place
        assert np.array_equal(score, before[name]), name


def test_without_a_pair_a_user_gets_the_scores_of_the_crowd(fitted, known):
    _, _, model = fitted
    nothing = known.crowd.take(np.zeros(0, np.int64))
    adapted = model.adapt("user 001", nothing, known.seen).adapt("newcomer", nothing, known.seen)
    assert set(adapted.users) == {*model.users, "newcomer"}
    for name in ("user 001", "newcomer"):
        expected = model.score("nobody", known.unseen)
        assert np.array_equal(adapted.score(name, known.unseen), expected)


def test_a_seed_decides_every_bit(fitted, known):
    method, others, model = fitted
    again = method.fit(others, known.seen, 3)
    assert model.arrays().keys() == again.arrays().keys()
    for name, array in model.arrays().items():
        assert np.array_equal(array, again.arrays()[name]), name


def test_a_saved_model_is_the_model(fitted, known, tmp_path):
    method, others, model = fitted
    model = model.adapt("newcomer", known.crowd.take(np.zeros(0, np.int64)), known.seen)
    origin = Origin(data=others.digest, encoder="normal numbers", seed=3)
    save_model(model, tmp_path / "a", origin)
    loaded = load_model(tmp_path / "a")
    assert (loaded.method, loaded.users) == (method, model.users)
    assert read_origin(tmp_path / "a") == origin
    for name, score in scores(model, known).items():
        assert np.array_equal(loaded.score(name, known.unseen), score)
    save_model(loaded, tmp_path / "b", origin)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["model.safetensors", "people.json"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    newcomer = known.crowd.take(known.crowd.user == 6)
    a, b = (m.adapt("user 006", newcomer, known.seen) for m in (model, loaded))
    assert np.array_equal(a.score("user 006", known.unseen), b.score("user 006", known.unseen))


def test_what_is_not_a_saved_model_is_refused(known, tmp_path):
    with pytest.raises(InputError, match="no fitted model"):
        load_model(tmp_path)
    model = find_method("shrinkage", strength=float("inf")).fit(known.crowd, known.seen)
    save_model(model, tmp_path)
    assert load_model(tmp_path).method == model.method
    record = (tmp_path / "people.json").read_text()
    (tmp_path / "people.json").write_text(record.replace('"format": 1', '"format": 9'))
    with pytest.raises(InputError, match=r"format 9.*update polylect"):
        load_model(tmp_path)
    (tmp_path / "people.json").write_text(record)
    with (tmp_path / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="not as it was saved"):
        load_model(tmp_path)
