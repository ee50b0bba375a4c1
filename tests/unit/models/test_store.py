import json
import resource
import signal
from pathlib import Path

import pytest
import safetensors.torch
import torch
import transformers

from polylect.base import InputError, Ledger, StorageError, digest_folder
from polylect.checkpoints import Checkpoint, Lineage
from polylect.models import (
    BuildConfig,
    build,
    build_model,
    is_packed,
    load_model,
    save_model,
    shape_for,
)
from polylect.runs import Call, Files, execute
from polylect.text import Tokenizer, train_bpe

CONFIG = BuildConfig(num_parameters=250_000, context_tokens=64, sliding_window=8, seed=3)
LINEAGE = Lineage(method="build", settings={"seed": 3}, license="Apache-2.0")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe({"de": ["Das ist ein kleiner Text über nichts."]}, vocab_size=270)


def fresh(tokenizer, config=CONFIG):
    t = tokenizer
    return build_model(config, t.vocab_size, t.bos_id, t.eos_id, t.pad_id)


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = fresh(tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    save_model(model, tokenizer, folder, LINEAGE)
    return folder, model.eval()


@pytest.mark.parametrize("budget", [270_000, 400_000, 1_000_000])
@pytest.mark.parametrize("vocab_size", [300, 1000])
def test_a_model_is_as_large_as_its_shape_says_and_within_the_budget(budget, vocab_size):
    shape = shape_for(budget, vocab_size)
    model = build_model(BuildConfig(num_parameters=budget), vocab_size, 1, 2, 0)
    assert model.num_parameters() == shape.num_parameters <= budget
    assert model.config.num_hidden_layers == shape.num_layers
    layers = model.config.layer_types
    assert layers == (["sliding_attention"] * 3 + ["full_attention"]) * (len(layers) // 4)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_the_shape_is_the_largest_within_the_budget():
    last, smallest = 0, 260_928
    for budget in range(300_000, 30_000_000, 700_001):
        shape = shape_for(budget, 1000)
        assert last <= shape.num_parameters <= budget
        assert shape_for(shape.num_parameters, 1000) == shape
        if shape.num_parameters > smallest:
            less = shape_for(shape.num_parameters - 1, 1000)
            assert less.num_parameters < shape.num_parameters
        assert shape.num_layers % 4 == 0
        assert 16 * shape.num_layers <= shape.hidden_size <= 128 * shape.num_layers
        assert shape.num_heads % shape.num_key_heads == 0
        assert shape.hidden_size % shape.num_heads == 0
        last = shape.num_parameters
    assert last > 0.85 * budget


def test_a_budget_below_the_smallest_shape_says_what_is_needed():
    with pytest.raises(InputError, match="10 parameters do not hold a vocabulary of 300") as caught:
        shape_for(10, 300)
    needed = int(caught.value.hint.split("--num-parameters ")[1].split(",")[0])
    assert shape_for(needed, 300).num_parameters == needed
    with pytest.raises(InputError):
        shape_for(needed - 1, 300)


def test_the_same_config_gives_the_same_bytes_and_leaves_the_generator_alone(tokenizer, tmp_path):
    torch.manual_seed(77)
    state = torch.get_rng_state()
    digests = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        config = BuildConfig(num_parameters=250_000, context_tokens=64, sliding_window=8, seed=seed)
        (tmp_path / name).mkdir()
        save_model(fresh(tokenizer, config), tokenizer, tmp_path / name, LINEAGE)
        digests.append(digest_folder(tmp_path / name))
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(5)
        state = torch.get_rng_state()
    assert digests[0] == digests[1] != digests[2]


@torch.no_grad()
def test_plain_transformers_loads_what_was_saved_with_equal_logits(saved, tokenizer):
    folder, model = saved
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert plain.config._attn_implementation != "polylect_packed"
    assert "polylect" not in (folder / "config.json").read_text()
    ids = torch.arange(40)[None] % tokenizer.vocab_size
    expected = model(ids, use_cache=False).logits
    found = plain(ids).logits
    assert expected.std() > 0.1
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other), name
    text = "ein kleiner Text"
    loaded = transformers.AutoTokenizer.from_pretrained(folder)
    assert loaded.encode(text, add_special_tokens=False) == tokenizer.encode([text])[0].tolist()


@torch.no_grad()
def test_loading_gives_the_same_model_and_its_checkpoint(saved, tokenizer):
    folder, model = saved
    checkpoint = Checkpoint.open(folder)
    checkpoint.verify()
    assert checkpoint.lineage == LINEAGE
    assert checkpoint.num_parameters == model.num_parameters()
    loaded = load_model(checkpoint)
    assert not loaded.training
    ids = torch.arange(30)[None] % tokenizer.vocab_size
    assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_saving_a_loaded_model_gives_the_same_content(saved, tokenizer, tmp_path):
    folder, _ = saved
    first = Checkpoint.open(folder)
    again = save_model(load_model(first), tokenizer, tmp_path, LINEAGE)
    assert again.digest == first.digest


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def copy_of(saved, tmp_path) -> Path:
    for path in saved[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(InputError) as caught:
        load_model(Checkpoint.open(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_without_one_of_its_tensors_is_refused_not_filled_in(saved, tmp_path):
    folder = copy_of(saved, tmp_path)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    text = refused(folder)
    assert "tensor 'model.layers.2.mlp.up_proj.weight' is missing —" in text


def test_a_tensor_of_another_shape_is_refused(saved, tmp_path):
    folder = copy_of(saved, tmp_path)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = tensors[name][:-1].contiguous()
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    refused(folder)


def test_an_architecture_that_transformers_does_not_know_is_refused(saved, tmp_path):
    folder = copy_of(saved, tmp_path)
    change_config(folder, model_type="mumba", architectures=["MumbaForCausalLM"])
    assert "transformers cannot build it" in refused(folder)


@pytest.mark.parametrize(
    "config",
    [
        lambda: transformers.MambaConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4
        ),
        lambda: transformers.FalconConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2
        ),
    ],
    ids=["mamba", "falcon"],
)
def test_a_checkpoint_that_cannot_be_packed_gets_separate_passes_and_is_counted(config, tmp_path):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    model.save_pretrained(tmp_path)
    ledger = Ledger()
    loaded = load_model(Checkpoint.open(tmp_path), ledger=ledger)
    assert ledger.by_event() == {
        "fell back: separate forward passes (the same numbers, more time)": 1
    }
    assert not is_packed(loaded)


def test_building_as_a_step(tokenizer, tmp_path):
    (tmp_path / "tokens/tokenizer").mkdir(parents=True)
    tokenizer.save(tmp_path / "tokens/tokenizer")
    call = Call(build, "init", CONFIG, {"tokens": Files(tmp_path / "tokens")})
    artifact = execute(call, tmp_path / "steps")
    checkpoint = Checkpoint.open(artifact.path)
    assert checkpoint.lineage.method == "build"
    assert checkpoint.license == "Apache-2.0"
    assert checkpoint.config["pad_token_id"] == tokenizer.pad_id
    assert execute(call, tmp_path / "other").digest == artifact.digest


@pytest.fixture
def small_files():
    """No file may become larger than 100 kB, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_is_full_while_saving_is_said_in_one_line(saved, tokenizer, tmp_path):
    with pytest.raises(StorageError, match="the file would exceed the allowed size") as caught:
        save_model(saved[1], tokenizer, tmp_path, LINEAGE)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "polylect.json").exists()  # not sealed as a checkpoint


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(saved, tmp_path, name, value):
    """It was "its head is not a plain linear layer"."""
    folder = copy_of(saved, tmp_path)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    assert name in tensors
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] = value
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    text = refused(folder)
    assert f"{name} has a value that is NaN or infinite — fetch or make" in text
    assert text.startswith(str(folder))
