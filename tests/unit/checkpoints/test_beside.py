"""What lies beside the weights: carried, taken for the tokenizer's, or left with a reason."""

import pytest

from polylect.base import InputError, Ledger
from polylect.checkpoints import files_beside

TOKENIZER = [
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "tokenizer.model.v3",
    "spiece.model", "sentencepiece.bpe.model", "source.spm", "tekken.json", "qwen.tiktoken",
    "bpe.codes", "ice_text.model", "tokenization_own.py", "what_is_this.dat",
]  # fmt: skip
TEMPLATES = [
    "chat_template.jinja", "chat_template.json", "additional_chat_templates/tool_use.jinja",
]  # fmt: skip
OTHERS = [
    "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "modules.json", "1_Pooling/config.json",
    "2_Dense/model.safetensors", "config_sentence_transformers.json", "modeling_own.py",
    "configuration_own.py", "params.json",
]  # fmt: skip
DOCUMENTS = ["LICENSE", "LICENSE.txt", "NOTICE", "README.md", "USE_POLICY.md", "assets/logo.png",
             "eval_results.json", "train.yaml"]  # fmt: skip
LEFT = {
    "weights in another format": [
        "pytorch_model.bin", "pytorch_model.bin.index.json", "model.gguf", "model.onnx",
        "consolidated.safetensors", "consolidated.00.pth", "tf_model.h5", "flax_model.msgpack",
        "original/", "onnx/", "1_Pooling/pytorch_model.bin",
    ],
    "state or log of a training": [
        "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin",
        "trainer_state.json", "checkpoint-500/", "global_step10/", "runs/",
        "events.out.tfevents.1.x",
    ],
    "hidden or temporary": [".git/", ".gitattributes", ".cache/", "__pycache__/", "x.lock"],
    "settings of another quantization": ["quantize_config.json", "hf_quant_config.json"],
    "an adapter, which is not applied": ["adapter/", "adapter_config.json"],
    "weights of another model": ["older/"],
}  # fmt: skip
RECORDS = ["merge.json", "metrics.jsonl", "volatile.json"]


@pytest.fixture
def folder(tmp_path):
    names = [*TOKENIZER, *TEMPLATES, *OTHERS, *DOCUMENTS, "config.json", "model.safetensors"]
    for name in [*names, *(entry for entries in LEFT.values() for entry in entries)]:
        path = tmp_path / name
        if name.endswith("/"):
            path.mkdir()
            path = path / ("adapter_config.json" if name == "adapter/" else "model.safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "modules.json").write_text(
        '[{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}]'
    )
    return tmp_path


def test_every_file_is_carried_or_left_with_its_reason(folder):
    beside = files_beside(folder, {"model.safetensors"})
    assert sorted(beside.carried) == sorted([*TOKENIZER, *TEMPLATES, *OTHERS, *DOCUMENTS])
    reasons = {name: reason for reason, names in LEFT.items() for name in names}
    assert dict(beside.left) == reasons
    assert sorted(beside.tokenizer) == sorted(TOKENIZER)
    assert sorted(beside.templates) == sorted(TEMPLATES)
    assert sorted({*beside.carried} - {*beside.content}) == sorted(DOCUMENTS)
    assert "what_is_this.dat" not in beside.vocabularies
    ledger = Ledger()
    beside.count_left(ledger, "m")
    assert ("left: weights in another format", "m: original/", 1) in ledger.rows()


def test_records_of_polylect_are_no_files_of_the_model(tmp_path):
    for name in RECORDS:
        (tmp_path / name).write_text("x")
    assert sorted(files_beside(tmp_path).carried) == sorted(RECORDS)  # of somebody else
    (tmp_path / "polylect.json").write_text("{}")
    assert files_beside(tmp_path).carried == ()


def test_links_are_followed_to_files_and_not_into_folders(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "1").write_text("x")
    model = tmp_path / "model"
    model.mkdir()
    (model / "vocab.txt").symlink_to(tmp_path / "blobs" / "1")  # as in the Hub's cache
    (model / "loop").symlink_to(model)
    (model / "gone.txt").symlink_to(tmp_path / "nowhere")
    beside = files_beside(model)
    assert beside.carried == ("vocab.txt",)
    assert dict(beside.left) == {"gone.txt": "not a file", "loop/": "hidden or temporary"}


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "chat_template.jinja", "spiece.model", "generation_config.json"]
)
def test_a_link_to_nothing_that_the_model_needs_is_refused(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=f"{name}: a link to what is not there"):
        files_beside(tmp_path)


def test_a_list_of_modules_that_is_none_is_one_line(tmp_path):
    (tmp_path / "modules.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"modules\.json: not a list of modules"):
        files_beside(tmp_path)


def test_a_document_that_is_a_pointer_is_left_and_named(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    for name in ("logo.png", "vocab.txt", "README.md"):
        (tmp_path / name).write_text(pointer if name != "README.md" else "# A model")
    beside = files_beside(tmp_path)
    assert beside.carried == ("README.md", "vocab.txt")  # what decides is refused where it is used
    assert beside.left == {"logo.png": "a Git LFS pointer, not the file itself"}
