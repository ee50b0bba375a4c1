"""Upcycling, extending and removing against float64 oracles, for every family and type."""

import json

import numpy as np
import pytest
import torch
from expert_models import FAMILIES, TEXTS, rounded, tensors_of, tokenizer, write_data, write_model

from polylect.base import Ledger, digest_file
from polylect.checkpoints import Checkpoint, read_raw
from polylect.experts import (
    Domains,
    ExtendConfig,
    Output,
    UpcycleConfig,
    extend,
    find_domains,
    read_domain,
    remove,
    upcycle,
)

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
NAMES = ("de", "fr")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def domains(data):
    return find_domains([read_domain(file, 100, 0, Ledger()) for file in data], "ngrams#width=12")


def some(domains, *places):
    return Domains(
        domains.vectors[list(places)], tuple(domains.records[i] for i in places), domains.encoder,
        domains.encoder_digest,
    )  # fmt: skip


def family_models(folder, family, dtype=torch.float32, num=4, shard=None):
    return [
        write_model(folder / name, family, number, dtype, shard)
        for number, name in enumerate(["seed", *TEXTS][: num + 1])
    ]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return family_models(tmp_path_factory.mktemp("llama"), "llama")


def raw(checkpoint):
    return {name: bytes(read_raw(info)) for name, info in checkpoint.tensors.items()}


def check_upcycled(mixture, seed, experts, dtype):
    ours, base = tensors_of(mixture), tensors_of(seed)
    others = [tensors_of(expert) for expert in experts]
    seen = set()
    for name, value in base.items():
        if ".mlp." in name:
            head, tail = name.split(".mlp.")
            shared = f"{head}.mlp.shared_expert.{tail}"
            assert (ours[shared] == value).all()
            seen.add(shared)
            for i, other in enumerate(others):
                expert = f"{head}.mlp.experts.{i}.{tail}"
                assert (ours[expert] == other[name]).all()
                seen.add(expert)
        else:
            mean = np.stack([other[name] for other in others]).sum(axis=0) / len(others)
            assert (ours[name] == rounded(mean, dtype)).all(), name
            seen.add(name)
    assert {name for name in set(ours) - seen if ".mlp.router." not in name} == set()


# Routers are the same in every family.
CASES = [
    *((family, "nexus") for family in FAMILIES),
    *(("gemma2", router) for router in ("linear", "mlp", "oracle")),
]


@pytest.mark.parametrize(("family", "router"), CASES)
def test_a_mixture_of_every_family_is_its_parts_and_transformers_loads_it(
    family, router, domains, tmp_path
):
    from transformers import AutoModelForCausalLM

    import polylect.models.nexus_families  # noqa: F401
    from polylect.models import given_experts

    seed, *experts = family_models(tmp_path, family, num=2)
    config = UpcycleConfig(router=router, top_k=2 if router == "mlp" else 1)
    mixture = upcycle(
        config, seed, experts, tmp_path / "moe", domains=some(domains, 0, 1)
    ).checkpoint
    check_upcycled(mixture, seed, experts, torch.float32)
    model, info = AutoModelForCausalLM.from_pretrained(
        mixture.path, output_loading_info=True, dtype="auto"
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.expert_names == list(NAMES)
    state = model.state_dict()
    for name, value in tensors_of(mixture).items():
        assert (state[name].double().numpy() == value).all()
    assert ("lm_head.weight" in mixture.tensors) == ("lm_head.weight" in seed.tensors)
    ids = torch.tensor([tokenizer().encode(["Das Haus"])[0].tolist()])
    with torch.no_grad():
        if router == "oracle":
            with given_experts(model, torch.zeros_like(ids[0])):
                logits = model(ids).logits
        else:
            logits = model.eval()(ids).logits
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["llama-tied", "cohere2", "qwen2"])
def test_every_type_is_averaged_in_float64_and_rounded_once(family, dtype, domains, tmp_path):
    models = family_models(tmp_path, family, DTYPES[dtype], num=4, shard="20KB")
    assert len({info.file for info in models[1].tensors.values()}) > 1
    seed, *experts, last = models
    mixture = upcycle(
        UpcycleConfig(), seed, experts, tmp_path / "moe", domains=some(domains, 0, 1, 2)
    ).checkpoint
    check_upcycled(mixture, seed, experts, DTYPES[dtype])
    grown = extend(
        ExtendConfig(), mixture, last, tmp_path / "grown", domain=some(domains, 3)
    ).checkpoint
    before, after, new = tensors_of(mixture), tensors_of(grown), tensors_of(last)
    for name, value in before.items():
        if ".mlp." not in name:
            mean = (3 * value + new[name]) / 4
            assert (after[name] == rounded(mean, DTYPES[dtype])).all(), name
        elif name.endswith(".router.domains"):
            assert (after[name][:3] == value).all()
            assert (after[name][3] == domains.vectors[3]).all()
        else:
            assert (after[name] == value).all(), name
    assert len(after) - len(before) == sum(".mlp." in name for name in new)
    assert grown.config["expert_names"] == ["de", "fr", "code", "ja"]


