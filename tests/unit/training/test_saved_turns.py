"""The template that was trained with goes into the checkpoint, and so does the end of a turn."""

import json

import pytest
import torch
import transformers
from align_cases import CHATML, chat_rows, pair_rows, write_lines, write_model
from chat_families import FAMILIES

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.merging import MergeConfig, merge
from polylect.rows import Message, as_dicts
from polylect.runs import Call, Files, execute_into
from polylect.text import Tokenizer, style_or_plain
from polylect.text.turns import NO_TEMPLATE, Plain, style_of
from polylect.training import (
    ExamplesConfig,
    OptimConfig,
    PreferenceConfig,
    SftConfig,
    open_policy,
    preference,
    sft,
)

OPTIM = OptimConfig(learning_rate=1e-2, weight_decay=0.0, schedule="constant")
SPECIALS = ("<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>",
            "<|end_header_id|>", "<start_of_turn>", "<end_of_turn>")  # fmt: skip
CHAT = [Message("user", "what do you see"), Message("assistant", "a tree"),
        Message("user", "and then")]  # fmt: skip


def train(place, out, template, *, model="model", step=sft, epochs=1.0):
    examples = ExamplesConfig(epochs=epochs, batch_size=4, probes=0, template=str(template))
    kind, data = (SftConfig, "chats") if step is sft else (PreferenceConfig, "pairs")
    config = kind(examples=examples, optim=OPTIM)
    inputs = {"model": Files(place / model), "data": Files(place / f"{data}.jsonl")}
    return execute_into(Call(step, "out", config, inputs), out)


@pytest.fixture
def place(tmp_path):
    write_lines(tmp_path / "chats.jsonl", chat_rows(8))
    write_lines(tmp_path / "pairs.jsonl", pair_rows(8))
    write_model(tmp_path / "model", specials=SPECIALS)
    return tmp_path


@pytest.mark.parametrize("family", ["Llama 3", "Gemma", "Qwen (ChatML)"])
@pytest.mark.parametrize("before", ["", FAMILIES["Mistral"][0]])
def test_a_template_of_a_file_is_saved_with_its_end_of_turn(place, family, before):
    template, _, end = FAMILIES[family]
    if before:
        path = place / "model" / "tokenizer_config.json"
        config = json.loads(path.read_text()) | {"chat_template": before}
        path.write_text(json.dumps(config))
    file = place / "turns.jinja"
    file.write_text(template)
    out = train(place, place / "out", file).path
    tokenizer = Tokenizer.load(out)
    peer = transformers.AutoTokenizer.from_pretrained(out)
    assert peer.chat_template == template
    used = style_of(place / "model", Tokenizer.load(place / "model"), str(file))
    # The next training and every command take it by default.
    ledger = Ledger()
    policy = open_policy(out, ExamplesConfig(), ledger)
    assert not ledger
    assert policy.style.ends() == used.ends()
    assert policy.style.render(CHAT).ids.tolist() == used.render(CHAT).ids.tolist()
    # What follows the last answer teaches nothing, and is left away.
    rendered = peer.apply_chat_template(as_dicts(CHAT[:2]), return_dict=False)
    assert rendered == used.render(CHAT).ids.tolist()
    # Plain transformers stops at the end of the turn, and at the end of the text as before.
    settings = transformers.GenerationConfig.from_pretrained(out)
    (end_id,) = used.ends()
    assert tokenizer.text_of(end_id) == end
    assert settings.eos_token_id == [tokenizer.eos_id, end_id]
    again = train(place, place / "again", "own", model="out", step=preference).path
    assert (again / "chat_template.jinja").read_bytes() == (
        out / "chat_template.jinja"
    ).read_bytes()
    assert transformers.GenerationConfig.from_pretrained(again).eos_token_id == [
        tokenizer.eos_id, end_id
    ]  # fmt: skip
    assert Checkpoint.open(out).lineage.settings["turns"].startswith("template ")
    Checkpoint.open(out).verify()


def test_transformers_generate_stops_at_the_end_of_the_turn(place):
    file = place / "turns.jinja"
    file.write_text(CHATML)
    out = train(place, place / "out", file, epochs=40).path
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    prompt = tokenizer.apply_chat_template(
        as_dicts(CHAT[:1]), add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    torch.manual_seed(0)
    ids = model.generate(**prompt, max_new_tokens=60, do_sample=False)[0].tolist()
    new = ids[prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(new[-1:]) == "<|im_end|>"
    assert len(new) < 60


@pytest.mark.parametrize("before", ["", CHATML])
def test_plain_turns_are_saved_as_a_template(place, before):
    if before:
        (place / "model" / "chat_template.jinja").write_text(before)
    artifact = train(place, place / "out", "plain" if before else "own")
    assert (NO_TEMPLATE in artifact.ledger.by_event()) == (not before)
    tokenizer, ledger = Tokenizer.load(artifact.path), Ledger()
    style = style_or_plain(artifact.path, tokenizer, "own", ledger)
    assert isinstance(style, Plain)
    assert not ledger
    peer = transformers.AutoTokenizer.from_pretrained(artifact.path)
    for num in (1, 2, 3):
        given = peer.apply_chat_template(as_dicts(CHAT[:num]), return_dict=False)
        assert given == style.prompt(CHAT[:num]).tolist()
        assert given == style.whole(CHAT[:num]).tolist()
    settings = transformers.GenerationConfig.from_pretrained(artifact.path)
    assert settings.eos_token_id == tokenizer.eos_id


def test_the_parents_own_template_is_carried_as_it_is(place):
    path = place / "model" / "tokenizer_config.json"
    named = [{"name": "default", "template": CHATML}, {"name": "rag", "template": "x"}]
    config = json.loads(path.read_text()) | {"chat_template": named}
    path.write_text(json.dumps(config))
    out = train(place, place / "out", "own").path
    assert not (out / "chat_template.jinja").exists()
    assert json.loads((out / "tokenizer_config.json").read_text())["chat_template"] == named


def test_experts_with_turns_and_their_base_without_can_be_merged(place):
    file = place / "turns.jinja"
    file.write_text(CHATML)
    expert = train(place, place / "expert", file).path
    plain = train(place, place / "plain", "own").path
    models = {name: Checkpoint.open(path) for name, path in
              (("base", plain), ("expert", expert))}  # fmt: skip
    assert len({model.tokenizer_digest for model in models.values()}) == 1
    assert len({model.digest for model in models.values()}) == 2
    config = MergeConfig(method="linear", base=None)
    result = merge(config, models, place / "merged")
    assert result.ledger.total("differs: chat template") == 1
    (plain / "chat_template.jinja").unlink()
    models["base"] = Checkpoint.open(plain)
    merged = merge(config, models, place / "with-template").checkpoint.path
    assert (merged / "chat_template.jinja").read_text() == CHATML
    assert (merged / "generation_config.json").read_bytes() == (
        expert / "generation_config.json"
    ).read_bytes()
