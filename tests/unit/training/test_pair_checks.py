"""Rows of preferences together: ids that do not move, partners of other prompts, one scale."""

import numpy as np
import pytest
from align_cases import CHATML, pair_rows, write_lines, write_model

from polylect.base import InputError, Ledger
from polylect.cli import main
from polylect.comparison import read_model
from polylect.rows import read_preferences
from polylect.runs import Call, Files, execute_into
from polylect.text import Tokenizer, style_or_plain
from polylect.training import (
    ExamplesConfig,
    OptimConfig,
    PreferenceConfig,
    RewardConfig,
    preference,
    reward,
)
from polylect.training.encode import REPEATED, PreferenceTokens, encode_preferences, item_ids
from polylect.training.pair_checks import NO_MARGIN, check_scores, count_margins, with_partners

TRIM = CHATML.replace("{{ message['content'] }}", "{{ message['content'] | trim }}")
STILL = OptimConfig(learning_rate=1e-30, weight_decay=0.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks")
    write_model(folder / "model")
    write_model(folder / "trims", template=TRIM)
    write_lines(folder / "pairs.jsonl", pair_rows(6))
    return folder


def tokens(prompt, chosen=(7,), rejected=(8,), scores=None, margin=0.0, place="x:1"):
    ids = [np.array(values, np.int32) for values in (prompt, chosen, rejected)]
    return PreferenceTokens(*ids, (), "de", scores, margin, place=place)


@pytest.mark.parametrize(("step", "kind"), [(preference, PreferenceConfig), (reward, RewardConfig)])
def test_held_out_items_are_rows_whatever_was_dropped(place, tmp_path, step, kind):
    rows = pair_rows(6, seed=3)
    rows[0]["prompt"] = rows[3]["prompt"] = "tell me more " * 12
    for i in (1, 2, 4):
        rows[i]["id"] = 7 if i == 4 else f"q{i}"
    rows[5] |= {"id": 7, "language": rows[4]["language"]}
    held_out = write_lines(tmp_path / "held.jsonl", rows)
    found = []
    for context_tokens in (128, 40):
        examples = ExamplesConfig(
            context_tokens=context_tokens, over_long="drop", batch_size=6, probes=0
        )
        inputs = {"model": Files(place / "model"), "data": Files(place / "pairs.jsonl"),
                  "held_out": Files(held_out)}  # fmt: skip
        call = Call(step, "out", kind(examples=examples, optim=STILL), inputs)
        artifact = execute_into(call, tmp_path / str(context_tokens))
        frame = read_model(artifact.path).table.only(metric="loss").frame
        found.append(set(frame["item"]))
    assert found[0] == {"1", "q1", "q2", "4", "7", "7#2"}
    assert found[1] == found[0] - {"1", "4"}


def test_ids_of_rows_are_unique_in_a_language(tmp_path):
    rows = [row | {"id": "a", "language": "de"} for row in pair_rows(3)]
    rows[1]["language"] = "tr"
    path = write_lines(tmp_path / "x.jsonl", rows)
    assert item_ids(read_preferences(path)) == ["a", "a", "a#2"]
    path = write_lines(tmp_path / "y.jsonl", [rows[0] | {"id": 1.5}])
    with pytest.raises(InputError, match=r"y.jsonl:1: 'id' is 1.5"):
        read_preferences(path)


def test_a_partner_has_another_prompt_and_fits():
    pairs = [tokens([1, 2]), tokens([1, 2], [7] * 3), tokens([3], [7] * 9), tokens([4])]
    assert [pair.partner for pair in with_partners(pairs, 20)] == [2, 2, 3, 0]
    # The answer of the third is too long for the prompt of the first two.
    assert [pair.partner for pair in with_partners(pairs, 10)] == [3, 3, 3, 0]
    with pytest.raises(InputError, match="x:1: KTO sets every answer against"):
        with_partners(pairs[:2], 20)


def test_scores_in_all_rows_or_in_none():
    with_scores, without = tokens([1], scores=(2.0, 1.0)), tokens([2], place="x:2")
    check_scores([with_scores, with_scores])
    check_scores([without, without])
    with pytest.raises(InputError, match="x:2: no scores, which 1 of 2 rows have"):
        check_scores([with_scores, without])


def test_margins_beside_none_are_counted():
    ledger = Ledger()
    count_margins([tokens([1]), tokens([2])], ledger)
    assert not ledger
    count_margins([tokens([1], margin=2.0), tokens([2])], ledger)
    assert ledger.by_event() == {NO_MARGIN: 1}


@pytest.mark.parametrize(
    ("kind", "objective", "columns"),
    [
        ("preference", "dpo", {"margin", "chosen_score", "rejected_score"}),
        ("preference", "simpo", {"margin", "chosen_score", "rejected_score"}),
        ("preference", "copg", {"margin"}),
        ("reward", None, {"chosen_score", "rejected_score"}),
    ],
)
def test_columns_that_an_objective_does_not_use_are_counted(
    place, tmp_path, capsys, kind, objective, columns
):
    rows = [row | {"margin": 2, "chosen_score": 3, "rejected_score": 1} for row in pair_rows(4)]
    rows[0]["margin"] = 0
    data = write_lines(tmp_path / "pairs.jsonl", rows)
    arguments = ["train", kind, "--model", str(place / "model"), "--data", str(data),
                 "--out", str(tmp_path / "out"), "--dry-run"]  # fmt: skip
    assert main([*arguments, *(["--objective", objective] if objective else [])]) == 0
    output = "".join(capsys.readouterr())
    for column, number in (("margin", 3), ("chosen_score", 4), ("rejected_score", 4)):
        assert (f"{number} ignored: column ({column})" in output) == (column in columns), output


def test_answers_that_are_equal_leave_only_their_row_out(place, tmp_path, capsys):
    rows = pair_rows(4)
    rows[0]["rejected"] = f" {rows[0]['chosen']} "
    data = write_lines(tmp_path / "pairs.jsonl", rows)
    arguments = ["train", "preference", "--model", str(place / "trims"), "--data", str(data),
                 "--out", str(tmp_path / "out"), "--dry-run"]  # fmt: skip
    assert main(arguments) == 0
    output = "".join(capsys.readouterr())
    assert "1 dropped: 'chosen' and 'rejected' are equal" in output
    assert "pairs.jsonl:1" in output


@pytest.mark.parametrize(
    ("objective", "change", "words"),
    [
        ("copg", {"chosen_score": 3, "rejected_score": 1}, "pairs.jsonl:2: no scores"),
        ("kto", "same", "pairs.jsonl:1: KTO sets every answer against"),
    ],
)
def test_the_command_refuses_and_names_the_row(place, tmp_path, capsys, objective, change, words):
    rows = pair_rows(4)
    if change == "same":
        rows = [row | {"prompt": "what"} for row in rows]
    else:
        values = {name: value.format(**rows[0]) if isinstance(value, str) else value
                  for name, value in change.items()}  # fmt: skip
        rows[0] |= values
    data = write_lines(tmp_path / "pairs.jsonl", rows)
    arguments = ["train", "preference", "--model", str(place / "trims"), "--data", str(data),
                 "--out", str(tmp_path / "out"), "--objective", objective, "--dry-run"]  # fmt: skip
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_answers_that_repeat_their_prompt_are_counted(place):
    row = {"language": "ja", "prompt": "空はなぜ青いですか?"}
    says = [("光。", "海。"), (f"{row['prompt']} 光。", f"{row['prompt']} 海。")]
    rows = [row | {"chosen": a, "rejected": b} for a, b in says]
    rows += [{"language": "ja", "prompt": "空", "chosen": "空だ", "rejected": "空か"}]
    file = write_lines(place / "repeated.jsonl", rows)
    ledger = Ledger()
    style = style_or_plain(place / "model", Tokenizer.load(place / "model"), "own", ledger)
    encode_preferences(read_preferences(file), style, 999, "refuse", ledger)
    assert ledger.total(REPEATED) == 1