@pytest.mark.parametrize("router", ["nexus", "linear", "mlp", "oracle"])
@pytest.mark.parametrize("place", [0, 1])
def test_what_was_appended_can_be_removed_to_the_bit(router, place, llama, domains, tmp_path):
    seed, *experts, last = llama
    mixture = upcycle(
        UpcycleConfig(router=router), seed, experts, tmp_path / "moe",
        domains=some(domains, 0, 1, 2),
    ).checkpoint  # fmt: skip
    grown = extend(
        ExtendConfig(), mixture, last, tmp_path / "grown", domain=some(domains, 3)
    ).checkpoint
    back = remove(grown, "ja", tmp_path / "back").checkpoint
    was, now, large = raw(mixture), raw(back), raw(grown)
    assert was.keys() == now.keys()
    for name in was:
        if ".mlp." in name:
            assert was[name] == now[name], name
        else:
            assert now[name] == large[name]
    assert back.config == mixture.config
    # One from the middle: later experts move up, and nothing else changes.
    name = mixture.config["expert_names"][place]
    less = raw(remove(mixture, name, tmp_path / "less").checkpoint)
    for tensor, value in was.items():
        if f".experts.{place}." in tensor:
            continue
        moved = tensor
        for number in range(place + 1, 3):
            moved = moved.replace(f".experts.{number}.", f".experts.{number - 1}.")
            if moved != tensor:
                break
        if tensor.endswith(("router.domains", "rows.weight")) or (
            router == "mlp" and tensor.endswith("proj_out.weight")
        ):
            shape = mixture.tensors[tensor].shape
            rows = np.frombuffer(value, np.float32).reshape(shape)
            assert less[tensor] == np.delete(rows, place, axis=0).tobytes()
        else:
            assert less[moved] == value, tensor
    assert not any(".experts.2." in tensor for tensor in less)


@pytest.mark.parametrize("router", ["nexus", "mlp"])
def test_the_same_bytes_whatever_threads_shards_and_orders(router, llama, domains, tmp_path):
    seed, *experts, _ = llama
    digests = set()
    for number, (threads, journal) in enumerate([(1, None), (2, 1000), (7, 500)]):
        output = Output(num_threads=threads, journal_bytes=journal)
        written = upcycle(
            UpcycleConfig(router=router), seed, experts, tmp_path / str(number),
            domains=some(domains, 0, 1, 2), output=output,
        )  # fmt: skip
        digests.add(digest_file(tmp_path / str(number) / "model.safetensors"))
        split = upcycle(
            UpcycleConfig(router=router), seed, experts, tmp_path / f"{number}-split",
            domains=some(domains, 0, 1, 2),
            output=Output(num_threads=threads, max_shard_bytes=9000),
        )  # fmt: skip
        assert len(list((tmp_path / f"{number}-split").glob("*.safetensors"))) > 3
        assert raw(split.checkpoint) == raw(written.checkpoint)
        written.checkpoint.verify()
    assert len(digests) == 1


