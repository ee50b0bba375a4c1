"""The lifecycle end to end: page, same bytes, resuming after SIGKILL, the user's own text."""

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from child_processes import COMMAND_LINE, Children
from command_line import TINY, changed, polylect, polylect_in_process

from polylect.base import file_digests
from polylect.runs import NOT_CONTENT


def content(run: Path) -> dict[str, str]:
    """Digests of everything that must repeat."""
    return file_digests(run, leave_out=NOT_CONTENT)


def checkpoints(run: Path) -> list[Path]:
    return sorted(file.parent for file in run.glob("steps/*/model.safetensors"))


def test_the_page_and_every_artifact_are_there(tiny: Path) -> None:
    manifest = json.loads((tiny / "run.json").read_text(encoding="utf-8"))
    assert manifest["state"] == "done"
    names = set(manifest["steps"])
    assert {"text", "tokenizer", "tokens", "init", "base", "rival", "rival-total"} <= names
    assert {"expert-germanic-romance", "expert-slavic-greek", "expert-code"} <= names
    assert {"merge-uniform", "merge-weighted", "findings"} <= names
    assert not list(tiny.glob("steps/.*")), "nothing half-written is left"


def test_every_link_of_the_page_leads_to_a_file(tiny: Path) -> None:
    page = (tiny / "index.html").read_text(encoding="utf-8")
    targets = set(re.findall(r'href="([^"]+)"', page))
    assert len(targets) > 20
    assert [target for target in targets if not (tiny / target).is_file()] == []
    assert "http:" not in page
    assert "https:" not in page


def test_every_number_of_the_bits_table_is_in_the_stored_rows(tiny: Path) -> None:
    import polars as pl

    page = (tiny / "index.html").read_text(encoding="utf-8")
    findings = next(tiny.glob("steps/findings-*"))
    for row in pl.read_parquet(findings / "bits.parquet").iter_rows(named=True):
        assert f">{row['value']:.3f}</a>" in page, row


def test_a_second_call_does_nothing(tiny: Path) -> None:
    before = content(tiny)
    times = {file: file.stat().st_mtime_ns for file in tiny.glob("steps/*/*")}
    assert polylect("run", "lifecycle", "--out", str(tiny), *TINY).returncode == 0
    assert content(tiny) == before
    assert {file: file.stat().st_mtime_ns for file in tiny.glob("steps/*/*")} == times


def test_the_second_call_imports_no_torch(tiny: Path, started: Children) -> None:
    code = (
        "import sys; from polylect.cli import main; code = main(); "
        "sys.exit(7 if 'torch' in sys.modules else code)"
    )
    child = started(code, "run", "lifecycle", "--out", tiny, *TINY, real=True)
    assert child.wait() == 0, child.stderr


