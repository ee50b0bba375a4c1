"""Every refusal before a tensor is read: one clear line with place, value and what to type next."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers as hf
from expert_models import FAMILIES, SHAPE, changed_config, tokenizer, write_data, write_model

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint, TensorFile
from polylect.experts import (
    Domains,
    ExtendConfig,
    UpcycleConfig,
    extend,
    find_domains,
    prepare_extension,
    prepare_removal,
    prepare_upcycle,
    read_domain,
    upcycle,
)
from polylect.text import train_bpe


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    for number, name in enumerate(("seed", "de", "fr", "ja")):
        write_model(folder / name, "llama", number)
    files = write_data(folder)
    texts = [read_domain(file, 10, 0, Ledger()) for file in files[:2]]
    domains = find_domains(texts, "ngrams#width=8")
    for router in ("nexus", "linear"):
        upcycle(
            UpcycleConfig(router=router), opened(folder, "seed"), opened(folder, "de", "fr"),
            folder / router, domains=domains,
        )  # fmt: skip
    return folder


@pytest.fixture(autouse=True)
def _no_tensor_is_read(request, monkeypatch):
    if "root" in request.fixturenames:
        request.getfixturevalue("root")

    def read(*args, **options):
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(TensorFile, "read", read)


def opened(folder, *names):
    models = [Checkpoint.open(folder / name) for name in names]
    return models[0] if len(models) == 1 else models


def refused(match):
    return pytest.raises(InputError, match=match)


def other(folder, **changes):
    """A seed of another shape or family, with the same tokenizer."""
    config = FAMILIES["llama"](tokenizer().vocab_size)
    for key, value in changes.items():
        setattr(config, key, value)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer().save(folder)
    return Checkpoint.open(folder)


def test_one_expert_none_and_names(root):
    seed, de, fr = opened(root, "seed", "de", "fr")
    config = UpcycleConfig()
    with refused(r"--experts: 1 expert — a router needs at least two: --experts A B"):
        prepare_upcycle(config, seed, [de])
    with refused(r"--experts: 0 experts"):
        prepare_upcycle(config, seed, [])
    with refused(r"2 experts are called 'de' — name each: --expert-names A B"):
        prepare_upcycle(config, seed, [de, de])
    with refused(r"2 experts are called 'x'"):
        prepare_upcycle(config, seed, [de, fr], ["x", "x"])
    with refused(r"--expert-names: 1 names for 2 experts"):
        prepare_upcycle(config, seed, [de, fr], ["x"])
    with refused(r"an empty name"):
        prepare_upcycle(config, seed, [de, fr], ["x", " "])
    with refused(r"--experts-per-token is 3, there are 2 experts — give 2 or less"):
        prepare_upcycle(UpcycleConfig(top_k=3), seed, [de, fr])
    # A folder may be called as the seed's.
    assert list(prepare_upcycle(config, seed, [de, fr], ["seed", "fr"]).experts) == ["seed", "fr"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intermediate_size": 48}, r"odd: tensor 'model\.layers\.0\.mlp\.\w+\.weight' has shape"),
        ({"num_hidden_layers": 1}, r"odd: no tensor 'model\.layers\.1\..*', which seed has"),
        ({"tie_word_embeddings": True}, r"odd: no tensor 'lm_head\.weight', which seed has"),
        ({"attention_bias": True}, r"seed: no tensor 'model.*\.bias', which odd has"),
    ],
)
def test_experts_of_other_shapes(root, tmp_path, changes, message):
    seed, de = opened(root, "seed", "de")
    odd = other(tmp_path / "odd", **changes)
    with refused(message + r".* — give checkpoints that were trained from one base model"):
        prepare_upcycle(UpcycleConfig(), seed, [de, odd])
    with refused(message.replace("seed", "nexus")):
        prepare_extension(ExtendConfig(), opened(root, "nexus"), odd)


def test_other_families_and_what_is_no_family(root, tmp_path):
    seed, de = opened(root, "seed", "de")
    qwen = write_model(tmp_path / "qwen", "qwen3")
    with refused(r"qwen: architectures is \['Qwen3ForCausalLM'\], seed has \['LlamaForCausalLM'\]"):
        prepare_upcycle(UpcycleConfig(), seed, [de, qwen])
    with refused(r"qwen: architectures is"):
        prepare_extension(ExtendConfig(), opened(root, "nexus"), qwen)
    hf.GPT2LMHeadModel(
        hf.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=20)
    ).save_pretrained(tmp_path / "gpt")
    gpt = Checkpoint.open(tmp_path / "gpt")
    with refused(
        r"gpt: the family 'gpt2' has no experts here — supported are llama, mistral, qwen2"
    ):
        prepare_upcycle(UpcycleConfig(), seed, [de, gpt])
    with refused(r"nexus: is a mixture of experts already — to append an expert: polylect experts"):
        prepare_upcycle(UpcycleConfig(), opened(root, "nexus"), opened(root, "de", "fr"))
    with refused(r"nexus: is a mixture of experts already"):
        prepare_extension(ExtendConfig(), opened(root, "linear"), opened(root, "nexus"))
    config = FAMILIES["llama"](tokenizer().vocab_size)
    hf.LlamaForSequenceClassification(config).save_pretrained(tmp_path / "judge")
    with refused(r"judge: no language model \(LlamaForSequenceClassification\)"):
        prepare_upcycle(UpcycleConfig(), seed, [de, Checkpoint.open(tmp_path / "judge")])


def test_missing_tensors_and_bare_bodies(root, tmp_path):
    seed, de = opened(root, "seed", "de")
    hf.LlamaModel(FAMILIES["llama"](tokenizer().vocab_size)).save_pretrained(tmp_path / "body")
    body = changed_config(tmp_path / "body", tmp_path / "bare", architectures=["LlamaForCausalLM"])
    with refused(
        r"bare: tensor 'model\.embed_tokens\.weight' is missing — save it as AutoModelFor"
    ):
        prepare_upcycle(UpcycleConfig(), seed, [de, body])
    from safetensors.torch import load_file, save_file

    for name in (
        "model.embed_tokens.weight",
        "lm_head.weight",
        "model.layers.1.mlp.up_proj.weight",
    ):
        folder = tmp_path / name
        shutil.copytree(root / "fr", folder)
        tensors = load_file(folder / "model.safetensors")
        del tensors[name]
        save_file(tensors, folder / "model.safetensors")
        with refused(rf"{name}: tensor '{name}' is missing — fetch or save it again"):
            prepare_upcycle(UpcycleConfig(), seed, [de, Checkpoint.open(folder)])


def test_tokenizers_vocabularies_types_and_quantized_models(root, tmp_path):
    seed, de, fr = opened(root, "seed", "de", "fr")
    strange = tmp_path / "strange"
    shutil.copytree(root / "fr", strange)
    train_bpe({"xx": ["zq xw kv " * 40]}, vocab_size=300).save(strange)
    with refused(
        r"strange: its tokenizer is not that of seed: token .* — give models with the same"
    ):
        prepare_upcycle(UpcycleConfig(), seed, [de, Checkpoint.open(strange)])
    with refused(r"strange: its tokenizer is not that of nexus"):
        prepare_extension(ExtendConfig(), opened(root, "nexus"), Checkpoint.open(strange))
    large = tmp_path / "large"
    config = hf.LlamaConfig(**SHAPE, vocab_size=tokenizer().vocab_size + 8)
    hf.LlamaForCausalLM(config).save_pretrained(large)
    tokenizer().save(large)
    with refused(r"large: tensor 'lm_head\.weight' has shape \(308, 24\), in seed \(300, 24\)"):
        prepare_upcycle(UpcycleConfig(), seed, [de, Checkpoint.open(large)])
    narrow = write_model(tmp_path / "narrow", "llama", 2, torch.bfloat16)
    with refused(
        r"narrow: tensor .* is BF16, in seed F32 — give models of one type: polylect merge"
    ):
        prepare_upcycle(UpcycleConfig(), seed, [de, narrow])
    few = changed_config(root / "fr", tmp_path / "few", quantization_config={"bits": 4})
    with refused(r"few: is quantized — give the full-precision checkpoint"):
        prepare_upcycle(UpcycleConfig(), seed, [de, few])
    with refused(r"few: is quantized"):
        prepare_extension(ExtendConfig(), opened(root, "nexus"), few)
    few = changed_config(root / "nexus", tmp_path / "few-moe", quantization_config={"bits": 4})
    with refused(r"few-moe: is quantized — give the full-precision mixture"):
        prepare_extension(ExtendConfig(), few, fr)


def test_keys_of_the_config_that_decide(root, tmp_path):
    seed, de = opened(root, "seed", "de")
    rope = {"rope_type": "default", "rope_theta": 5e5}
    long = changed_config(root / "fr", tmp_path / "long", rope_parameters=rope)
    with refused(
        r"long: rope_parameters\.rope_theta in config\.json is 500000\.0, in seed 10000\.0"
    ):
        prepare_upcycle(UpcycleConfig(), seed, [de, long])
    with refused(r"long: rope_parameters\.rope_theta in config\.json"):
        prepare_extension(ExtendConfig(), opened(root, "nexus"), long)
    harmless = changed_config(root / "fr", tmp_path / "calm", attention_dropout=0.5)
    ready = prepare_upcycle(UpcycleConfig(), seed, [de, harmless])
    assert ready.ledger.total("differs: attention_dropout") == 1


def test_descent_is_said_and_not_refused(root, tmp_path, monkeypatch):
    monkeypatch.undo()
    from polylect.checkpoints import Lineage, Parent, seal

    for name, digest in (("fr", Checkpoint.open(root / "seed").digest), ("ja", "other")):
        shutil.copytree(root / name, tmp_path / name)
        seal(tmp_path / name,
             Lineage(method="sft", parents=(Parent(label="base", digest=digest),)))  # fmt: skip
    experts = [Checkpoint.open(tmp_path / name) for name in ("fr", "ja")]
    ready = prepare_upcycle(UpcycleConfig(), opened(root, "seed"), experts)
    assert [row[1] for row in ready.ledger.rows() if row[0].startswith("not said")] == ["ja"]
    ready = prepare_extension(ExtendConfig(), opened(root, "nexus"), experts[1], "more")
    assert ready.ledger.total("not said") == 1


def test_extending_what_cannot_be_extended(root, tmp_path):
    nexus, ja, fr = opened(root, "nexus", "ja", "fr")
    with refused(r"seed: a dense model \(llama\), not a mixture of experts — make one: polylect"):
        prepare_extension(ExtendConfig(), opened(root, "seed"), ja)
    with refused(r"an expert is called 'fr' already — give another: --name NAME"):
        prepare_extension(ExtendConfig(), nexus, fr)
    with refused(r"--router-rows reset: the nexus router has no row of its own for an expert"):
        prepare_extension(ExtendConfig(router_rows="reset"), nexus, ja)
    config = ExtendConfig()
    with refused(
        r"nexus: its router reads domain vectors, and there is none of ja — .*--data FILE"
    ):
        extend(config, nexus, ja, tmp_path / "out")
    with refused(r"ja: the vector of its domain has 9 numbers, the router of nexus takes 8"):
        extend(config, nexus, ja, tmp_path / "out", domain=Domains(np.ones((1, 9)), ()))
    with refused(r"2 domain vectors for one expert"):
        extend(config, nexus, ja, tmp_path / "out", domain=Domains(np.ones((2, 8)), ()))
    strange = Domains(np.ones((1, 8)), (), "hidden:elsewhere", "f" * 64)
    with refused(
        r"--encoder hidden:elsewhere: the domains of nexus have vectors of another encoder,"
        r" ngrams#width=8 \(\w{12}\) — give that one: --encoder ngrams#width=8"
    ):
        extend(config, nexus, ja, tmp_path / "out", domain=strange)
    assert not (tmp_path / "out").exists()


def test_upcycling_without_vectors(root, tmp_path):
    seed, de, fr = opened(root, "seed", "de", "fr")
    for router in ("nexus", "mlp"):
        with refused(
            rf"--router {router} without --data — give one file of domain text per expert"
        ):
            upcycle(UpcycleConfig(router=router), seed, [de, fr], tmp_path / "out")
    with refused(r"3 domain vectors for 2 experts"):
        upcycle(UpcycleConfig(), seed, [de, fr], tmp_path / "out",
                domains=Domains(np.ones((3, 4)), ()))  # fmt: skip


def test_removing_what_is_not_there_and_the_last(root, tmp_path, monkeypatch):
    nexus = opened(root, "nexus")
    with refused(r"nexus: no expert 'dee' — did you mean de\?"):
        prepare_removal(nexus, "dee")
    with refused(r"nexus: no expert 'ja' — its experts are de, fr"):
        prepare_removal(nexus, "ja")
    with refused(r"seed: a dense model"):
        prepare_removal(opened(root, "seed"), "de")
    monkeypatch.undo()
    from polylect.experts import remove

    left = remove(nexus, "de", tmp_path / "left").checkpoint
    with refused(r"left: 'fr' is its last routed expert — a mixture needs one"):
        prepare_removal(left, "fr")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_experts": 3}, r"expert_names in config\.json does not name 3 experts"),
        (
            {"domain_size": 7},
            r"domains' has shape|proj_in\.weight' has shape \(48, 8\), domain_size",
        ),
        ({"router_type": "magic"}, r"router_type in config\.json is 'magic' — known are nexus"),
        ({"router_type": "linear"}, r"router\.rows\.weight' is missing"),
        ({"num_experts_per_tok": 0}, r"num_experts_per_tok in config\.json is 0"),
        (
            {"num_experts": 1, "expert_names": ["a"], "domains": []},
            r"experts\.1\..* is of no expert",
        ),
        ({"num_experts": 3, "expert_names": ["a", "b", "c"], "domains": []}, r"is missing"),
        ({"model_type": "nexus_gpt2"}, r"unknown family 'gpt2' — supported are llama"),
    ],
)
def test_broken_mixtures(root, tmp_path, changes, message):
    broken = changed_config(root / "nexus", tmp_path / "broken", **changes)
    with refused(message):
        prepare_extension(ExtendConfig(), broken, opened(root, "ja"))
    with refused(message):
        prepare_removal(broken, "de")


def test_domains_without_text(tmp_path, monkeypatch):
    empty = tmp_path / "empty.jsonl"
    empty.write_text(json.dumps({"text": "  "}) + "\n")
    with refused(r"empty\.jsonl: a domain without text — give text that its expert learned"):
        read_domain(empty, 10, 0, Ledger())
    (tmp_path / "nothing.txt").write_text("")
    with refused(r"nothing\.txt: a domain without text"):
        read_domain(tmp_path / "nothing.txt", 10, 0, Ledger())
    (tmp_path / "chat.jsonl").write_text('{"messages": []}\n')
    with refused(r"chat\.jsonl:1: 'text' is missing — the columns are messages"):
        read_domain(tmp_path / "chat.jsonl", 10, 0, Ledger())
    with refused(r"gone: no such file or folder"):
        read_domain(tmp_path / "gone", 10, 0, Ledger())