def test_router_weights_are_drawn_by_name_and_seed(llama, domains, tmp_path):
    seed, *experts, _ = llama
    values = {}
    for number in (0, 1):
        mixture = upcycle(
            UpcycleConfig(seed=number), seed, experts, tmp_path / str(number),
            domains=some(domains, 0, 1, 2),
        ).checkpoint  # fmt: skip
        values[number] = tensors_of(mixture)
    names = [name for name in values[0] if "proj_in" in name or "router.proj_out" in name]
    drawn = [values[number][name] for number in (0, 1) for name in names]
    assert len(names) == 4
    for i, first in enumerate(drawn):
        assert abs(first.std() / 0.02 - 1) < 0.1
        assert abs(first.mean()) < 0.004
        assert not any(np.array_equal(first, other) for other in drawn[:i])


@pytest.mark.parametrize("router", ["linear", "mlp"])
def test_rows_of_a_router_are_appended_or_drawn_anew(router, llama, domains, tmp_path):
    seed, *experts, last = llama
    mixture = upcycle(
        UpcycleConfig(router=router), seed, experts, tmp_path / "moe",
        domains=some(domains, 0, 1, 2),
    ).checkpoint  # fmt: skip
    part = "rows.weight" if router == "linear" else "proj_out.weight"
    name = f"model.layers.1.mlp.router.{part}"
    before = tensors_of(mixture)[name]
    for rows in ("append", "reset"):
        grown = extend(ExtendConfig(router_rows=rows), mixture, last, tmp_path / rows).checkpoint
        after = tensors_of(grown)[name]
        assert after.shape == (4, before.shape[1])
        assert (after[:3] == before).all() == (rows == "append")
        assert len({row.tobytes() for row in after}) == 4


def test_weight_0_leaves_everything_and_1_takes_the_experts(llama, domains, tmp_path):
    seed, *experts, last = llama
    mixture = upcycle(
        UpcycleConfig(), seed, experts, tmp_path / "moe", domains=some(domains, 0, 1, 2)
    ).checkpoint
    was, new = raw(mixture), raw(last)
    for weight in (0.0, 0.25, 1.0):
        grown = extend(
            ExtendConfig(weight=weight), mixture, last, tmp_path / str(weight),
            domain=some(domains, 3),
        ).checkpoint  # fmt: skip
        outside = {name: data for name, data in raw(grown).items() if ".mlp." not in name}
        if weight == 0.25:  # as 1/(n+1)
            default = extend(
                ExtendConfig(), mixture, last, tmp_path / "default", domain=some(domains, 3)
            ).checkpoint
            close = zip(tensors_of(grown).values(), tensors_of(default).values(), strict=True)
            assert all(np.allclose(a, b, rtol=1e-6) for a, b in close)
        else:
            assert outside == {name: (was if weight == 0 else new)[name] for name in outside}


def test_lineage_licenses_and_files_are_carried(llama, domains, tmp_path):
    seed, *experts, last = llama
    (seed.path / "LICENSE").write_text("terms")
    seed = Checkpoint.open(seed.path)
    mixture = upcycle(
        UpcycleConfig(), seed, experts, tmp_path / "moe", domains=some(domains, 0, 1, 2)
    ).checkpoint
    lineage = mixture.lineage
    assert lineage.method == "experts upcycle"
    assert [parent.label for parent in lineage.parents] == ["seed", "de", "fr", "code"]
    assert [parent.digest for parent in lineage.parents] == [
        model.digest for model in (seed, *experts)
    ]
    assert lineage.license == "unknown"
    assert mixture.tokenizer_digest == seed.tokenizer_digest
    assert (mixture.path / "LICENSE").read_text() == "terms"
    grown = extend(ExtendConfig(), mixture, last, tmp_path / "new", domain=some(domains, 3))
    lineage = grown.checkpoint.lineage
    assert [parent.label for parent in lineage.parents] == ["moe", "ja"]
    assert lineage.settings["seed_model"] == seed.digest
    grown.checkpoint.verify()
    record = json.loads((grown.checkpoint.path / "experts.json").read_text())
    assert record["method"] == "experts extend"
    assert grown.checkpoint.config["domains"][3]["languages"] == ["ja"]
