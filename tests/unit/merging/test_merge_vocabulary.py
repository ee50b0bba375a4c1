"""Models with other tokenizers, brought onto one vocabulary."""

import json

import numpy as np
import pytest
import tokenizers as hf
import torch
import transformers

from polylect.base import InputError, read_json
from polylect.checkpoints import Checkpoint, Lineage, read_floats
from polylect.cli import main
from polylect.merging import unify_vocabularies, verify
from polylect.merging.vocabulary.embeddings import align
from polylect.merging.vocabulary.union import Vocabulary, join_vocabularies
from polylect.models import BuildConfig, build_model, load_model, save_model
from polylect.text import Tokenizer, train_bpe

TEXTS = {
    "de": ["Das Haus steht auf dem Hügel über dem stillen Fluss und der alten Mühle."] * 3,
    "ru": ["Дом стоит на холме над тихой рекой и старой мельницей у дороги."] * 3,
}


def saved(folder, tag, *, seed, tied=True, special=()):
    tokenizer = train_bpe({tag: TEXTS[tag]}, vocab_size=290 + 10 * seed)
    config = BuildConfig(num_parameters=300_000, context_tokens=64, sliding_window=8, seed=seed)
    t = tokenizer
    model = build_model(config, t.vocab_size, t.bos_id, t.eos_id, t.pad_id)
    if not tied:
        model.config.tie_word_embeddings = False
        head = torch.empty_like(model.lm_head.weight).normal_(0, 0.05)
        model.lm_head.weight = torch.nn.Parameter(head)
    folder.mkdir()
    save_model(model, tokenizer, folder, Lineage(method="build", license="Apache-2.0"))
    for path in [folder / "tokenizer.json"] if special else []:
        data = json.loads(path.read_text())
        for number, content in enumerate(special):
            data["added_tokens"].append(
                {"id": 290 + 10 * seed + number, "content": content, "special": True,
                 "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
            )  # fmt: skip
        path.write_text(json.dumps(data))
        grown = transformers.AutoModelForCausalLM.from_pretrained(folder)
        grown.resize_token_embeddings(290 + 10 * seed + len(special), mean_resizing=True)
        grown.save_pretrained(folder)
    (folder / "polylect.json").unlink(missing_ok=True)
    return Checkpoint.open(folder)


@pytest.fixture
def models(tmp_path):
    models = {
        "de": saved(tmp_path / "de", "de", seed=0),
        "ru": saved(tmp_path / "ru", "ru", seed=1),
    }
    shapes = [{n: i.shape for n, i in model.tensors.items() if "embed" not in n}
              for model in models.values()]  # fmt: skip
    assert shapes[0] == shapes[1], "the fixture needs models that differ in the vocabulary alone"
    return models


def rows(checkpoint, name="model.embed_tokens.weight"):
    info = checkpoint.tensors[name]
    return read_floats(info).reshape(info.shape)


def spelled(checkpoint):
    return Tokenizer.load(checkpoint.path)._backend.get_vocab(with_added_tokens=True)


def test_the_first_models_ids_stay_and_the_others_tokens_follow(models):
    parts = [Vocabulary.read(label, model.path) for label, model in models.items()]
    union = join_vocabularies(parts)
    assert {token: union.ids[token] for token in parts[0].ids} == parts[0].ids
    assert union.ids.keys() == parts[0].ids.keys() | parts[1].ids.keys()
    assert sorted(union.ids.values()) == list(range(union.num_rows))
    new = [token for token in sorted(union.ids, key=union.ids.get) if token not in parts[0].ids]
    assert len(new) > 20
    assert new == sorted(new, key=parts[1].ids.get)
    assert {union.origin[token] for token in new} == {"ru"}


def test_the_joint_tokenizer_needs_no_more_tokens_than_each_models_own(models, tmp_path):
    aligned = align(models, "de")
    joint = aligned.write(tmp_path / "in")
    union = Tokenizer.load(joint["de"].path)
    for tag, model in models.items():
        tokenizer = Tokenizer.load(model.path)
        (before,), (after,) = tokenizer.encode(TEXTS[tag][:1]), union.encode(TEXTS[tag][:1])
        assert union.decode(after) == TEXTS[tag][0]
        assert len(after) <= len(before)
    # The first model's merges win, so that its own text is cut as before.
    tokenizer = Tokenizer.load(models["de"].path)
    assert [*tokenizer.encode(TEXTS["de"])[0]] == [*union.encode(TEXTS["de"])[0]]
    assert (union.bos_id, union.eos_id, union.pad_id) == (
        tokenizer.bos_id,
        tokenizer.eos_id,
        tokenizer.pad_id,
    )


def test_rows_move_with_their_tokens_and_missing_ones_are_means_of_their_parts(models, tmp_path):
    joint = align(models, "de").write(tmp_path / "in")
    for label, model in models.items():
        before, after = rows(model), rows(joint[label])
        ids, union = spelled(model), spelled(joint[label])
        backend = hf.Tokenizer.from_file(str(model.path / "tokenizer.json"))
        num_made = 0
        for token, number in union.items():
            if token in ids:
                assert np.array_equal(after[number], before[ids[token]])
                continue
            parts = [part.id for part in backend.model.tokenize(token)]
            assert len(parts) > 1
            mean = before[parts].astype(np.float64).mean(axis=0).astype(np.float32)
            assert np.allclose(after[number], mean, rtol=1e-6, atol=1e-9)
            num_made += 1
        assert num_made == len(union) - len(ids)
        for name in model.tensors:
            if "embed" not in name:
                assert np.array_equal(rows(joint[label], name), rows(model, name))


def test_a_model_gives_the_same_logits_on_the_joint_vocabulary(models, tmp_path):
    joint = align(models, "de").write(tmp_path / "in")
    model, moved = load_model(models["ru"]), load_model(joint["ru"])
    ids, union = spelled(models["ru"]), spelled(joint["ru"])
    back = {number: token for token, number in ids.items()}
    ids = Tokenizer.load(models["ru"].path).encode(TEXTS["ru"][:1])[0][:20]
    there = [union[back[int(id_)]] for id_ in ids]
    with torch.no_grad():
        before = model(torch.tensor([[*map(int, ids)]])).logits[0]
        after = moved(torch.tensor([there])).logits[0]
    columns = [union[back[number]] for number in range(before.shape[1])]
    assert torch.allclose(after[:, columns], before, atol=1e-5)
    assert moved.config.eos_token_id == union[back[model.config.eos_token_id]]
    assert moved.config.vocab_size == len(union)


def test_an_untied_head_is_moved_and_added_tokens_stay_added(tmp_path):
    models = {
        "de": saved(tmp_path / "de", "de", seed=0, tied=False),
        "ru": saved(tmp_path / "ru", "ru", seed=1, tied=False, special=("<|дом|>", "<|b|>")),
    }
    aligned = align(models, "de")
    joint = aligned.write(tmp_path / "in")
    union = spelled(joint["de"])
    before, after = (rows(checkpoints["de"], "lm_head.weight") for checkpoints in (models, joint))
    tokenizer = Tokenizer.load(models["de"].path)
    # An added token is read as the plain text that spells it.
    parts = tokenizer.encode(["<|дом|>"])[0]
    assert np.allclose(after[union["<|дом|>"]], before[parts].mean(axis=0), atol=1e-7)
    tokenizer = transformers.AutoTokenizer.from_pretrained(joint["ru"].path)
    assert tokenizer.convert_tokens_to_ids("<|b|>") == union["<|b|>"]
    assert tokenizer("a<|b|>", add_special_tokens=False)["input_ids"][-1] == union["<|b|>"]
    assert "<|b|>" in Tokenizer.load(joint["de"].path).special_texts


def test_the_command_merges_reports_and_verifies(models, tmp_path, capsys):
    paths = [str(model.path) for model in models.values()]
    out = tmp_path / "out"
    command = ["merge", "--models", *paths, "--out", str(out)]
    assert main(command) == 2
    assert "its tokenizer" in capsys.readouterr().err
    command += ["--vocabulary", "union"]
    assert main([*command, "--dry-run"]) == 0
    assert " made: row of a token that the model does not have (ru)\n" in capsys.readouterr().out
    assert not (tmp_path / "out-inputs").exists()
    assert main(command) == 0
    shown = "".join(capsys.readouterr())
    folder = tmp_path / "out-inputs" / "vocabulary"
    assert f"added tokens: {folder / 'vocabulary.json'}" in shown
    merged = Checkpoint.open(out)
    parts = [Checkpoint.open(folder / label) for label in ("de", "ru")]
    mean = (rows(parts[0]).astype(np.float64) + rows(parts[1])) / 2
    assert np.allclose(rows(merged), mean, atol=1e-7)
    assert verify(out).num_blocks > 0
    report = read_json(folder / "vocabulary.json")
    union, ids = spelled(merged), spelled(models["de"])
    assert report["tokens"] == report["rows"] == len(union)
    assert report["models"]["de"] == {"had": len(ids), "made": len(union) - len(ids)}
    row = next(row for row in report["made"] if row["from"] == "ru")
    assert row["token"] not in ids
    assert union[row["token"]] == row["id"]
    assert list(row["made_in"]) == ["de"]
    model = load_model(merged)
    assert model.get_input_embeddings().weight.shape[0] == len(union)
    assert main([*command[:-3], str(tmp_path / "again"), "--vocabulary", "unoin"]) == 2
    assert "did you mean union?" in capsys.readouterr().err


@pytest.mark.kill
def test_a_merge_killed_after_its_inputs_were_written_reuses_them(models, tmp_path):
    first = align(models, "de").write(tmp_path / "in")
    stamp = (first["ru"].path / "model.safetensors").stat().st_mtime_ns
    again = align(models, "de").write(tmp_path / "in")
    assert (again["ru"].path / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(InputError, match="not empty, and not this vocabulary input"):
        align(models, "ru").write(tmp_path / "in")


def test_models_with_the_same_tokenizer_are_returned_unchanged(models, tmp_path):
    unified, ledger = unify_vocabularies(
        {"a": models["de"], "b": models["de"]}, "a", tmp_path / "in"
    )
    assert unified == {"a": models["de"], "b": models["de"]}
    assert not list(ledger.rows())
    assert not (tmp_path / "in").exists()


def test_rows_of_no_token_are_left_out_and_counted(models):
    model = models["de"]
    config = dict(model.config)
    data = json.loads((model.path / "tokenizer.json").read_text())
    last = max(data["model"]["vocab"], key=data["model"]["vocab"].get)
    del data["model"]["vocab"][last]
    data["model"]["merges"].pop()
    (model.path / "tokenizer.json").write_text(json.dumps(data))
    aligned = align({"de": Checkpoint.open(model.path), "ru": models["ru"]}, "de")
    counted = {(event, where): num for event, where, num in aligned.ledger.rows()}
    assert counted["left out: row that belongs to no token", "de"] == 1
    assert config["vocab_size"] == 290


def change(path, **keys):
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | keys))


