"""The search of merge weights end to end: the page, resuming after SIGKILL, what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from child_processes import COMMAND_LINE, Children
from command_line import polylect, polylect_in_process

from polylect.base import file_digests
from polylect.checkpoints import Checkpoint
from polylect.evals import BitsConfig, score_bits
from polylect.merging import verify
from polylect.rows import ScoreTable, Split
from polylect.runs import NOT_CONTENT, Call, Files, execute
from polylect.search import Archive

SMALL = [
    "--languages", "en", "de", "code", "--held-out-languages", "es", "--bytes-per-language", "500",
    "--pool-sizes", "2", "--pool-draws", "2", "--pool-evaluations", "6",
    "--evaluations", "8", "--pareto-evaluations", "20", "--surrogate-rounds", "1",
]  # fmt: skip

TEXT = ["--text", "{text}"]


def content(run: Path) -> dict[str, str]:
    """Digests of everything that must repeat."""
    return file_digests(run, leave_out=NOT_CONTENT)


def step(run: Path, label: str) -> Path:
    (folder,) = run.glob(f"steps/{label}-*")
    return folder


@pytest.fixture(scope="module")
def models(tiny: Path) -> list[str]:
    experts = [str(folder) for folder in sorted(tiny.glob("steps/expert-*"))]
    return [*experts, str(step(tiny, "base"))]


@pytest.fixture(scope="module")
def command(models: list[str], text: Path) -> list[str]:
    return ["run", "search", "--models", *models, "--text", str(text), *SMALL]


@pytest.fixture(scope="module")
def whole(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "run"
    done = polylect(*command, "--workers", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    return out


def archive_of(run: Path) -> Archive:
    return Archive.read(step(run, "search") / "archive.parquet")


def test_the_archive_holds_every_stage_and_the_searched_merge_beats_all_before_it(
    whole: Path,
) -> None:
    archive = archive_of(whole)
    labels = ("expert-code", "expert-germanic-romance", "expert-slavic-greek", "base")
    assert archive.labels == labels
    stages = {entry.stage for entry in archive.entries}
    assert {"baselines", "cma", "nsga2", "surrogate", "leave-one-out"} <= stages
    assert {score.language for score in archive.entries[0].scores} == {"en", "de", "code"}
    search = json.loads((step(whole, "search") / "search.json").read_text())
    assert search["values"]["searched"] == max(search["values"].values())
    for name, number in search["named"].items():
        bits = [score.value for score in archive.entries[number].scores]
        assert search["values"][name] == pytest.approx(-np.mean(bits), abs=1e-12)
    assert "pools" in stages
    assert [len(pool["members"]) for pool in search["pools"]] == [2, 2]
    for pool in search["pools"]:
        assert pool["fitness"] >= max(pool["single"], pool["uniform"])
    assert search["values"]["searched"] >= search["whole_pool"] >= search["values"]["uniform"]
    volume = search["volume"]
    assert volume["all"] >= volume["baselines"] >= volume["singles"] > 0


def test_the_written_merge_scores_what_the_candidate_in_memory_did(
    whole: Path, tmp_path: Path
) -> None:
    finals = ScoreTable.read(step(whole, "finals") / "scores.parquet").only(checkpoint="searched")
    config = BitsConfig(name="searched", split=Split.TEST, bytes_per_language=500)
    inputs = {"model": Files(step(whole, "merged")), "tokens": Files(step(whole, "tokens"))}
    scored = execute(Call(score_bits, "scored", config, inputs), tmp_path)
    written = ScoreTable.read(scored.path / "scores.parquet")
    written = written.only(language=["en", "de", "es", "code"])
    keys = ["language", "item"]
    in_memory, from_file = (table.frame.sort(keys)["value"].to_list()
                            for table in (finals, written))  # fmt: skip
    # The passes batch documents differently: equal within the rounding of a sum.
    assert in_memory == pytest.approx(from_file, rel=1e-5)


def test_the_test_part_is_other_documents_and_contains_the_held_out_language(whole: Path) -> None:
    finals = ScoreTable.read(step(whole, "finals") / "scores.parquet").frame
    assert set(finals["language"].unique()) == {"en", "de", "es", "code"}
    documents = {
        split: set(pl.read_parquet(step(whole, "tokens") / f"{split}.documents.parquet")["id"])
        for split in ("validation", "test")
    }
    assert set(finals["item"]) <= documents["test"]
    assert not documents["test"] & documents["validation"]
    rows = pl.read_parquet(step(whole, "verdicts") / "finals.parquet")
    for row in rows.iter_rows(named=True):
        seen = finals.filter((pl.col("checkpoint") == row["name"]) & (pl.col("language") != "es"))
        means = seen.group_by("language").agg(
            (pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum()
        )
        assert row["test"] == pytest.approx(-means["value"].mean(), abs=1e-9)
        assert row["weights"] == list(archive_of(whole).entries[
            json.loads((step(whole, "search") / "search.json").read_text())["named"][row["name"]]
        ].vector)  # fmt: skip


def test_every_link_of_the_page_leads_to_a_file_and_every_final_is_on_it(whole: Path) -> None:
    page = (whole / "index.html").read_text(encoding="utf-8")
    targets = set(re.findall(r'href="([^"]+)"', page))
    assert len(targets) >= 7
    assert [target for target in targets if not (whole / target).is_file()] == []
    assert "http:" not in page
    assert "https:" not in page
    for row in pl.read_parquet(step(whole, "verdicts") / "finals.parquet").iter_rows(named=True):
        for name in ("search", "test"):
            assert f">{row[name]:.4f}</a>".replace("-", "\u2212") in page, row
    assert page.count("held out") >= 1


@pytest.mark.kill
def test_killed_at_several_moments_with_one_worker_or_two_it_gives_the_same_bytes(
    whole: Path, command: list[str], tmp_path: Path, started: Children
) -> None:
    out = tmp_path / "killed"
    total = len(archive_of(whole))
    sizes = []

    def size() -> int:
        places = (step / "work" / "archive.parquet" for step in out.glob("steps/.search-*"))
        return next((len(Archive.read(place)) for place in places if place.is_file()), 0)

    for wanted, workers in ((3, 1), (total // 3, 2), (total - 8, 1)):
        child = started(COMMAND_LINE, *command, "--out", out, "--workers", workers)
        child.wait_until(lambda wanted=wanted: size() >= wanted)
        child.kill()
        sizes.append(size())
        assert not list(out.glob("steps/search-*")), "unfinished, and passes for finished"
    assert sizes == sorted(set(sizes))
    done = polylect(*command, "--out", out, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert content(out) == content(whole)


def test_a_second_call_does_nothing(whole: Path, command: list[str]) -> None:
    before = content(whole)
    done = polylect(*command, "--out", str(whole))
    assert done.returncode == 0, done.stderr
    assert content(whole) == before


def test_candidates_that_are_written_give_the_same_archive(
    command: list[str], tmp_path: Path
) -> None:
    less = ["--evaluations", "1", "--pareto-evaluations", "0", "--surrogate-rounds", "0"]
    options = [*command[: -len(less)], *less, "--workers", "1"]
    archives = []
    for name, more in (("memory", []), ("written", ["--written"])):
        out = tmp_path / name
        done = polylect(*options, *more, "--out", str(out))
        assert done.returncode == 0, done.stderr
        archives.append((step(out, "search") / "archive.parquet").read_bytes())
    assert archives[0] == archives[1]


def write_adapter(base: Path, folder: Path) -> None:
    """A LoRA adapter of rank 2 for the first projection of queries."""
    from safetensors.numpy import save_file

    name, info = next((name, info) for name, info in Checkpoint.open(base).tensors.items()
                      if name.endswith("q_proj.weight"))  # fmt: skip
    folder.mkdir()
    random = np.random.default_rng(0)
    shapes = {"A": (2, info.shape[1]), "B": (info.shape[0], 2)}
    place = f"base_model.model.{name.removesuffix('.weight')}"
    save_file({f"{place}.lora_{key}.weight": random.standard_normal(shape).astype(np.float32)
               for key, shape in shapes.items()}, folder / "adapter_model.safetensors")  # fmt: skip
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def test_an_adapter_is_searched_as_the_model_it_makes_of_its_base(
    models: list[str], text: Path, tmp_path: Path
) -> None:
    write_adapter(Path(models[0]), tmp_path / "lora")
    out = tmp_path / "out"
    done = polylect(
        "run", "search", "--models", models[0], f"{models[0]}+{tmp_path / 'lora'}", "--text",
        str(text), "--languages", "en", "--bytes-per-language", "400", "--evaluations", "6",
        "--pareto-evaluations", "0", "--surrogate-rounds", "0", "--pool-sizes", "0", "--out",
        str(out), "--workers", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    archive = archive_of(out)
    assert archive.labels == ("expert-code", "lora")
    merged = out / "inputs" / "adapters" / f"{Path(models[0]).name}+lora"
    assert archive.identity["models"]["lora"] == Checkpoint.open(merged).digest
    first, second = ([score.value for score in archive.entries[n].scores] for n in (0, 1))
    assert first != second
    assert verify(step(out, "merged"), num_blocks=8).num_blocks == 8


def write_task(path: Path) -> None:
    rows = []
    for tag, words in {"de": ("Haus", "Fluss"), "en": ("house", "river")}.items():
        rows += [
            {"id": number, "language": tag, "context": f"{words[0]} {number} {words[1]}:",
             "choices": [words[number % 2], f"{words[0]} {number}"], "answer": number % 2}
            for number in range(24)
        ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_tasks_are_searched_on_one_half_of_their_items_and_reported_on_the_other(
    models: list[str], tmp_path: Path
) -> None:
    task = tmp_path / "words.jsonl"
    write_task(task)
    out = tmp_path / "out"
    done = polylect(
        "run", "search", "--models", *models[:3], "--tasks", str(task), "--languages", "de",
        "--held-out-languages", "en", "--average-over", "task", "--evaluations", "8",
        "--surrogate-rounds", "0",
        "--map", "abs", "--out", str(out), "--workers", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    archive = archive_of(out)
    by_metric = {score.metric: score for score in archive.entries[0].scores}
    finals = ScoreTable.read(step(out, "finals") / "scores.parquet").frame
    tested = finals.filter(pl.col("checkpoint") == "searched")
    german, english = (
        set(tested.filter(pl.col("language") == tag)["item"]) for tag in ("de", "en")
    )
    assert by_metric["acc"].items + len(german) == 24
    assert 4 <= len(german) <= 20
    assert german == english  # translations are on one side
    search = json.loads((step(out, "search") / "search.json").read_text())
    assert list(search["aspects"]["metrics"].values()) == ["acc"]
    assert (out / "index.html").is_file()


def test_a_dry_run_measures_and_writes_nothing(command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "dry"
    done = polylect_in_process(*command, "--out", str(out), "--dry-run")
    assert done.returncode == 0, done.stderr
    for word in ("4 checkpoints of", "bits-per-byte@1 de: ", "held out: es", "merges: about"):
        assert word in done.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--models", "{0}"], "1 models — polylect run search --models A B C"),
        (["--models", "{0}", "{1}", "--text", "x", "--tasks", "y"], "both text and tasks"),
        (["--models", "{0}", "{1}", "--map", "softmx"], "did you mean softmax?"),
        (["--models", "{0}", "{1}", "--vocabulary", "unoin"], "did you mean union?"),
        (["--models", "{0}", "{0}+nowhere"], "nowhere: no adapter_config.json"),
        (["--models", "{0}", "nowhere"], "nowhere: no such folder"),
        (["--models", "{0}", "{1}", "--bounds", "de"], "--bounds 'de' is not NAME=NUMBER"),
        (["--models", "{0}", "{1}", "--bounds", "de=x"], "--bounds de=x: not a number"),
        (["--models", "{0}", "{1}", "--fitness", "mode"], "unknown fitness 'mode'"),
        (["--models", "{0}", "{1}", "--method", "slerp"], "slerp has no weights to search"),
        (
            ["--models", "{0}", "{1}", *TEXT, "--held-out-languages", "ko"],
            "--held-out-languages ko: nothing",
        ),
        (
            ["--models", "{0}", "{1}", *TEXT, "--fitness", "constrained", "--bounds", "ge=1"],
            "no aspect 'ge'",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(
    models: list[str], text: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    filled = [option.format(*models, text=text) for option in options]
    out = str(tmp_path / "out")
    done = polylect_in_process("run", "search", *filled, "--out", out, "--workers", "1")
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert len(lines) == 1
    assert words in lines[0]
