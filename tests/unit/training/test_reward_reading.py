"""A reward is read at one token: by polylect, and by plain transformers on the whole template."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from align_cases import pair_rows, write_lines, write_model
from chat_families import FAMILIES

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint, Lineage, seal
from polylect.comparison import read_model
from polylect.engine import Question
from polylect.recipes import find_reward
from polylect.rows import Message, read_preferences
from polylect.runs import Call, Files, execute_into
from polylect.training import ExamplesConfig, OptimConfig, RewardConfig, reward
from polylect.training.reading import BEFORE_END, read_sequences, share_prefix
from polylect.training.rewards import EARLIER

PLAIN = "plain turns"
CASES = [
    *[(family, "<PAD>") for family in FAMILIES],
    ("Zephyr", "<EOS>"), ("Llama 3", "<|eot_id|>"), ("Mistral", "<EOS>"),
    (PLAIN, "<PAD>"), (PLAIN, "<EOS>"),
]  # fmt: skip
"""Families, and which token pads: often that which ends a turn."""


def read_by_transformers(folder, rows, side):
    """Rewards of all rows' answers, in one padded batch of unequal lengths."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    chats = [
        [*({"role": turn.role, "content": turn.content} for turn in row.messages),
         {"role": "assistant", "content": answer}]
        for row in rows for answer in (row.chosen, row.rejected)
    ]  # fmt: skip
    batch = tokenizer.apply_chat_template(
        chats, padding=True, return_tensors="pt", return_dict=True,
        tokenizer_kwargs={"padding_side": side},
    )  # fmt: skip
    lengths = batch["attention_mask"].sum(dim=1)
    assert len(set(lengths.tolist())) > 2
    with torch.no_grad():
        return model(**batch).logits[:, 0].tolist()


@pytest.mark.parametrize(("family", "pad"), CASES)
def test_transformers_gives_the_same_reward_on_the_whole_template(tmp_path, family, pad):
    template, specials, end = FAMILIES.get(family, ("", (), "<EOS>"))
    write_model(tmp_path / "model", template=template, specials=specials, pad=pad)
    # Surrounding spaces, which some templates trim, an answer of several lines, unequal lengths.
    rows = pair_rows(12)
    rows[0]["chosen"] = "  the red house\n\nis large and so is the sea "
    rows[1] |= {"prompt": [{"role": "user", "content": "what?"},
                           {"role": "assistant", "content": "a tree"},
                           {"role": "user", "content": " and then "}]}  # fmt: skip
    data = write_lines(tmp_path / "pairs.jsonl", rows)
    config = RewardConfig(
        examples=ExamplesConfig(epochs=4, batch_size=4),
        optim=OptimConfig(learning_rate=1e-2, weight_decay=0.0),
    )
    inputs = {"model": Files(tmp_path / "model"), "data": Files(data), "held_out": Files(data)}
    artifact = execute_into(Call(reward, "judge", config, inputs), tmp_path / "judge")
    pairs = read_preferences(data)
    judge = find_reward(str(artifact.path)).open("own", 60, Ledger())
    questions = [Question(row.messages, "en", [row.chosen, row.rejected]) for row in pairs]
    ours = [value for values in judge(questions, Ledger()) for value in values]
    assert np.ptp(ours) > 0.05
    for side in ("right", "left"):
        assert read_by_transformers(artifact.path, pairs, side) == pytest.approx(ours, abs=2e-4)
    frame = read_model(artifact.path).table.only(metric="margin").frame
    margins = dict(zip(map(int, frame["item"]), frame["value"], strict=True))
    expected = [better - worse for better, worse in zip(ours[::2], ours[1::2], strict=True)]
    assert [margins[item] for item in sorted(margins)] == pytest.approx(expected, abs=2e-4)
    # Zephyr's padding ends its turns too, but a line end follows.
    is_cut = pad == end and family != "Zephyr"
    assert artifact.ledger.by_event().get(BEFORE_END, 0) == (24 if is_cut else 0) * 2


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_absolute_positions_are_read_alike(tmp_path, kind):
    write_model(tmp_path / "model", kind=kind)
    data = write_lines(tmp_path / "pairs.jsonl", pair_rows(8))
    config = RewardConfig(
        examples=ExamplesConfig(epochs=4, batch_size=4),
        optim=OptimConfig(learning_rate=1e-2, weight_decay=0.0),
    )
    inputs = {"model": Files(tmp_path / "model"), "data": Files(data)}
    artifact = execute_into(Call(reward, "judge", config, inputs), tmp_path / "judge")
    pairs = read_preferences(data)
    judge = find_reward(str(artifact.path)).open("own", 60, Ledger())
    questions = [Question(row.messages, "en", [row.chosen, row.rejected]) for row in pairs]
    ours = [value for values in judge(questions, Ledger()) for value in values]
    assert read_by_transformers(artifact.path, pairs, "right") == pytest.approx(ours, abs=2e-4)


def test_one_answer_and_equal_answers_share_all_but_the_last_token():
    alone = [np.array([1, 2, 3])]
    assert [part.tolist() for part in share_prefix(alone)[1]] == [[3]]
    twice = [np.array([1, 2, 3]), np.array([1, 2, 3]), np.array([1, 2, 3, 4])]
    prefix, rest = share_prefix(twice)
    assert (prefix.tolist(), [ids.tolist() for ids in rest]) == ([1, 2], [[3], [3], [3, 4]])
    with pytest.raises(InputError, match="differently for two answers"):
        share_prefix([np.array([1, 2]), np.array([2, 2])])


def test_padding_at_the_end_is_left_out_and_within_it_is_kept():
    style = SimpleNamespace(whole=lambda messages: np.array([0, 5, 0, 6, 0, 0]))
    (ids,) = read_sequences(style, [Message("user", "a")], ["b"], 0, "en", Ledger())
    assert ids.tolist() == [0, 5, 0, 6]
    (ids,) = read_sequences(style, [Message("user", "a")], ["b"], 7, "en", Ledger())
    assert ids.tolist() == [0, 5, 0, 6, 0, 0]


def test_a_reward_model_of_an_earlier_version_is_counted(tmp_path):
    from polylect.models import reward_model

    write_model(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    reward_model(model, 0).save_pretrained(tmp_path)
    ledger = Ledger()
    seal(tmp_path, Lineage(method="reward", settings={}))
    find_reward(str(tmp_path)).open("plain", 100, ledger)
    assert ledger.by_event()[EARLIER] == 1
    assert Checkpoint.open(tmp_path).lineage is not None
