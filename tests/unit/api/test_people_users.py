"""A user enters and leaves a saved model without moving a bit of the others; a person's reward."""

import json

import numpy as np
import pytest
from command_line import run_verb
from result_files import files_of
from small_models import TEXT, write_checkpoint

import polylect as pl
from polylect.base import InputError, Ledger
from polylect.engine import Question
from polylect.people import METHODS, Text, load_model, read_origin, see
from polylect.recipes import find_reward
from polylect.rows import Message
from polylect.text import train_bpe

ANIMALS = ["cats purr", "dogs bark", "birds sing", "fish swim", "horses run"]
FEW = {
    "conditional": {"num_steps": "3"}, "pal": {"num_steps": "3"},
    "vpl": {"num_steps": "3", "num_hidden": "8"},
    "gpo": {"num_steps": "3", "model_width": "8", "num_layers": "1"},
}  # fmt: skip


def rows_of(name, late):
    return [
        {"user": name, "prompt": "Say something.", "language": "en",
         "chosen": (second, first)[late], "rejected": (first, second)[late]}
        for i, first in enumerate(ANIMALS)
        for second in ANIMALS[i + 1 :]
    ]  # fmt: skip


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("users")
    rows = [row for i, name in enumerate("abcd") for row in rows_of(name, i % 2)]
    write(folder / "all.jsonl", rows)
    write(folder / "zoe.jsonl", rows_of("zoe", 1) + rows_of("somebody", 0))
    write(folder / "texts.jsonl",
          [{"text": t, "prompt": "Say something.", "language": "en"} for t in ANIMALS])  # fmt: skip
    write_checkpoint(folder / "base", train_bpe({"en": [TEXT]}, vocab_size=420))
    pl.people.fit(folder / "all.jsonl", method="individual", out=folder / "individual")
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_who_came_and_went_leaves_the_bytes_as_they_were(method, place, tmp_path):
    fitted = pl.people.fit(
        place / "all.jsonl", method=method, settings=FEW.get(method, {}), out=tmp_path / "f"
    )
    more = pl.people.adapt(fitted, place / "zoe.jsonl", user="zoe", out=tmp_path / "more")
    assert more.model.users == (*"abcd", "zoe")
    assert more.ledger.total("not read") == 10
    rest = pl.people.forget(more, user="zoe", out=tmp_path / "rest")
    bytes_of = [(x.path / "model.safetensors").read_bytes() for x in (fitted, rest)]
    assert bytes_of[0] == bytes_of[1]
    assert "zoe" not in "".join(
        path.read_text("utf-8")
        for path in rest.path.rglob("*.json")
        if path.name != "volatile.json"
    ).replace(str(tmp_path), "")
    seen = see([Text((), t, "en") for t in ANIMALS])
    for user in (*"abcd", "nobody"):
        assert np.array_equal(more.model.score(user, seen), fitted.model.score(user, seen))
    before, after = read_origin(fitted.path), read_origin(more.path)
    assert len(after.parent) == len(after.added) == 64
    assert (after.data, after.encoder) == (before.data, "ngrams")


def test_commands_and_mistakes(place, tmp_path, capsys):
    words = ("people adapt", place / "individual", place / "zoe.jsonl", "--user", "zoe")
    assert run_verb(*words, "--out", tmp_path / "a") == 0
    call = {"folder": place / "individual", "file": place / "zoe.jsonl"}
    again = pl.people.adapt(**call, user="zoe", out=tmp_path / "b" / "a")
    assert files_of(tmp_path / "a") == files_of(again.path)
    assert run_verb("people forget", tmp_path / "a", "--user", "zoe", "--out", tmp_path / "c") == 0
    assert load_model(tmp_path / "c").users == tuple("abcd")
    left = [path for path in (tmp_path / "c").rglob("*") if b"zoe" in path.read_bytes()]
    assert left == []
    wrong = {
        "no preference of user zo ": lambda: pl.people.adapt(
            **call, user="zo ", out=tmp_path / "d"),
        "does not know this user": lambda: pl.people.forget(
            place / "individual", user="zoe", out=tmp_path / "d"),
        "there is no fitted model": lambda: pl.people.forget(place, user="a", out=tmp_path / "d"),
    }  # fmt: skip
    for message, attempt in wrong.items():
        with pytest.raises(InputError, match=message) as error:
            attempt()
        assert "\n" not in str(error.value)


