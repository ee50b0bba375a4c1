"""The recipe nexus end to end, small: page, findings, resuming after SIGKILL, what is refused."""

import json
import re
import signal
from pathlib import Path

import polars as pl
import pytest
from child_processes import COMMAND_LINE, Children
from command_line import TINY, changed, polylect, polylect_in_process

from polylect.base import file_digests
from polylect.checkpoints import Checkpoint
from polylect.runs import NOT_CONTENT

MORE = ["--upcycle-tokens", "4000", "--extend-tokens", "500", "--extend-aux-loss", "0.05",
        "--domain-texts", "6"]  # fmt: skip
SMALL = [*TINY, *MORE]
"""The lifecycle's own options, so that its steps can be compared."""

TOLD = [*changed(TINY, ["--languages", "de", "ru", "code"]), *MORE, "--routers", "nexus", "oracle"]
"""Without anchors, as the oracle needs it."""


def content(run: Path) -> dict[str, str]:
    """Digests of everything that must repeat."""
    return file_digests(run, leave_out=NOT_CONTENT)


def step(run: Path, label: str) -> Path:
    (folder,) = run.glob(f"steps/{label}-????????????")
    return folder


@pytest.fixture(scope="module")
def whole(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nexus") / "run"
    done = polylect("run", "nexus", "--text", text, "--out", out, "--workers", "1", "--baselines",
                    *SMALL)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_every_model_is_made_and_scored_and_the_appended_expert_comes_last(whole: Path) -> None:
    manifest = json.loads((whole / "run.json").read_text(encoding="utf-8"))
    assert manifest["state"] == "done"
    names = set(manifest["steps"])
    for model in ("nexus", "linear", "nexus-extended", "linear-reset-extended", "merge", "rival",
                  "linear-append-extended", "merge-seed", "rival-total",
                  "rival-total-extended"):  # fmt: skip
        assert {model, f"test-{model}"} <= names
    assert {"test-ensemble", "test-ensemble-extended"} <= names
    before, after = (Checkpoint.open(step(whole, name)) for name in ("nexus", "nexus-extended"))
    assert before.config["expert_names"] == ["germanic-romance", "slavic-greek"]
    assert after.config["expert_names"] == ["germanic-romance", "slavic-greek", "code"]
    assert before.config["router_aux_loss_coef"] == 0.02
    assert after.config["router_aux_loss_coef"] == 0.05
    assert not list(whole.glob("steps/.*")), "nothing half-written is left"


def test_the_steps_that_the_lifecycle_has_too_have_its_keys(whole: Path, small: Path) -> None:
    for label in ("text", "tokenizer", "tokens", "init", "base", "expert-code", "test-base"):
        assert step(whole, label).name == step(small, label).name


def test_every_link_of_the_page_leads_to_a_file(whole: Path) -> None:
    page = (whole / "index.html").read_text(encoding="utf-8")
    targets = set(re.findall(r'href="([^"]+)"', page))
    assert len(targets) > 20
    assert [target for target in targets if not (whole / target).is_file()] == []
    assert "Русский" in page
    assert "http:" not in page
    assert "https:" not in page


def test_the_findings_are_those_of_the_stored_scores(whole: Path) -> None:
    found = json.loads((step(whole, "findings") / "findings.json").read_text(encoding="utf-8"))
    lines = {(line["before"], line["after"], line["text"]): line for line in found["lines"]}
    assert ("linear", "nexus", "previous") in lines
    assert ("linear-reset-extended", "nexus-extended", "appended") in lines
    sums = {}
    for name in ("linear", "nexus"):
        scores = pl.read_parquet(step(whole, f"test-{name}") / "scores.parquet")
        bits = (pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum()
        sums[name] = dict(scores.group_by("language").agg(bits.alias("bits")).rows())
    gains = [
        100 * (1 - sums["nexus"][tag] / sums["linear"][tag]) for tag in ("de", "en", "es", "ru")
    ]
    line = lines["linear", "nexus", "previous"]
    assert line["mean"] == pytest.approx(sum(gains) / 4, abs=1e-9)
    own = pl.read_parquet(step(whole, "route-nexus") / "own.parquet").filter(pl.col("domain") != "")
    shares = own.group_by("domain").agg(pl.col("own").sum() / pl.col("choices").sum())
    assert found["targets"]["own_share"] == pytest.approx(dict(shares.rows()))


def test_the_ensemble_lies_between_its_experts_and_better_than_the_worst(whole: Path) -> None:
    scores = pl.read_parquet(step(whole, "test-ensemble") / "scores.parquet")
    assert scores["checkpoint"].unique().to_list() == ["ensemble"]
    base = pl.read_parquet(step(whole, "test-base") / "scores.parquet")
    keys = ["language", "item", "cluster", "weight", "settings"]
    assert scores.select(keys).sort(keys).equals(base.select(keys).sort(keys))
    assert (scores["value"] > 0).all()


@pytest.mark.kill
def test_killed_and_resumed_gives_the_same_findings_with_an_oracle_among_them(
    text: Path, tmp_path: Path, started: Children
) -> None:
    unbroken, out = tmp_path / "unbroken", tmp_path / "killed"
    command = ["run", "nexus", "--text", text, *TOLD]
    done = polylect(*command, "--out", unbroken, "--workers", "1")
    assert done.returncode == 0, done.stderr
    total = len(list(unbroken.glob("steps/*")))
    child = started(COMMAND_LINE, *command, "--out", out, "--workers", 2)
    child.wait_until(lambda: len(list(out.glob("steps/[!.]*"))) >= total // 2)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    done = polylect(*command, "--out", out)
    assert done.returncode == 0, done.stderr
    assert content(out) == content(unbroken)
    found = json.loads((step(out, "findings") / "findings.json").read_text(encoding="utf-8"))
    pairs = {(line["before"], line["after"], line["text"]) for line in found["lines"]}
    assert {("oracle", "nexus", "previous"), ("oracle-extended", "nexus-extended", "appended")} <= (
        pairs
    )


def test_a_dry_run_says_what_would_happen_and_writes_nothing(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "dry"
    done = polylect_in_process("run", "nexus", "--text", text, "--out", out, "--dry-run", *SMALL)
    assert done.returncode == 0, done.stderr
    for word in ("updates", "parameters", "memory", "time", "nexus-extended", "code", "1 of 8"):
        assert word in done.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--appended", "cod"], ["--appended cod", "code"]),
        (["--routers", "nexsus"], ["nexsus", "nexus"]),
        (["--routers", "nexus", "nexus"], ["--routers", "twice"]),
        (["--routers", "oracle"], ["oracle", "en es"]),
        (["--languages", "en", "de", "code"], ["2 experts"]),
        (["--baselines", "--ensemble-experts", "9"], ["--ensemble-experts 9", "2"]),
        (["--upcycle-tokens", "900000000"], ["--upcycle-tokens", "max-epochs"]),
    ],
)
def test_what_cannot_be_done_is_one_line_before_any_training(
    text: Path, tmp_path: Path, more: list[str], words: list[str]
) -> None:
    done = polylect_in_process("run", "nexus", "--text", text, "--out", tmp_path / "out",
                               "--dry-run", *changed(SMALL, more))  # fmt: skip
    lines = done.stderr.strip().splitlines()
    assert done.returncode in {2, 3}, done.stderr
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]
