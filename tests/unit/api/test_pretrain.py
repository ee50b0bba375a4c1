"""``train.pretrain``: other people's text, as files lie, trained on as plain transformers would."""

import json
import shutil

import polars as pl
import pytest
import torch
import transformers
from align_cases import BAD, GOOD, write_lines, write_model
from command_line import run_verb

import polylect
from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.text import Tokenizer

FEW = {"batch_tokens": 60, "context_tokens": 16, "threads": 1}
SAID = {
    "cy": "Mae'r tŷ coch yn fawr ac mae'r goeden yn fach iawn heddiw.",
    "ja": "赤い家は大きくて、木はとても小さいです。",
    "ar": "البيت الأحمر كبير والشجرة صغيرة جدا اليوم.",
    "th": "บ้านสีแดงหลังใหญ่และต้นไม้ต้นเล็ก",
    "x-mine": "toki tawa ale li pona mute tawa mi",
    "sr-Latn": "Crvena kuća je velika, a drvo je malo.",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    write_model(folder / "model")
    rows = [{"text": f"{text} {number}", "language": tag}
            for tag, text in SAID.items() for number in range(3)]  # fmt: skip
    write_lines(folder / "rows.jsonl", rows)
    pl.DataFrame(rows).write_parquet(folder / "rows.parquet")
    for tag, text in SAID.items():
        (folder / "texts" / tag).mkdir(parents=True)
        for number in range(3):
            (folder / "texts" / tag / f"{number}.txt").write_text(f"{text} {number}", "utf-8")
    return folder


def by_language(trained):
    sums = {}
    for row in trained.metrics:
        for tag, values in row["by_language"].items():
            sums[tag] = sums.get(tag, 0) + values["tokens"]
    return sums


def test_python_and_the_command_write_the_same_bytes(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    made = polylect.train.pretrain("model", "rows.jsonl", **FEW, tokens=200, shares={"cy": 3})
    words = [word for name, value in (FEW | {"tokens": 200}).items()
             for word in (f"--{name.replace('_', '-')}", value)]  # fmt: skip
    run_verb("train pretrain", "model", "rows.jsonl", *words, "--shares", "cy=3",
             "--out", "by-command", "--json")  # fmt: skip
    assert json.loads(capsys.readouterr().out) == made.rows()
    for name in ("model.safetensors", "metrics.jsonl", "mixture.json", "tokenizer.json"):
        assert (made.path / name).read_bytes() == (place / "by-command" / name).read_bytes()
    assert set(by_language(made)) == {"cy"}
    checkpoint = made.checkpoint
    assert checkpoint.lineage.method == "pretrain"
    assert checkpoint.lineage.parents[0].digest == Checkpoint.open(place / "model").digest
    assert "Mixture" in made.page.read_text("utf-8")


@pytest.mark.parametrize("data", ["rows.jsonl", "rows.parquet", "texts"])
def test_what_text_is_said_to_be_is_believed(place, data, tmp_path):
    trained = polylect.train.pretrain(place / "model", place / data, **FEW, out=tmp_path / "out")
    assert set(by_language(trained)) == set(SAID)
    mixture = json.loads((trained.path / "mixture.json").read_text())
    assert {row["language"] for row in mixture} == set(SAID)
    assert sum(row["tokens"] for row in mixture) == sum(row["available"] for row in mixture)


def test_the_first_loss_is_that_of_plain_transformers(place, tmp_path):
    file = write_lines(tmp_path / "one.jsonl", [{"text": GOOD[0], "language": "en"}])
    trained = polylect.train.pretrain(
        place / "model", file, batch_tokens=999, context_tokens=128, tokens=10, out=tmp_path / "o"
    )
    (row,) = trained.metrics
    model = transformers.AutoModelForCausalLM.from_pretrained(place / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(place / "model")
    ids = [tokenizer.bos_token_id, *tokenizer.encode(GOOD[0], add_special_tokens=False)]
    ids = torch.tensor([[*ids, tokenizer.eos_token_id][:10]])
    with torch.no_grad():
        assert row["loss"] == pytest.approx(float(model(ids, labels=ids).loss), rel=1e-5)
    assert row["tokens"] == ids.shape[1]


def test_every_document_is_read_once_however_short(place, tmp_path):
    rows = [{"text": f"{number:03}", "language": "cy"} for number in range(60)]
    rows += [{"text": " ".join([*GOOD, *BAD] * 3), "language": "de"}]
    file = write_lines(tmp_path / "short.jsonl", rows)
    trained = polylect.train.pretrain(
        place / "model", file, batch_tokens=99, context_tokens=32, out=tmp_path / "out"
    )
    tokenizer = Tokenizer.load(place / "model")
    ids = [tokenizer.encode([row["text"]])[0] for row in rows]
    assert by_language(trained) == {
        "cy": sum(len(one) + 1 for one in ids[:-1]), "de": len(ids[-1]) + 1
    }  # fmt: skip
    assert not trained.ledger.total("cut")
    assert not trained.ledger.total("repeated")


def test_empty_files_are_counted(place, tmp_path):
    (tmp_path / "text" / "cy").mkdir(parents=True)
    for name, text in (("a", "Mae'r tŷ coch yn fawr."), ("b", ""), ("c", " \n ")):
        (tmp_path / "text" / "cy" / f"{name}.txt").write_text(text, "utf-8")
    trained = polylect.train.pretrain(
        place / "model", tmp_path / "text", **FEW, out=tmp_path / "out"
    )
    assert trained.ledger.total("dropped: empty file") == 2
    with pytest.raises(InputError, match=r"b\.txt: no text is left \(1 dropped: empty file\)"):
        polylect.train.pretrain(place / "model", tmp_path / "text" / "cy" / "b.txt", dry_run=True)


def test_shares_stages_and_a_language_for_all(place, tmp_path):
    stages = tmp_path / "stages.json"
    stages.write_text('[{"shares": {"cy": 1, "ja": 1}}, {"part": 2, "temperature": 5}]')
    trained = polylect.train.pretrain(
        place / "model", place / "texts", mixture=stages, **FEW, tokens=400, max_epochs=9,
        out=tmp_path / "a",
    )  # fmt: skip
    rows = json.loads((trained.path / "mixture.json").read_text())
    first = {row["language"]: row["tokens"] for row in rows if row["stage"] == 1}
    assert first == {"cy": 66, "ja": 67} or first == {"cy": 67, "ja": 66}
    assert len([row for row in rows if row["stage"] == 2]) == len(SAID)
    (tmp_path / "plain.txt").write_text("\n\n".join([*GOOD, *BAD]))
    trained = polylect.train.pretrain(
        place / "model", tmp_path / "plain.txt", default_language="gd", **FEW, out=tmp_path / "b"
    )
    assert set(by_language(trained)) == {"gd"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tokens": 10**9}, "asks for 1,000,000,000 tokens, but text and epoch caps give only"),
        ({"shares": {"de": 1}}, "shares ask for 1 of de, of which there is no example"),
        ({"context_tokens": 4096}, "context_tokens is 4096, the model takes 2 to 128"),
        ({"languages": ["de"]}, "no text is left"),
        ({"tokens": 0}, "tokens"),
        ({"lora_rank": 4}, "no option 'lora_rank'"),
    ],
)
def test_mistakes_are_one_line(place, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        polylect.train.pretrain(
            place / "model", place / "rows.jsonl", **FEW | options, out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(place, monkeypatch):
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    lines = polylect.train.pretrain("model", "texts", **FEW, dry_run=True).lines()
    assert any("updates at a peak rate" in line for line in lines)
    assert any(line.strip().startswith("x-mine: ") for line in lines)
    assert sorted(place.rglob("*")) == before


def test_a_context_beyond_the_short_positions_of_longrope_is_refused(place, tmp_path):
    shutil.copytree(place / "model", tmp_path / "long")
    path = tmp_path / "long" / "config.json"
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 64}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rope_parameters": rope}))
    with pytest.raises(InputError, match=r"takes 2 to 64 in training \(LongRoPE"):
        polylect.train.pretrain(
            tmp_path / "long", place / "rows.jsonl", context_tokens=100, dry_run=True
        )
