"""The operations as steps of a run."""

from expert_models import write_data, write_model

from polylect.checkpoints import Checkpoint
from polylect.experts import (
    ExtendConfig,
    UpcycleConfig,
    extend_experts,
    remove_expert,
    upcycle_experts,
)
from polylect.runs import Call, Files, execute


def test_a_mixture_is_made_grown_and_cut_by_steps(tmp_path):
    for number, name in enumerate(("seed", "de", "fr", "ja")):
        write_model(tmp_path / name, "llama", number)
    write_data(tmp_path)
    root = tmp_path / "run"
    inputs = {"seed": Files(tmp_path / "seed")}
    for name in ("de", "fr"):
        inputs[f"expert {name}"] = Files(tmp_path / name)
        inputs[f"data {name}"] = Files(tmp_path / f"{name}.jsonl")
    moe = execute(Call(upcycle_experts, "moe", UpcycleConfig(), inputs), root)
    more = {
        "mixture": moe, "seed": Files(tmp_path / "seed"), "expert ja": Files(tmp_path / "ja"),
        "data ja": Files(tmp_path / "ja.jsonl"),
    }  # fmt: skip
    grown = execute(Call(extend_experts, "grown", ExtendConfig(), more), root)
    assert Checkpoint.open(grown.path).config["expert_names"] == ["de", "fr", "ja"]
    less = execute(Call(remove_expert, "less", "de", {"mixture": grown}), root)
    assert Checkpoint.open(less.path).config["expert_names"] == ["fr", "ja"]
    assert less.ledger.total("kept: the average outside of the experts") == 1
    Checkpoint.open(less.path).verify()
