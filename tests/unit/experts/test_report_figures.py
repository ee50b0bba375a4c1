"""Figures of a mixture: intervals that cover, geometry and sizes by a second way."""

import numpy as np
import polars as pl
import pytest
import torch
from expert_models import write_data, write_model

import polylect
from polylect.checkpoints import Checkpoint
from polylect.experts import ReportDomain, ReportText, geometry, own_shares, sizes, training_cost
from polylect.models import blocks_of, load_model, router_rows


def planted(shares, choices):
    """A table of two experts, and its texts, from the own share of each document."""
    table = pl.DataFrame(
        [("a", "de", f"{i}", 0, expert, num, float(num), int(sum(pair)))
         for i, pair in enumerate(zip(shares, choices, strict=True))
         for expert, num in enumerate((int(pair[0]), int(pair[1] - pair[0])))],
        ["domain", "language", "document", "block", "expert", "choices", "gate", "tokens"],
        orient="row",
    )  # fmt: skip
    texts = [ReportText("", "de", "a", f"{i}", f"{i}") for i in range(len(shares))]
    return table, texts


def domain(expert):
    return ReportDomain("a", expert, "a", 1, 1, ("de",))


@pytest.mark.parametrize("num", [8, 40])
@pytest.mark.parametrize(("mean", "alike"), [(0.6, 20), (0.6, 2), (0.95, 20), (0.25, 200)])
def test_the_interval_of_an_own_share_covers_the_truth_of_its_text(num, mean, alike):
    random = np.random.default_rng(7)
    inside = 0
    for _ in range(100):
        share = random.beta(mean * alike, (1 - mean) * alike, num)
        choices = random.integers(20, 200, num) * 4
        table, texts = planted(random.binomial(choices, share), choices)
        (row,) = own_shares(table, [domain(0)], texts)
        assert row["clusters"] == num
        inside += row["lower"] <= mean <= row["upper"]
    assert inside >= 89  # of a hundred, where 95 are promised


def test_translations_are_resampled_together_and_a_domain_without_expert_has_no_row():
    table, texts = planted([10, 0, 10, 0], [10, 10, 10, 10])
    together = [ReportText("", "de", "a", row.item, "one" if i < 2 else "two")
                for i, row in enumerate(texts)]  # fmt: skip
    apart = own_shares(table, [domain(0)], texts)[0]
    paired = own_shares(table, [domain(0)], together)[0]
    assert (apart["share"], paired["share"], paired["clusters"]) == (0.5, 0.5, 2)
    assert own_shares(table, [domain(None)], texts) == []
    exact = own_shares(table, [domain(1)], texts, is_exact=True)[0]
    assert (exact["share"], exact["lower"], exact["upper"]) == (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    for number, name in enumerate(("seed", "de", "fr", "code")):
        write_model(folder / name, "llama-tied", number)
    write_data(folder)
    names = ("de", "fr", "code")
    for router in ("nexus", "linear", "mlp", "oracle"):
        polylect.experts.upcycle(
            seed_model=folder / "seed", experts=[folder / name for name in names],
            data=[folder / f"{name}.jsonl" for name in names], router=router,
            out=folder / router,
        )  # fmt: skip
    return folder


@pytest.mark.parametrize("router", ["nexus", "linear", "mlp", "oracle"])
def test_geometry_is_that_of_the_rows(mixtures, router):
    model = load_model(Checkpoint.open(mixtures / router))
    names = ["de", "fr", "code"]
    lie = geometry(*router_rows(model), names)
    if router in {"mlp", "oracle"}:
        assert lie is None
        return
    rows = []
    for block in blocks_of(model):
        if router == "linear":
            rows.append(block.router.rows.weight.detach())
            continue
        r = block.router
        gate, up = (r.domains @ r.proj_in.weight.T).chunk(2, dim=-1)
        rows.append(((torch.nn.functional.silu(gate) * up) @ r.proj_out.weight.T).detach())
    cosines = [torch.nn.functional.cosine_similarity(e[:, None], e[None], dim=-1).numpy()
               for e in rows]  # fmt: skip
    np.testing.assert_allclose(lie["after"], np.mean(cosines, axis=0), atol=1e-5)
    off = np.mean(cosines, axis=0)[np.triu_indices(3, 1)]
    assert lie["mean_after"] == pytest.approx(off.mean(), abs=1e-5)
    assert (lie["before"] is None) == (router == "linear")
    if router == "nexus":
        before = np.array(lie["before"]) - 9 * np.eye(3)
        for i, row in enumerate(lie["neighbors"]):
            assert row["before"] == names[before[i].argmax()]
            kept = sum(int((c - 9 * np.eye(3))[i].argmax() == before[i].argmax()) for c in cosines)
            assert row["blocks"] == kept


@pytest.mark.parametrize("router", ["nexus", "linear", "mlp", "oracle"])
def test_sizes_count_every_parameter_once(mixtures, router):
    checkpoint = Checkpoint.open(mixtures / router)
    model = load_model(checkpoint)
    size = sizes(checkpoint)
    assert size["total"] == sum(parameter.numel() for parameter in model.parameters())
    one = sum(p.numel() for p in blocks_of(model)[0].experts[0].parameters())
    assert size["active"] == size["total"] - 2 * 2 * one
    assert sum(size["parts"].values()) == size["total"]
    stored = sum(info.end - info.begin for info in checkpoint.tensors.values())
    assert sum(row["bytes"] for row in size["bytes"]) == stored
    assert {row["dtype"] for row in size["bytes"]} == {"F32"}


def test_the_cost_of_a_training_is_what_the_folder_says(mixtures):
    cost = training_cost(Checkpoint.open(mixtures / "nexus"))
    assert cost == {"method": "experts upcycle", "parents": ["seed", "de", "fr", "code"],
                    "tokens": 0}  # fmt: skip
    assert training_cost(Checkpoint.open(mixtures / "seed")) == {
        "method": None, "parents": [], "tokens": None
    }  # fmt: skip
