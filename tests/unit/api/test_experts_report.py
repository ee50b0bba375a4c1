"""``experts report``: planted routing, planted damage, its files, its page, and what is refused."""

import json
import re
import shutil

import numpy as np
import polars
import pytest
import torch
from command_line import polylect_in_process
from expert_models import TEXTS, write_data, write_model
from safetensors.torch import load_file, save_file

import polylect as pl
from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.text import train_bpe

NAMES = ("de", "fr", "code", "ja")
DATA = [f"{name}.jsonl" for name in NAMES]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for number, name in enumerate(("seed", *NAMES)):
        write_model(folder / name, "llama", number)
    write_data(folder, num=12)
    for router in ("nexus", "linear", "mlp", "oracle"):
        pl.experts.upcycle(
            seed_model=folder / "seed", experts=[folder / name for name in NAMES], router=router,
            data=[folder / file for file in DATA], out=folder / f"moe-{router}",
        )  # fmt: skip
    return folder


@pytest.fixture(autouse=True)
def _here(root, monkeypatch):
    monkeypatch.chdir(root)


def changed(source, folder, change):
    """A copy of a checkpoint, its tensors changed in place."""
    shutil.copytree(source, folder)
    (folder / "polylect.json").unlink(missing_ok=True)
    file = next(folder.glob("*.safetensors"))
    tensors = {name: value.clone() for name, value in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def command(line, *more):
    return polylect_in_process(*line.split(), *map(str, more))


def test_planted_routing_is_reported(tmp_path):
    """A linear router whose logits are planted: with equal rows, the first expert has all tokens;
    with two rows of opposite sign, they share every token between them."""

    def all_to_the_third(tensors):
        for name in tensors:
            if name.endswith("router.rows.weight"):
                tensors[name].zero_()
            if name.endswith("layernorm.weight"):
                tensors[name].fill_(1.0)
            if name == "model.embed_tokens.weight":
                tensors[name][:, 0] = 40.0  # one direction that all tokens have
        for name in tensors:
            if name.endswith("router.rows.weight"):
                tensors[name][2, 0] = 50.0

    model = changed("moe-linear", tmp_path / "planted", all_to_the_third)
    report = pl.experts.report(model, data=DATA, out=tmp_path / "out")
    shares = {(row["domain"], row["expert"]): row["share"] for row in report.rows()}
    for domain in NAMES:
        assert [shares[domain, name] for name in NAMES] == [0, 0, 1, 0]
    own = {row["domain"]: row for row in report.content["own"]}
    assert (own["code"]["share"], own["de"]["share"]) == (1.0, 0.0)
    assert own["code"]["upper"] == 1.0
    assert own["code"]["lower"] < 1.0
    assert [row["expert"] for row in report.content["use"] if not row["used"]] == ["de", "fr", "ja"]
    assert "Used by nobody (below 1 % of all choices): de, fr, ja." in "\n".join(report.lines())


@pytest.mark.parametrize("router", ["nexus", "linear", "mlp", "oracle"])
def test_every_router_has_shares_that_add_up_and_a_table_that_gives_them(router, tmp_path):
    report = pl.experts.report(f"moe-{router}", data=DATA, out=tmp_path / "out")
    table = report.table()
    sums = table.group_by("domain").agg(polars.col("share", "gate_share").sum())
    np.testing.assert_allclose(sums["share"], 1)
    np.testing.assert_allclose(sums["gate_share"], 1)
    routing = report.routing
    part = routing.filter((polars.col("domain") == "fr") & (polars.col("expert") == 1))
    whole = routing.filter(polars.col("domain") == "fr")["choices"].sum()
    share = table.filter((polars.col("domain") == "fr") & polars.col("own"))["share"].item()
    assert share == pytest.approx(part["choices"].sum() / whole)
    content = report.content
    assert (content["geometry"] is None) == (router in {"mlp", "oracle"})
    if router == "oracle":
        assert {row["share"] for row in content["own"]} == {1.0}
        assert {row["lower"] for row in content["own"]} == {1.0}
        assert "by construction" in "\n".join(report.lines())
        assert "by construction" in report.page.read_text(encoding="utf-8")


def test_with_two_experts_a_token_no_share_is_above_a_half(tmp_path):
    shutil.copytree("moe-nexus", tmp_path / "two")
    (tmp_path / "two/polylect.json").unlink()
    config = json.loads((tmp_path / "two/config.json").read_text())
    config |= {"num_experts_per_tok": 2, "domains": []}
    (tmp_path / "two/config.json").write_text(json.dumps(config))
    report = pl.experts.report(tmp_path / "two", data=DATA, out=tmp_path / "out")
    assert report.table()["share"].max() <= 0.5
    routing = report.routing
    counted = routing.group_by("domain", "language", "document", "block").agg(
        polars.col("choices").sum(), polars.col("tokens").first()
    )
    assert (counted["choices"] == 2 * counted["tokens"]).all()
    assert "no expert can have more than 50%" in report.page.read_text(encoding="utf-8")
    # Without records no language has an own expert; a single file then has no own share.
    report = pl.experts.report(tmp_path / "two", data=["all=de.jsonl"], out=tmp_path / "other")
    assert report.content["own"] == []
    assert "Own expert" not in report.page.read_text(encoding="utf-8")


def test_a_quantized_mixture_has_a_report(tmp_path):
    pl.quantize(
        "moe-nexus",
        scheme="w8",
        calibration="de.jsonl",
        quota="uniform",
        out=tmp_path / "w8",
        samples=4,
        sample_tokens=16,
        eval_samples_per_language=1,
    )
    whole = pl.experts.report("moe-nexus", data=DATA, out=tmp_path / "whole")
    report = pl.experts.report(tmp_path / "w8", data=DATA, against={"whole": "moe-nexus"},
                               out=tmp_path / "out")  # fmt: skip
    first, second = whole.content["sizes"], report.content["sizes"]
    assert (first["total"], first["active"]) == (second["total"], second["active"])
    assert "I32" in {row["dtype"] for row in second["bytes"]}
    np.testing.assert_allclose(report.table()["share"], whole.table()["share"], atol=0.1)


def test_planted_damage_is_found_worst_hurt_first_and_compare_reads_the_scores(root, tmp_path):
    from polylect.models import load_model
    from polylect.text import Tokenizer

    tokenizer = Tokenizer.load(root / "seed")
    ids = {name: np.concatenate(tokenizer.encode([TEXTS[name]])) for name in NAMES}
    with torch.no_grad():
        whole = torch.from_numpy(np.concatenate([[1], *ids.values()]))[None, :128]
        mean = load_model(Checkpoint.open("moe-nexus")).model(whole).last_hidden_state[0].mean(0)

    def hurt(tensors):
        """Tokens that only Japanese text has become unlikely."""
        rows = sorted({*ids["ja"]} - {*ids["de"]} - {*ids["fr"]} - {*ids["code"]})
        tensors["lm_head.weight"][rows] -= 3 * mean / mean.norm()

    model = changed("moe-nexus", tmp_path / "hurt", hurt)
    report = pl.experts.report(model, data=DATA, against={"before": "moe-nexus", "twin": model},
                               out=tmp_path / "out")  # fmt: skip
    first, twin = report.content["comparisons"]
    verdicts = {row["language"]: row["verdict"] for row in first["languages"]}
    assert first["languages"][0]["language"] == "ja"
    assert verdicts["ja"] == "paid"
    assert "most Japanese" in first["sentence"]
    assert {row["verdict"] for row in twin["languages"]} == {"not separable"}
    assert {row["gain"] for row in twin["languages"]} == {0.0}
    compared = pl.compare(report.path / "against/before", report, out=tmp_path / "compare")
    row = compared.languages.row(0, named=True)
    assert (row["language"], row["verdict"]) == ("ja", "paid")
    assert row["change"] == pytest.approx(first["languages"][0]["change"])
    scored = report.scores
    assert scored["group"].unique().sort().to_list() == sorted(NAMES)
    # Bits per byte by a plain pass of transformers.
    from transformers import AutoTokenizer

    text = TEXTS["de"].format(0)
    tokens = AutoTokenizer.from_pretrained("seed")(text, add_special_tokens=False)["input_ids"]
    plain = load_model(Checkpoint.open("moe-nexus"))
    with torch.no_grad():
        logits = plain(torch.tensor([[1, *tokens]])).logits[0, :-1].double().log_softmax(-1)
    bits = -logits[range(len(tokens)), tokens].sum().item() / np.log(2) / len(text.encode())
    table = polars.read_parquet(report.path / "against/before/scores.parquet")
    values = table.filter(polars.col("language") == "de")["value"].to_list()
    assert min(abs(value - bits) for value in values) < 1e-4


def test_the_same_call_finds_the_same_report_and_equal_calls_give_equal_bytes(tmp_path):
    from polylect.runs import open_artifact

    line = "experts report moe-nexus --data de.jsonl fr.jsonl --against seed=seed --texts 5"
    done = [command(line, "--out", tmp_path / name) for name in "ab"]
    assert [one.returncode for one in done] == [0, 0], done[0].stderr
    digests = {open_artifact(tmp_path / name).digest for name in "ab"}
    assert len(digests) == 1
    assert "this result is there already" in command(line, "--out", tmp_path / "a").stderr
    other = command(line.replace("--texts 5", "--texts 6"), "--out", tmp_path / "a")
    assert other.returncode == 2
    rows = json.loads(command(line, "--out", tmp_path / "a", "--json").stdout)
    assert [(row["domain"], row["expert"]) for row in rows][:2] == [("de", "de"), ("de", "fr")]
    plan = command(line, "--dry-run", "--out", tmp_path / "c")
    assert "de: 5 of 12 texts of de.jsonl, own expert de, de" in plan.stdout
    assert not (tmp_path / "c").exists()


def test_the_page_stands_alone_and_names_run_their_own_way(root, tmp_path):
    rows = [{"text": f"النص رقم {i} عن البيت.", "language": "ar"} for i in range(4)]
    rows += [{"text": f"הבית מספר {i} ליד הנהר.", "language": "he"} for i in range(4)]
    for name in ("خبر", "עברית"):
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
    data = [*DATA, *(str(tmp_path / f"{name}.jsonl") for name in ("خبر", "עברית"))]
    report = pl.experts.report("moe-nexus", data=data, against={"seed": "seed", "de": "de"},
                               out=tmp_path / "out")  # fmt: skip
    text = report.page.read_text(encoding="utf-8")
    for word in ("http:", "https:", "<script", "@import", "url("):
        assert word not in text
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles[:5] == ["Who the tokens of each domain go to: nexus router", "Own expert",
                          "By language", "Block by block", "Who gained, who paid"]  # fmt: skip
    assert {"How the domains lie", "What it weighs", "What it cost", "The text"} <= set(titles)
    assert "<bdi>خبر</bdi>" in text
    assert 'lang="he" direction="rtl"' in text
    assert "unknown" in text  # what the seed's training cost
    assert 'href="against/seed/index.html"' in text
    assert (report.path / "against/seed/index.html").is_file()
    assert text.count("stroke-width:1.6") >= len(NAMES)  # frames around own experts
    assert str(root) not in text
    # One file of all languages: domains are languages.
    both = tmp_path / "all.jsonl"
    both.write_text("".join((root / file).read_text() for file in DATA), encoding="utf-8")
    report = pl.experts.report("moe-nexus", data=both, out=tmp_path / "all")
    assert {row["name"]: row["expert"] for row in report.content["domains"]} == {
        name: name for name in NAMES
    }
    assert "<h2>By language</h2>" not in report.page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed --data de.jsonl", "seed: a dense model (llama), not a mixture of experts"),
        ("gone --data de.jsonl", "gone: no such folder"),
        ("moe-nexus --data gone.jsonl", "gone.jsonl: no such file"),
        ("moe-nexus", "--data"),
        ("moe-nexus --data x=de.jsonl x=fr.jsonl", "2 files for the domain x"),
        ("moe-nexus --data de.jsonl --against seed", "'seed' is not NAME=DIR"),
        ("moe-nexus --data de.jsonl --against moe-nexus=seed", "the mixture itself is called so"),
        ("moe-nexus --data de.jsonl --against a/b=seed", "a name that cannot be a folder's"),
        ("moe-nexus --data de.jsonl --against x=gone", "gone: no such folder"),
        ("moe-nexus --data de.jsonl --against x=stranger",
         "--against x=stranger: another tokenizer than the mixture's"),
        ("moe-nexus --data de.jsonl --context-tokens 999",
         "--context-tokens is 999, a model takes 128"),
        ("moe-nexus --data de.jsonl --texts 0", "--texts is 0"),
        ("moe-oracle --data web=arabic.jsonl",
         "router is the oracle, and no domain is of 'ar'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(root, line, message, tmp_path):
    if not (root / "stranger").exists():
        write_model(root / "stranger", "llama", 1)
        train_bpe({"de": ["ganz andere Wörter " * 9]}, vocab_size=300).save(root / "stranger")
        (root / "arabic.jsonl").write_text('{"text": "البيت", "language": "ar"}\n')
    done = command(f"experts report {line}", "--out", tmp_path / "out")
    assert done.returncode == 2, done
    assert message in done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert not (tmp_path / "out").exists()


def test_no_data_and_python_values(tmp_path):
    with pytest.raises(InputError, match="no text"):
        pl.experts.report("moe-nexus", data=[])
    report = pl.experts.report("moe-nexus", data={"de": "de.jsonl", "web": "fr.jsonl"},
                               out=tmp_path / "out")  # fmt: skip
    assert [row["expert"] for row in report.content["domains"]] == ["de", None]
    again = pl.experts.report("moe-nexus", data=["de.jsonl"], against={"x": "seed"},
                              context_tokens=16, out=tmp_path / "short")  # fmt: skip
    assert again.ledger.total("split: ") > 0
