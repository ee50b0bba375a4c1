"""Base and instruct, and others that encode alike: what differs is chosen by a rule and said."""

import json
import shutil

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizer_layouts import OTHER_TEXT, TEXT, byte_level, fast, word_piece, write_weights

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.cli import main
from polylect.merging import MergeConfig, merge, unify_vocabularies

CHATML = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"


def model(folder, seed, layout=fast, **options):
    folder.mkdir()
    write_weights(folder, seed)
    layout(folder, TEXT, **options)
    return folder


def change(path, **keys):
    """Change keys of a JSON file; None removes one."""
    data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    data = {k: v for k, v in {**data, **keys}.items() if v is not None}
    path.write_text(json.dumps(data, ensure_ascii=False), "utf-8")


@pytest.fixture
def pair(tmp_path):
    """A base, and an instruct model with the same tokenizer, as they are published."""
    specials = ["<|im_start|>", "<|im_end|>"]
    base = model(tmp_path / "base", 0, specials=specials)
    instruct = model(tmp_path / "instruct", 1, specials=specials)
    change(base / "tokenizer_config.json", padding_side="right", model_max_length=2048)
    change(
        instruct / "tokenizer_config.json", padding_side="left", model_max_length=4096,
        eos_token="<|im_end|>", chat_template=CHATML, clean_up_tokenization_spaces=True,
    )  # fmt: skip
    change(instruct / "generation_config.json", eos_token_id=[321, 2], temperature=0.6)
    change(instruct / "config.json", eos_token_id=321)
    (base / "LICENSE").write_text("MIT")
    (instruct / "LICENSE").write_text("MIT")
    (instruct / "USE_POLICY.md").write_text("be kind")
    return base, instruct


def merged(pair, out, **options):
    models = {path.name: Checkpoint.open(path) for path in pair}
    return merge(MergeConfig(**options), models, out)


DIFFERENCES = [
    "chat template", "clean_up_tokenization_spaces in tokenizer_config.json",
    "eos_token in tokenizer_config.json", "eos_token_id in generation_config.json",
    "model_max_length in tokenizer_config.json", "padding_side in tokenizer_config.json",
    "temperature in generation_config.json",
]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"base": "base", "method": "task_arithmetic"}])
def test_base_and_instruct_are_merged_and_what_differs_is_said(pair, tmp_path, options):
    result = merged(pair, tmp_path / "out", **options)
    # The base has no template: the files are those of the model that has one.
    differs = [f"differs: {what}, taken from instruct" for what in DIFFERENCES]
    config = ("differs: eos_token_id in config.json, taken from base", "instruct", 1)
    assert list(result.ledger.rows()) == sorted([*((w, "base", 1) for w in differs), config])
    base, instruct = pair
    for name in ("tokenizer_config.json", "generation_config.json", "USE_POLICY.md", "LICENSE"):
        assert (tmp_path / "out" / name).read_bytes() == (instruct / name).read_bytes()
    assert (tmp_path / "out" / "config.json").read_bytes() == (base / "config.json").read_bytes()


def test_the_model_of_the_files_can_be_named(pair, tmp_path, capsys):
    result = merged(pair, tmp_path / "out", tokenizer_from="base")
    rows = [(event, where) for event, where, _ in result.ledger.rows()]
    assert ("left: a file that base has not", "instruct: USE_POLICY.md") in rows
    assert ("differs: padding_side in tokenizer_config.json, taken from base", "instruct") in rows
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert (config["padding_side"], "chat_template" in config) == ("right", False)
    assert result.checkpoint.lineage.settings["tokenizer_from"] == "base"
    command = ["merge", "--models", *map(str, pair), "--out", str(tmp_path / "by-name")]
    assert main([*command, "--tokenizer-from", "instuct"]) == 2
    assert "no model of this merge has that label — did you mean instruct?" in (
        capsys.readouterr().err
    )
    assert main([*command, "--tokenizer-from", "base"]) == 0
    printed = capsys.readouterr().out
    assert "files beside the weights: those of base" in printed
    # Each difference stands there once.
    lines = printed.splitlines()
    assert len(lines) == len(set(lines))
    assert main(["verify", str(tmp_path / "by-name")]) == 0


def test_a_recipe_names_the_model_of_the_files_as_mergekit_does(pair, tmp_path):
    recipe = tmp_path / "r.yml"
    for source, side in (("base", "left"), ("./base", "right"), ("./instruct", "left")):
        recipe.write_text(
            "merge_method: linear\nmodels:\n"
            "  - {model: ./instruct, parameters: {weight: 5e-1}}\n"
            f"  - {{model: ./base, parameters: {{weight: 0.5}}}}\ntokenizer_source: {source}\n"
        )
        out = tmp_path / f"out-{source.strip('./')}-{side}"
        assert main(["merge", str(recipe), "--out", str(out)]) == 0
        assert json.loads((out / "tokenizer_config.json").read_text())["padding_side"] == side


