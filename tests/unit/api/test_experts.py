"""The verbs about mixtures of experts, from the command line and from Python."""

import json

import pytest
from command_line import polylect_in_process
from expert_models import write_data, write_model

import polylect as pl
from polylect.base import InputError, digest_folder
from polylect.runs import NOT_CONTENT


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    for number, name in enumerate(("seed", "de", "fr", "code", "ja")):
        write_model(folder / name, "llama", number)
    write_data(folder)
    return folder


@pytest.fixture(autouse=True)
def _here(root, monkeypatch):
    monkeypatch.chdir(root)


def command(line, *more):
    return polylect_in_process(*line.split(), *more)


UPCYCLE = "experts upcycle --seed-model seed --experts de fr --data de.jsonl fr.jsonl"


def test_the_contract_from_upcycle_to_export(root, tmp_path):
    moe, grown, less, served = (tmp_path / name for name in ("moe", "grown", "less", "served"))
    done = command(f"{UPCYCLE} --router nexus --threads 1 --out {moe}")
    assert done.returncode == 0, done.stderr
    assert "nexus router over 2 experts, 1 per token" in done.stdout
    # The encoder of the mixture is found where it was: the hidden states of the seed.
    done = command(f"experts extend {moe} --expert ja --data ja.jsonl --threads 1 --out {grown}")
    assert done.returncode == 0, done.stderr
    config = json.loads((grown / "config.json").read_text())
    assert config["expert_names"] == ["de", "fr", "ja"]
    assert {domain["encoder"] for domain in config["domains"]} == {"hidden:seed"}
    assert len({domain["encoder_digest"] for domain in config["domains"]}) == 1
    assert str(root) not in (grown / "config.json").read_text()
    done = command(f"experts remove {grown} fr --out {less} --json")
    assert [row["expert"] for row in json.loads(done.stdout)] == ["de", "ja"]
    done = command(f"experts export {less} --out {served}")
    assert "Qwen2MoeForCausalLM with 2 experts, 1 per token" in done.stdout
    for folder in (moe, grown, less, served):
        assert command(f"verify {folder}").returncode == 0
    # The same call finds the same result again; another is refused.
    again = command(f"{UPCYCLE} --router nexus --threads 1 --out {moe}")
    assert "this result is there already" in again.stderr
    other = command(f"{UPCYCLE} --router linear --out {moe}")
    assert other.returncode == 2, other.stdout


