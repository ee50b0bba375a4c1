"""Every layout of a tokenizer in every command that writes a checkpoint, by the guide's table."""

import json
import re
from pathlib import Path

import pytest
import tokenizer_layouts as cases
import torch
import transformers
from align_cases import chat_rows, pair_rows, write_lines
from safetensors.torch import save_file

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.cli import main
from polylect.merging import MergeConfig, merge, open_models
from polylect.quantization import QuantizeConfig, quantize
from polylect.runs import Call, Files, execute_into
from polylect.text import Tokenizer
from polylect.text.tokenizer_conversion import _is_installed
from polylect.training import (
    ExamplesConfig,
    OptimConfig,
    PreferenceConfig,
    RewardConfig,
    SftConfig,
    preference,
    reward,
    sft,
)

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "files.md"
FAST, RAW = "what encodes in `tokenizer.json`", "the files"
PROTOBUF = "read, through transformers, with `sentencepiece` and `protobuf`"


def rows_of(heading):
    """The rows of the table below a heading of the guide, as lists of cells."""
    text = GUIDE.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


ROWS = rows_of("Tokenizers by layout")


def test_the_table_has_every_layout():
    assert [row[0] for row in ROWS] == list(cases.LAYOUTS)
    assert len(ROWS) >= 12


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("layouts")


@pytest.fixture(scope="module")
def folder(root):
    """Writes a layout once."""

    def write(name):
        place = root / str(list(cases.LAYOUTS).index(name))
        if not place.exists():
            cases.write_layout(place, name)
            cases.write_beside(place)
        return place

    return write


def beside(folder):
    """What has to be carried: every file but the weights, config.json and what is left."""
    left = tuple(name for name in cases.LEFT)
    names = (p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file())
    return {
        name: (folder / name).read_bytes()
        for name in names
        if name not in {"config.json", "model.safetensors"} and not name.startswith(left)
    }


def assert_carried(source, out, but=()):
    carried, there = beside(source), beside(out)
    assert {"LICENSE", "README.md", "modeling_own.py"} <= set(carried)
    for name, content in carried.items():
        if name not in but:
            assert there.get(name) == content, name
    assert not [name for name in cases.LEFT if (out / name.strip("/")).exists()]


def assert_named(ledger, prefix=""):
    named = {where: event for event, where, _ in ledger.rows() if event.startswith("left: ")}
    assert named == {f"{prefix}{name}": f"left: {why}" for name, why in cases.LEFT.items()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"[^a-z. ]", "", row[0])[:30])
def test_merging_compares_and_carries(row, folder, tmp_path):
    first = folder(row[0])
    other = cases.copy_with_weights(first, tmp_path / "other", 1)
    models = {"first": Checkpoint.open(first), "other": Checkpoint.open(other)}
    result = merge(MergeConfig(), models, tmp_path / "out")
    assert_carried(first, tmp_path / "out")
    left = {w for e, w, _ in result.ledger.rows() if e.startswith("left: ")}
    assert left == {f"{label}: {name}" for label in models for name in cases.LEFT}
    assert not result.ledger.total("differs")
    # Other tokens: refused, in one line that names the file or the token.
    third = cases.write_layout(tmp_path / "third", row[0], text=cases.OTHER_TEXT, seed=2)
    models["other"] = Checkpoint.open(third)
    with pytest.raises(InputError) as caught:
        merge(MergeConfig(), models, tmp_path / "refused")
    message = str(caught.value)
    assert message.startswith("other: its tokenizer is not that of first: ")
    assert "\n" not in message
    if row[1] == FAST:
        assert re.search(r"token '.+' (is no token|has the id \d+), in first it ", message)
        assert message.endswith("--vocabulary union")
    else:
        assert row[1] == RAW
        assert any(name in message for name in models["first"].beside.vocabularies), message


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"[^a-z. ]", "", row[0])[:30])
def test_what_reads_text_reads_it_or_says_why_not(row, folder, capsys, tmp_path):
    place = folder(row[0])
    is_read = row[2].startswith("read")
    if row[2] == PROTOBUF:
        is_read = all(map(_is_installed, ("sentencepiece", "google.protobuf")))
    if is_read:
        ids = Tokenizer.load(place).encode(cases.TEXT)
        if row[2] == "read":
            peer = transformers.PreTrainedTokenizerFast(
                tokenizer_file=str(place / "tokenizer.json")
            )
        else:
            peer = transformers.AutoTokenizer.from_pretrained(place)
        for text, mine in zip(cases.TEXT, ids, strict=True):
            assert mine.tolist() == peer.encode(text, add_special_tokens=False)
        return
    write_lines(tmp_path / "chats.jsonl", chat_rows(4))
    write_lines(tmp_path / "prompts.jsonl", [{"id": "1", "language": "en", "prompt": "Hello"}])
    capsys.readouterr()
    data = ["--data", str(tmp_path / "chats.jsonl"), "--out", str(tmp_path / "out")]
    for command in (
        ["train", "sft", "--model", str(place), *data, "--dry-run"],
        [
            "generate",
            str(place),
            "--prompts",
            str(tmp_path / "prompts.jsonl"),
            "--out",
            str(tmp_path / "answers"),
        ],
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "no tokenizer.json, and " in error
        assert "put the model's tokenizer.json there" in error


TRAINED = [row for row in ROWS if row[2] in {"read", "read, through transformers"}]


@pytest.mark.parametrize("row", TRAINED, ids=lambda row: re.sub(r"[^a-z. ]", "", row[0])[:30])
def test_training_carries(row, folder, tmp_path):
    place = folder(row[0])
    write_lines(tmp_path / "chats.jsonl", chat_rows(2))
    examples = ExamplesConfig(epochs=1.0, batch_size=2, probes=0, template="plain")
    inputs = {"model": Files(place), "data": Files(tmp_path / "chats.jsonl")}
    config = SftConfig(examples=examples, optim=OptimConfig(learning_rate=1e-3))
    trained = execute_into(Call(sft, "out", config, inputs), tmp_path / "out")
    # The template that was trained with takes the place of all others.
    templates = {"chat_template.json", "additional_chat_templates/tool_use.jinja"}
    changed = {"generation_config.json", *templates}
    assert_carried(place, trained.path, but=changed)
    assert not any((trained.path / name).exists() for name in templates)
    assert_named(trained.ledger)
    ids = [Tokenizer.load(path).encode(cases.TEXT) for path in (place, trained.path)]
    assert [a.tolist() for a in ids[0]] == [b.tolist() for b in ids[1]]
    # Nothing else is taken for the tokenizer's in what is made of it.
    opened = [Checkpoint.open(path).beside.tokenizer for path in (place, trained.path)]
    assert set(opened[1]) <= {*opened[0], "tokenizer_config.json"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"[^a-z. ]", "", row[0])[:30])