def test_tokenizers_with_different_rules_are_refused_naming_the_difference(models):
    path = models["ru"].path / "tokenizer.json"
    before = path.read_text()
    change(path, normalizer={"type": "NFC"})
    with pytest.raises(InputError, match="ru: its normalizer is not that of de"):
        align(models, "de")
    data = json.loads(before)
    path.write_text(json.dumps(data | {"model": data["model"] | {"ignore_merges": True}}))
    with pytest.raises(InputError, match="ignore_merges is True, in de False"):
        align(models, "de")
    path.write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: not a tokenizer"):
        align(models, "de")
    path.unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json, so its vocabulary cannot be joined"):
        align(models, "de")


def test_a_model_whose_rows_are_not_its_tokens_is_refused(models):
    path = models["ru"].path / "config.json"
    change(path, vocab_size=7)
    with pytest.raises(InputError, match="ru: no embedding with vocab_size = 7 rows"):
        align({"de": models["de"], "ru": Checkpoint.open(models["ru"].path)}, "de")


@pytest.mark.parametrize("kind", ["Unigram", "WordPiece", "WordLevel"])
def test_other_kinds_of_tokenizers_are_joined_too(tmp_path, kind):
    words = {"de": ["Haus", "auf", "am", "[UNK]"], "ru": ["Дом", "auf", "на"]}
    parts = []
    for tag, tokens in words.items():
        pieces = ["[UNK]", *dict.fromkeys([*tokens, *"abcdefHDoumsафДнмо"])]
        pieces = list(dict.fromkeys(pieces))
        if kind == "Unigram":
            scored = [(piece, -1.0 - number) for number, piece in enumerate(pieces)]
            model = hf.models.Unigram(scored, unk_id=0)
        else:
            vocab = {piece: number for number, piece in enumerate(pieces)}
            model = getattr(hf.models, kind)(vocab, unk_token="[UNK]")
        backend = hf.Tokenizer(model)
        backend.pre_tokenizer = hf.pre_tokenizers.Whitespace()
        backend.add_special_tokens([f"<{tag}>"])
        (tmp_path / tag).mkdir()
        backend.save(str(tmp_path / tag / "tokenizer.json"))
        parts.append(Vocabulary.read(tag, tmp_path / tag))
    union = join_vocabularies(parts)
    joint = hf.Tokenizer.from_str(json.dumps(union.data))
    assert joint.get_vocab() == dict(union.ids)
    assert joint.encode("Haus auf").tokens == ["Haus", "auf"]
    assert joint.encode("Дом на").tokens == ["Дом", "на"]
    assert joint.encode("<ru>").tokens == ["<ru>"]
    joint.encode_special_tokens = True
    assert joint.encode("<ru>").tokens != ["<ru>"]
    # Only Unigram has pieces to make a word of; what is unknown is no part of anything.
    letters = [parts[0].ids[letter] for letter in "Дом"] if kind == "Unigram" else []
    assert parts[0].parts("Дом", added=False) == letters
    assert parts[0].parts("猫", added=False) == []