def test_a_result_without_out_is_found_by_what_decides_it(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    how = {"seed_model": root / "seed", "experts": [root / "de", root / "fr"],
           "data": [root / "de.jsonl", root / "fr.jsonl"], "encoder": "ngrams#width=9"}  # fmt: skip
    first = pl.experts.upcycle(**how)
    assert first.path.parent.name == "runs"
    assert first.path.name.startswith("experts-upcycle-")
    assert pl.experts.upcycle(**how).path == first.path
    assert pl.experts.upcycle(**how, seed=1).path != first.path
    assert [row["texts"] for row in first.rows()] == [6, 6]
    grown = pl.experts.extend(first, expert=root / "ja", data=root / "ja.jsonl", name="jp")
    assert [row["expert"] for row in grown.rows()] == ["de", "fr", "jp"]
    less = pl.experts.remove(grown, "jp")
    digests = [
        digest_folder(x.path, leave_out=frozenset({*NOT_CONTENT, "polylect.json", "experts.json"}))
        for x in (first, less)
    ]
    assert digests[0] != digests[1]  # the average outside of the experts stays
    assert less.checkpoint.config == first.checkpoint.config


def test_a_dry_run_says_what_would_be_made_and_writes_nothing(tmp_path):
    out = tmp_path / "moe"
    done = command(f"{UPCYCLE} --dry-run --out {out}")
    assert done.returncode == 0, done.stderr
    assert "nexus router over de, fr, seed seed" in done.stdout
    assert "de.jsonl: 6 of 6 texts, de" in done.stdout
    assert "domain vectors: hidden:seed" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert "KEY comes of" in command(f"{UPCYCLE} --dry-run").stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("experts upcycle --seed-model seed --experts de", "--experts: 1 expert"),
        ("experts upcycle --seed-model seed --experts de fr",
         "--router nexus without --data — give one file of domain text per expert"),
        (f"{UPCYCLE} ja.jsonl", "--data: 3 files for 2 experts — give one of domain text for each"),
        ("experts upcycle --seed-model seed --experts de fr --data fr.jsonl de.jsonl",
         "--data fr.jsonl: by its place the text of de, by its name that of fr"),
        (f"{UPCYCLE} --encoder vectors:gone.parquet", "gone.parquet: no such file"),
        (f"{UPCYCLE} --encoder nhidden:x", "no such encoder"),
        (f"{UPCYCLE} --router linear --encoder ngrams",
         "--encoder has no effect: this router uses no domain vectors"),
        ("experts upcycle --seed-model seed --experts de fr --router linear --domain-texts 9",
         "--domain-texts has no effect: there is no --data"),
        ("experts upcycle --seed-model gone --experts de fr", "gone: no such folder"),
        ("experts extend seed --expert ja --data ja.jsonl", "seed: a dense model (llama)"),
        ("experts remove seed de", "seed: a dense model (llama)"),
        ("experts export seed", "seed: a dense model (llama)"),
        ("experts clusters gone", "gone: no such file"),
        ("experts clusters de.jsonl --num 7", "6 distinct texts for 7 clusters"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(line, message, tmp_path):
    out = tmp_path / "out"
    done = command(line, "--out", out)
    assert done.returncode == 2, done
    assert message in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert not out.exists()


def test_an_encoder_that_moved_is_asked_for(root, tmp_path):
    moe = tmp_path / "moe"
    (tmp_path / "base").symlink_to(root / "seed")
    command(f"{UPCYCLE} --encoder hidden:{tmp_path / 'base'} --threads 1 --out {moe}")
    place = json.loads((moe / "domains.json").read_text())
    (moe / "domains.json").write_text(json.dumps(place | {"encoder": "hidden:../gone"}))
    line = f"experts extend {moe} --expert ja --data ja.jsonl --threads 1 --out {tmp_path / 'new'}"
    done = command(line)
    assert done.returncode == 2
    assert "its domains were embedded by hidden:base, which is not at" in done.stderr
    done = command(f"{line} --encoder hidden:de")
    assert "the domains of moe have vectors of another encoder, hidden:base" in done.stderr
    done = command(f"{line} --encoder hidden:seed")
    assert done.returncode == 0, done.stderr


def test_fixed_vectors_are_no_parameters(root, tmp_path):
    data = [root / "de.jsonl", root / "fr.jsonl"]
    made = pl.experts.upcycle(seed_model=root / "seed", experts=[root / "de", root / "fr"],
                              data=data, out=tmp_path / "moe")  # fmt: skip
    import transformers

    import polylect.models.nexus_families  # noqa: F401

    model = transformers.AutoModelForCausalLM.from_pretrained(made.path)
    assert made.checkpoint.num_parameters == sum(p.numel() for p in model.parameters())


def test_an_exported_mixture_is_no_dense_model(root, tmp_path):
    data = [root / "de.jsonl", root / "fr.jsonl"]
    made = pl.experts.upcycle(seed_model=root / "seed", experts=[root / "de", root / "fr"],
                              data=data, out=tmp_path / "moe")  # fmt: skip
    exported = pl.experts.export(made, out=tmp_path / "served")
    with pytest.raises(InputError, match=r"of another kind \(qwen2_moe\).*exported from"):
        pl.experts.report(exported.path, data=[root / "de.jsonl"], out=tmp_path / "report")


def test_clusters_are_written_and_given_as_data(tmp_path):
    out = tmp_path / "clusters"
    clusters = pl.experts.clusters(["de.jsonl", "ja.jsonl"], num=2, out=out)
    assert [row["file"] for row in clusters.rows()] == ["cluster-1.jsonl", "cluster-2.jsonl"]
    assert {row["languages"] for row in clusters.rows()} == {"de", "ja"}
    assert sum(row["texts"] for row in clusters.rows()) == 12
    assert "cluster-1.jsonl" in "\n".join(clusters.lines())
    made = pl.experts.upcycle(
        seed_model="seed", experts=["de", "ja"], encoder="ngrams", out=tmp_path / "moe",
        data=[out / "cluster-1.jsonl", out / "cluster-2.jsonl"],
    )  # fmt: skip
    assert {row["languages"] for row in made.rows()} == {"de", "ja"}
    with pytest.raises(InputError, match="num is 0"):
        pl.experts.clusters(["de.jsonl"], num=0)