SAME = {
    "nothing": {},
    "truncation": {"truncation": {"direction": "Right", "max_length": 9, "strategy": "LongestFirst",
                                  "stride": 0}},
    "padding": {"padding": {"strategy": "BatchLongest", "direction": "Left", "pad_id": 0,
                            "pad_to_multiple_of": None, "pad_type_id": 0, "pad_token": "<PAD>"}},
    "post_processor": {"post_processor": None},
}  # fmt: skip


@pytest.mark.parametrize("what", SAME)
def test_what_does_not_encode_is_no_obstacle(tmp_path, what):
    first, second = model(tmp_path / "a", 0), model(tmp_path / "b", 1)
    path = second / "tokenizer.json"
    data = json.loads(path.read_text("utf-8")) | SAME[what]
    path.write_text(json.dumps(data), "utf-8")  # other bytes in any case
    result = merged((first, second), tmp_path / "out")
    expected = [] if what == "nothing" else [f"differs: {what} in tokenizer.json, taken from a"]
    assert [event for event, _, _ in result.ledger.rows()] == expected


def added(**flags):
    def write(data):
        data["added_tokens"][-1] |= flags

    return write


def renamed(data):
    vocab = data["model"]["vocab"]
    last = max(vocab, key=vocab.__getitem__)
    vocab["zzz"] = vocab.pop(last)
    data["model"]["merges"] = [m for m in data["model"]["merges"] if "".join(m) != last]


def swapped(data):
    vocab = data["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (swapped, r"token '[ab]' has the id \d+, in a it has the id \d+ — --vocabulary union"),
        (renamed, r"token '.+' is no token, in a it has the id \d+ — --vocabulary union"),
        (added(lstrip=True), "added token '<x>' is matched in text by other rules — merge models"),
        (lambda data: data["model"]["merges"].pop(), "merges of its model — merge models"),
        (lambda data: data.update(normalizer={"type": "NFC"}), "its normalizer — merge models"),
        (lambda data: data.update(pre_tokenizer={"type": "Whitespace"}), "its pre_tokenizer — "),
    ],
)
def test_what_encodes_is_refused_in_words(tmp_path, alter, words):
    first = model(tmp_path / "a", 0, specials=["<x>"])
    second = model(tmp_path / "b", 1, specials=["<x>"])
    path = second / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    alter(data)
    path.write_text(json.dumps(data), "utf-8")
    tokenizers.Tokenizer.from_file(str(path))
    with pytest.raises(InputError, match=f"b: its tokenizer is not that of a: {words}"):
        merged((first, second), tmp_path / "out")


def test_one_model_may_have_only_the_files_that_tokenizer_json_was_made_of(tmp_path):
    first, second = model(tmp_path / "a", 0), model(tmp_path / "b", 1, layout=byte_level)
    with pytest.raises(InputError, match=r"no file of a vocabulary is in both|it has merges\.txt"):
        merged((first, second), tmp_path / "out")
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(second / name, first / name)
    result = merged((first, second), tmp_path / "out")
    assert (tmp_path / "out" / "merges.txt").is_file()
    assert result.ledger.total("differs")
    (first / "merges.txt").write_text("#version: 0.2\na b\n")
    with pytest.raises(InputError, match=r"is not that of a: its merges\.txt — "):
        merged((first, second), tmp_path / "other")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", [byte_level, word_piece, fast])
def test_a_tokenizer_that_transformers_saved_again_is_the_same(tmp_path, layout):
    first = model(tmp_path / "a", 0, layout=layout)
    second = tmp_path / "b"
    second.mkdir()
    write_weights(second, 1)
    transformers.AutoTokenizer.from_pretrained(first).save_pretrained(second)
    result = merged((first, second), tmp_path / "out")
    differing = {event for event, _, _ in result.ledger.rows() if event.startswith("differs")}
    assert not [event for event in differing if "is_local" in event or "backend" in event]
    third = model(tmp_path / "c", 2, layout=lambda folder, _: layout(folder, OTHER_TEXT))
    with pytest.raises(InputError, match="b: its tokenizer is not that of c: "):
        merged((third, second), tmp_path / "other")


def test_a_model_without_a_tokenizer_is_refused_in_one_true_line(tmp_path):
    first, second = model(tmp_path / "a", 0), model(tmp_path / "b", 1)
    for path in second.glob("token*"):
        path.unlink()
    for pair, lacking in (((first, second), "b"), ((second, first), "b")):
        with pytest.raises(InputError, match=f"^{lacking}: no tokenizer, so that nothing says"):
            merged(pair, tmp_path / "out")


def test_models_without_any_tokenizer_are_merged(tmp_path):
    pair = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(pair):
        folder.mkdir()
        write_weights(folder, seed)
    assert not merged(pair, tmp_path / "out").ledger


# -- tensors that only one model's file has --------------------------------------------------------


def with_tensors(folder, **extra):
    path = folder / "model.safetensors"
    save_file(load_file(path) | extra, path, metadata={"format": "pt"})