def test_every_checkpoint_loads_in_plain_transformers_with_equal_logits(tiny: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from polylect.checkpoints import Checkpoint
    from polylect.models import forward_hidden, head_of, load_model
    from polylect.text import Segment, pack

    folders = checkpoints(tiny)
    assert len(folders) == 9
    for folder in folders:
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = tokenizer("Guten Morgen! Доброе утро. def f(x): return 2026", return_tensors="np")
        row = ids["input_ids"][0]
        ours = load_model(Checkpoint.open(folder))
        with torch.no_grad():
            want = plain(torch.from_numpy(row)[None]).logits[0]
            weight = [0.0] + [1.0] * (len(row) - 1)
            import numpy as np

            batch = pack([Segment(row, np.array(weight, np.float32), "de")])
            have = head_of(ours).logits(forward_hidden(ours, batch))
        assert float((want - have).abs().max()) < 1e-5, folder.name


@pytest.mark.kill
def test_killed_at_six_moments_and_resumed_ends_with_the_same_bytes(
    small: Path, text: Path, tmp_path: Path, started: Children
) -> None:
    out = tmp_path / "killed"
    command = ["run", "lifecycle", "--text", text, "--out", out, *TINY]
    total = len(list(small.glob("steps/*")))
    kills = 0
    for moment in range(6):
        # Spread over the run, between two steps and in the midst of one; once of several.
        workers = 2 if moment == 3 else 1
        child = started(COMMAND_LINE, *command, "--workers", workers)

        def reached(moment: int = moment) -> bool:
            finished = len(list(out.glob("steps/[!.]*")))
            begun = len(list(out.glob("steps/.*.partial"))) >= moment % 2
            return finished >= moment * total // 6 and begun

        child.wait_until(reached)
        child.kill()
        kills += child.wait() == -signal.SIGKILL
        finished = list(out.glob("steps/[!.]*"))
        assert all((step / "step.json").is_file() for step in finished), "a half-written step"
    assert kills >= 5
    done = polylect(*command)
    assert done.returncode == 0, done.stderr
    assert content(out) == content(small)


def test_the_number_of_workers_never_changes_a_byte(
    small: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "one"
    done = polylect("run", "lifecycle", "--text", text, "--out", out, "--workers", "1", *TINY)
    assert done.returncode == 0, done.stderr
    assert content(out) == content(small)


def write_text(folder: Path, tag: str, words: str, blocks: int = 120) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{words} {tag} {i}: " + " ".join(words.split()[i % 5 :] * 3) for i in range(blocks)]
    (folder / f"{tag}.txt").write_text("\n\n".join(lines), encoding="utf-8")


def test_a_dry_run_says_what_would_happen_and_writes_nothing(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "dry"
    done = polylect_in_process("run", "lifecycle", "--text", text, "--out", out, "--dry-run", *TINY)
    assert done.returncode == 0, done.stderr
    for word in ("tokens", "updates", "parameters", "memory", "time", "de", "ru", "code"):
        assert word in done.stdout
    assert not out.exists()


def test_the_languages_of_a_run_are_those_of_the_users_files(tmp_path: Path) -> None:
    text, out = tmp_path / "text", tmp_path / "dry"
    write_text(text, "en", "The house stands on the hill above the quiet river and its mill")
    write_text(text, "ru", "Дом стоит на холме над тихой рекой и старой мельницей у дороги")
    write_text(text, "de", "Das Haus steht auf dem Hügel über dem stillen Fluss und der Mühle")
    done = polylect_in_process(
        "run", "lifecycle", "--text", text, "--out", out, "--dry-run", "--num-parameters",
        "250000", "--vocab-size", "512", "--base-tokens", "3000", "--expert-tokens", "1000",
        "--bytes-per-language", "1000",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for tag in ("en", "de", "ru"):
        assert re.search(rf"\b{tag}\b", done.stdout), done.stdout
    assert not re.search(r"\bes\b", done.stdout)


def test_it_runs_on_the_users_own_text(small: Path) -> None:
    assert (small / "index.html").is_file()


def check_one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def test_one_language_only_does_not_answer_the_question(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "de", "Das Haus steht auf dem Hügel über dem stillen Fluss")
    done = polylect_in_process("run", "lifecycle", "--text", str(tmp_path / "text"), "--out",
                               str(tmp_path / "out"), "--vocab-size", "400")  # fmt: skip
    check_one_line(done, 3, "de")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("de.txt", "Haus am Hügel".encode("latin-1"), ["de.txt", "UTF-8", "iconv"]),
        ("rows.jsonl", b'{"text": "a", "language": "de"}\n{"text": \n', ["rows.jsonl:2", "JSON"]),
        ("rows.jsonl", b'{"text": "a b", "language": "d&e"}\n', ["rows.jsonl:1", "d&e"]),
    ],
)
def test_bad_text_is_one_line_with_its_place(
    tmp_path: Path, name: str, data: bytes, words: list[str]
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / name).write_bytes(data)
    done = polylect_in_process("run", "lifecycle", "--text", str(tmp_path / "text"),
                               "--out", str(tmp_path / "out"))  # fmt: skip
    check_one_line(done, 2, *words)
    assert not list((tmp_path / "out").glob("steps/[!.]*"))


def test_a_missing_folder_and_an_empty_language_are_one_line(tmp_path: Path) -> None:
    done = polylect_in_process("run", "lifecycle", "--text", str(tmp_path / "nowhere"),
                               "--out", str(tmp_path / "out"))  # fmt: skip
    check_one_line(done, 2, "nowhere")
    write_text(tmp_path / "text", "de", "Das Haus steht auf dem Hügel über dem stillen Fluss")
    done = polylect_in_process("run", "lifecycle", "--text", str(tmp_path / "text"),
                               "--languages", "de", "ko", "--out",
                               str(tmp_path / "out2"))  # fmt: skip
    check_one_line(done, 2, "ko")


def test_a_changed_option_reruns_only_what_depends_on_it(
    small: Path, text: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small, copy)
    before = {step.name for step in copy.glob("steps/*")}
    options = changed(TINY, ["--bytes-per-language", "1200", "--workers", "1"])
    done = polylect("run", "lifecycle", "--text", text, "--out", copy, *options)
    assert done.returncode == 0, done.stderr
    added = {step.name for step in copy.glob("steps/*")} - before
    assert added
    assert all(re.match(r"(validation|test|findings|merge-weighted)", name) for name in added), (
        added
    )