def test_quantizing_carries(row, folder, tmp_path):
    assert row[3] == "carried"
    place = folder(row[0])
    result = quantize(Checkpoint.open(place), QuantizeConfig(scheme="w8"), None, tmp_path / "out")
    assert_carried(place, tmp_path / "out")
    assert_named(result.ledger)


def test_a_reward_model_names_its_padding_token_and_keeps_the_rest(folder, tmp_path):
    place = folder("`tokenizer.json` with `added_tokens.json` and `special_tokens_map.json`")
    path = place / "tokenizer_config.json"
    (tmp_path / "tokenizer.json").write_bytes((place / "tokenizer.json").read_bytes())
    (tmp_path / path.name).write_text(json.dumps({"custom": [1], "eos_token": "<EOS>"}))
    Tokenizer.load(tmp_path).with_pad().save_beside(tmp_path)
    written = json.loads((tmp_path / path.name).read_text())
    assert written == {"custom": [1], "eos_token": "<EOS>", "pad_token": "<PAD>"}


def test_a_dry_run_names_what_will_be_left(folder, tmp_path, capsys):
    place = folder("`tokenizer.json` and its configuration")
    write_lines(tmp_path / "chats.jsonl", chat_rows(2))
    merge_of = ["merge", "--models", str(place), str(place)]
    train = ["train", "sft", "--model", str(place), "--data", str(tmp_path / "chats.jsonl")]
    quantized = ["quantize", str(place), "--scheme", "w8"]
    for number, command in enumerate((merge_of, train, quantized)):
        assert main([*command, "--out", str(tmp_path / f"out{number}"), "--dry-run"]) == 0
        printed = capsys.readouterr().out
        for name, why in cases.LEFT.items():
            assert re.search(rf"left: {why} \((.+: )?{re.escape(name)}\)", printed), name


def test_preferences_and_rewards_carry_too(folder, tmp_path):
    place = folder("`tokenizer.json` and its configuration")
    write_lines(tmp_path / "pairs.jsonl", pair_rows(2))
    examples = ExamplesConfig(epochs=1.0, batch_size=2, probes=0, template="plain")
    optim = OptimConfig(learning_rate=1e-3)
    inputs = {"model": Files(place), "data": Files(tmp_path / "pairs.jsonl")}
    for step, config in (
        (preference, PreferenceConfig(examples=examples, optim=optim)),
        (reward, RewardConfig(examples=examples, optim=optim)),
    ):
        name = step.name.rsplit(".", 1)[-1]
        trained = execute_into(Call(step, "out", config, inputs), tmp_path / name)
        assert_carried(place, trained.path, but={"generation_config.json"})
        assert_named(trained.ledger)


def test_an_adapter_merged_into_its_base_carries_and_what_lies_beside_it_is_named(folder, tmp_path):
    place = folder("`tokenizer.json` and its configuration")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    start = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    save_file({f"{start}A.weight": torch.zeros(2, 32), f"{start}B.weight": torch.zeros(32, 2)},
              adapter / "adapter_model.safetensors")  # fmt: skip
    config = {"peft_type": "LORA", "lora_alpha": 2}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "chat_template.jinja").write_text("{{ 1 }}")
    ledger = Ledger()
    (merged,) = open_models([Path(f"{place}+{adapter}")], tmp_path / "inputs", ledger)
    assert_carried(place, merged.path)
    rows = {(event, where) for event, where, _ in ledger.rows()}
    assert ("left: a file beside the adapter", "adapter: chat_template.jinja") in rows
    label = f"{place.name}+adapter"
    named = {(f"left: {why}", f"{label}: {name}") for name, why in cases.LEFT.items()}
    assert named <= rows