def test_a_person_is_a_reward_like_any_other(place, tmp_path):
    name = f"people:{place / 'individual'}"
    prompt = (Message("user", "Say something."),)
    questions = [Question(prompt, "en", ANIMALS[:2]), Question(prompt, "en", []),
                 Question(prompt, "de", ANIMALS[2:])]  # fmt: skip
    seen = see([Text(prompt, t, "en") for t in ANIMALS])
    model = load_model(place / "individual")
    for user in ("a", "b", "", "nobody"):
        ledger, source = Ledger(), find_reward(name + (f"#{user}" if user else ""))
        rewards = source.open("own", 512, ledger)(questions, ledger)
        assert [len(values) for values in rewards] == [2, 0, 3]
        np.testing.assert_allclose(
            [x for values in rewards for x in values], model.score(user, seen)
        )
        assert list(ledger.rows()) == (
            [("fell back: scores of the crowd for a user that the model does not know", tag, num)
             for tag, num in (("de", 3), ("en", 2))] if user == "nobody" else []
        )  # fmt: skip
    assert find_reward(f"{name}#a").digest != find_reward(f"{name}#b").digest
    assert find_reward(f"{name}#a").name == f"{name}#a"
    with pytest.raises(InputError, match="there is no fitted model"):
        find_reward("people:nowhere#a")
    prompts = write(tmp_path / "prompts.jsonl",
                    [{"id": "1", "prompt": "Say something.", "language": "en"}])  # fmt: skip
    trained = pl.train.online(
        place / "base", prompts, reward=f"{name}#a", out=tmp_path / "t", epochs=1, batch_size=1,
        template="plain", gate=False, num_samples=2, max_new_tokens=4,
    )  # fmt: skip
    assert trained.path.is_dir()


def test_the_encoder_that_a_model_was_fitted_with_is_asked_for_again(place, tmp_path):
    name = f"hidden:{place / 'base'}#layer=1"
    fitted = pl.people.fit(place / "all.jsonl", method="pooled", encoder=name, out=tmp_path / "f")
    origin = read_origin(fitted.path)
    assert (origin.encoder, len(origin.encoder_digest)) == (name, 64)
    call = {"folder": fitted, "file": place / "texts.jsonl"}
    scored = pl.people.score(**call, user="a", out=tmp_path / "s").table()["score"]
    prompt = (Message("user", "Say something."),)
    seen = see([Text(prompt, t, "en") for t in ANIMALS], name)
    np.testing.assert_allclose(scored, fitted.model.score("a", seen).round(9), atol=2e-9)
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in (place / "base").iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    again = pl.people.score(**call, user="a", encoder=f"hidden:{moved}#layer=1", out=tmp_path / "m")
    assert again.table()["score"].to_list() == scored.to_list()
    for other in (f"hidden:{moved}#layer=2", "ngrams"):
        with pytest.raises(InputError, match="not the encoder that the model was fitted with"):
            pl.people.score(**call, user="a", encoder=other, out=tmp_path / "x")
    given = [{"text": t, "vector": [float(i), 1.0]} for i, t in enumerate(ANIMALS)]
    vectors = f"vectors:{write(tmp_path / 'v.jsonl', given)}"
    fitted = pl.people.fit(place / "all.jsonl", encoder=vectors, out=tmp_path / "given")
    others = [{"text": "owls hoot", "prompt": "Say something.", "language": "en"}]
    file = write(tmp_path / "others.jsonl", others)
    with pytest.raises(InputError, match="no vector for 1 of 1 texts"):
        pl.people.score(fitted, file, out=tmp_path / "y")
    for width, fits in ((2, True), (3, False)):
        rows = [{"text": "owls hoot", "vector": [0.5] * width}]
        name = f"vectors:{write(tmp_path / f'v{width}.jsonl', rows)}"
        if fits:
            assert pl.people.score(fitted, file, encoder=name, out=tmp_path / "z").table().height
            continue
        with pytest.raises(InputError, match="not the encoder"):
            pl.people.score(fitted, file, encoder=name, out=tmp_path / "y")


@pytest.mark.parametrize("method", ["in_prompt", "tuned_personalized"])
def test_methods_with_a_language_model_fit_score_adapt_and_reward(method, place, tmp_path, capsys):
    settings = [f"model={place / 'base'}", *(["lora_rank=2"] if method != "in_prompt" else [])]
    words = ("people fit", place / "all.jsonl", "--method", method, "--settings", *settings)
    assert run_verb(*words, "--out", tmp_path / "f") == 0
    call = {"folder": tmp_path / "f", "file": place / "texts.jsonl"}
    scored = [pl.people.score(**call, user=user, out=tmp_path / user).table()["score"].to_list()
              for user in ("a", "b", "zoe")]  # fmt: skip
    assert scored[0] != scored[1]
    more = pl.people.adapt(tmp_path / "f", place / "zoe.jsonl", user="zoe", out=tmp_path / "m")
    call["folder"] = more
    assert (
        pl.people.score(**call, user="a", out=tmp_path / "x").table()["score"].to_list()
        == scored[0]
    )
    after = pl.people.score(**call, user="zoe", out=tmp_path / "y").table()["score"].to_list()
    assert after != scored[2]
    questions = [Question((Message("user", "Say something."),), "en", ANIMALS)]
    rewards = find_reward(f"people:{more.path}#zoe").open("own", 512, Ledger())(questions, Ledger())
    np.testing.assert_allclose(rewards[0], after, atol=1e-8)
    with pytest.raises(InputError, match="settings model=CHECKPOINT"):
        pl.people.fit(place / "all.jsonl", method=method, out=tmp_path / "z")
