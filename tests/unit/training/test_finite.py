"""Weights that are not finite are never written, and the last good state stays."""

import json

import pytest
import torch
from align_cases import chat_rows, pair_rows, write_lines, write_model

from polylect.base import PolylectError
from polylect.checkpoints import Lineage
from polylect.cli import main
from polylect.models import load_model, save_model
from polylect.text import Tokenizer
from polylect.training.checkpointing import Position, load_state, save_state
from polylect.training.finite import check_finite, check_outputs
from polylect.training.mesh import Mesh


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finite")
    write_model(folder / "model")
    write_lines(folder / "pairs.jsonl", pair_rows(4))
    write_lines(folder / "chats.jsonl", chat_rows(4))
    (folder / "own.py").write_text(
        "def letters(messages, answer, language):\n    return float(len(set(answer)))\n"
    )
    return folder


@pytest.mark.parametrize("rate", ["1e39", "1e30"])
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("sft", ()), ("sft", ("--lora-rank", "2")), ("preference", ()),
        ("preference", ("--objective", "simpo")), ("reward", ()),
        ("online", ("--num-samples", "2", "--max-new-tokens", "4")),
    ],
)  # fmt: skip
def test_one_update_at_a_huge_rate_saves_nothing(place, tmp_path, capsys, kind, more, rate):
    data = "chats.jsonl" if kind == "sft" else "pairs.jsonl"
    words = ["train", kind, "--model", str(place / "model"), "--data", str(place / data), "--out",
             str(tmp_path / "out"), "--learning-rate", rate, "--batch-size", "4", "--warmup", "0",
             "--schedule", "constant", *more]  # fmt: skip
    if kind == "online":
        words += ["--reward", f"{place}/own.py:letters"]
    if kind in ("preference", "reward"):
        words += ["--held-out", str(place / data)]
    code = main(words)
    error = capsys.readouterr().err
    if code == 0:  # a finite rate may leave finite numbers: then they are what was saved
        assert rate == "1e30"
        from safetensors.torch import load_file

        saved = load_file(tmp_path / "out" / "model.safetensors")
        assert all(bool(value.isfinite().all()) for value in saved.values())
        return
    assert "finite" in error
    assert "Traceback" not in error
    # A probe may be the first to meet such a model.
    in_probe = rate == "1e30" and "the model's logits are not finite" in error
    assert in_probe or ("after 1 updates" in error and "--learning-rate" in error)
    assert not (tmp_path / "out").exists()


def test_a_state_that_is_not_finite_keeps_the_last_one(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_state(tmp_path, model, optimizer, Position(1, 0, 0.0), Mesh())
    for poison in (
        lambda: model[0].bias.data.fill_(float("nan")),
        lambda: optimizer.state[model[0].weight]["exp_avg_sq"].fill_(float("inf")),
    ):
        before = [value.clone() for value in (model[0].bias.data, model[0].weight.data)]
        poison()
        with pytest.raises(PolylectError, match=r"(model\.0\.bias|optim\.0\.exp_avg_sq) is no"):
            save_state(tmp_path, model, optimizer, Position(2, 0, 0.0), Mesh())
        assert json.loads((tmp_path / "state" / "position.json").read_text())["step"] == 1
        assert load_state(tmp_path, model, optimizer) == Position(1, 0, 0.0)
        assert torch.equal(model[0].weight.data, before[1])


def test_what_is_finite_passes_and_the_first_that_is_not_is_named():
    good = {"a": torch.tensor([3e38, -3e38]), "b": torch.arange(3)}
    check_finite(good, 5)
    check_finite({}, 5)
    for value in (float("inf"), float("-inf"), float("nan")):
        bad = good | {"c": torch.tensor([1.0, value])}
        with pytest.raises(PolylectError, match="c is no longer finite after 5 updates") as caught:
            check_finite(bad, 5, 3e-4)
        assert caught.value.hint == "lower the learning rate, e.g. --learning-rate 0.0001"


def test_outputs_that_overflow_are_refused_and_no_writer_writes_them(place, tmp_path):
    from polylect.checkpoints import Checkpoint

    model = load_model(Checkpoint.open(place / "model"))
    check_outputs(model, 1, 1e-3)
    with torch.no_grad():
        model.get_submodule("model.norm").weight.fill_(3e38)
    with pytest.raises(PolylectError, match="the trained model's output is no longer finite"):
        check_outputs(model, 1, 1e-3)
    with torch.no_grad():
        model.get_submodule("model.norm").weight.fill_(torch.inf)
    with pytest.raises(PolylectError, match=r"weight is not finite; the model was not saved"):
        save_model(model, Tokenizer.load(place / "model"), tmp_path, Lineage(method="x"))
    assert not [*tmp_path.iterdir()]