def test_a_tied_head_and_buffers_in_one_file_only_are_left_and_named(tmp_path):
    pair = [model(tmp_path / "a", 0), model(tmp_path / "b", 1)]
    head = load_file(pair[0] / "model.safetensors")["model.embed_tokens.weight"]
    with_tensors(pair[0], **{
        "lm_head.weight": head.clone(),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8),
    })  # fmt: skip
    reference = merged([pair[1], pair[0]], tmp_path / "reversed")
    result = merged(pair, tmp_path / "out")
    assert result.checkpoint.tensor_digests == reference.checkpoint.tensor_digests
    assert "lm_head.weight" not in result.checkpoint.tensors
    assert [(event, where) for event, where, _ in result.ledger.rows()] == [
        ("left: a buffer that the model computes, in some models only",
         "a: model.layers.0.self_attn.rotary_emb.inv_freq"),
        ("left: a copy of model.embed_tokens.weight, to which it is tied, in some models only",
         "a: lm_head.weight"),
    ]  # fmt: skip
    # Another head is none that can be left, nor is any other tensor.
    with_tensors(pair[0], **{"lm_head.weight": head + 1})
    with pytest.raises(InputError, match=r"b: no tensor 'lm_head\.weight', which a has"):
        merged(pair, tmp_path / "other")
    with_tensors(
        pair[0], **{"lm_head.weight": head, "model.layers.0.bn.running_mean": head[0].clone()}
    )
    with pytest.raises(InputError, match=r"no tensor 'model\.layers\.0\.bn\.running_mean'"):
        merged(pair, tmp_path / "other")


def test_a_head_of_its_own_is_no_copy(tmp_path):
    pair = [model(tmp_path / "a", 0), model(tmp_path / "b", 1)]
    for folder in pair:
        change(folder / "config.json", tie_word_embeddings=False)
    head = load_file(pair[0] / "model.safetensors")["model.embed_tokens.weight"]
    with_tensors(pair[0], **{"lm_head.weight": head.clone()})
    with pytest.raises(InputError, match=r"b: no tensor 'lm_head\.weight', which a has"):
        merged(pair, tmp_path / "out")


# -- the union keeps what each model has -----------------------------------------------------------


def test_other_rows_of_one_tokenizer_are_brought_together_by_the_union(tmp_path):
    first, second = model(tmp_path / "a", 0), model(tmp_path / "b", 1)
    path = second / "model.safetensors"
    tensors = load_file(path)
    rows = torch.cat([tensors["model.embed_tokens.weight"], torch.zeros(8, 32)])
    save_file(tensors | {"model.embed_tokens.weight": rows}, path, metadata={"format": "pt"})
    change(second / "config.json", vocab_size=408)
    with pytest.raises(InputError, match=r"has shape \(408, 32\), in a \(400, 32\) — --vocabulary"):
        merged((first, second), tmp_path / "out")
    models = {path.name: Checkpoint.open(path) for path in (first, second)}
    unified, ledger = unify_vocabularies(models, "a", tmp_path / "unified")
    assert ledger.total("left out: row that belongs to no token") == 80 + 88
    assert merge(MergeConfig(), unified, tmp_path / "out").checkpoint.config["vocab_size"] == 320


def test_the_union_keeps_each_models_template_and_names_what_it_drops(tmp_path):
    first = model(tmp_path / "a", 0)
    second = model(tmp_path / "b", 1, specials=["<|im_start|>"])
    change(second / "tokenizer_config.json", chat_template=CHATML, eos_token="<|im_start|>",
           added_tokens_decoder={"320": {"content": "<|im_start|>"}})  # fmt: skip
    (second / "README.md").write_text("b")
    (second / "tokenizer.model").write_bytes(b"x")
    models = {path.name: Checkpoint.open(path) for path in (first, second)}
    unified, ledger = unify_vocabularies(models, "a", tmp_path / "unified")
    assert ("left: of the vocabulary before the union", "b: tokenizer.model", 1) in ledger.rows()
    result = merge(MergeConfig(), unified, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert (config["chat_template"], config["eos_token"]) == (CHATML, "<|im_start|>")
    assert "added_tokens_decoder" not in config
    assert (tmp_path / "out" / "README.md").read_text() == "b"
    assert result.ledger.total("differs: chat template") == 1


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
ALIKE = {
    "tokenizer.json": ("{}", "tokenizer.json: not a tokenizer that can be read"),
    "tokenizer_config.json": ("{", "tokenizer_config.json:1: not JSON"),
    "generation_config.json": ("{", "generation_config.json: not JSON"),
    "vocab.txt": (POINTER, "vocab.txt: is a Git LFS pointer"),
    "model.safetensors": (POINTER, "model.safetensors: is a Git LFS pointer"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_models_that_are_broken_alike_are_refused(pair, tmp_path, name):
    content, said = ALIKE[name]
    for folder in pair:
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=said):
        merged(pair, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_models_that_are_quantized_alike_are_refused(pair, tmp_path):
    for folder in pair:
        change(folder / "config.json", quantization_config={"quant_method": "gptq"})
    with pytest.raises(InputError, match="is quantized"):
        merged(pair, tmp_path / "out")
