import re
import shutil
import subprocess
from contextlib import suppress

import pytest

from polylect.cli import main
from polylect.cli.completion import SHELLS, options_by_command

FROZEN = {
    "train": [
        "--model",
        "--data",
        "--out",
        "--objective",
        "--reward",
        "--held-out",
        "--learning-rate",
        "--epochs",
        "--batch-size",
        "--micro-batch-tokens",
        "--context-tokens",
        "--over-long",
        "--template",
        "--turns",
        "--special-tokens",
        "--language",
        "--temperature",
        "--shares",
        "--mixture",
        "--schedule",
        "--warmup",
        "--lora-rank",
        "--lora-alpha",
        "--beta",
        "--label-smoothing",
        "--alpha",
        "--margin",
        "--sft-weight",
        "--self-refine-prompt",
        "--reward-centering",
        "--num-samples",
        "--sampling-temperature",
        "--max-new-tokens",
        "--prompts-per-round",
        "--reference",
        "--gate",
        "--memory-mib",
        "--precision",
        "--recompute",
        "--probes",
        "--probe-prompts",
        "--probe-tokens",
        "--identifier",
        "--seed",
        "--save-every",
        "--threads",
        "--tracker",
        "--force",
        "--dry-run",
    ],
    "languages": [],
    "completion": [],
}
"""Growing this is a decision: every option is a promise to those who type it."""


def test_the_options_of_every_command_are_a_decision():
    options = options_by_command()
    assert {name: options[name] for name in FROZEN} == FROZEN


@pytest.mark.parametrize(
    "command",
    [
        ["train"],
    ],
)
def test_help_shows_the_same_options(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with suppress(SystemExit):
        main([*command, "--help"])
    text = capsys.readouterr().out
    # An option begins its line in the box; the text beside it may mention others.
    options = {w for line in text.splitlines() for w in re.findall(r"^\W +(--[a-z][a-z-]*)", line)}
    frozen = FROZEN[command[0]]
    # The opposite of a switch stands beside it, on the same line.
    every = {"--json", "-q", "--quiet", "--verbose"}
    assert options - every == {option for option in frozen if not option.startswith("--no-")}


def script(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_parse_and_know_every_word(shell, capsys, tmp_path):
    text = script(shell, capsys)
    for command, options in FROZEN.items():
        assert command in text
        for option in options:
            assert (option.removeprefix("--") if shell == "fish" else option) in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here: its script was not parsed")
    (tmp_path / "script").write_text(text)
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["polylect", "ru"], {"run", "runs"}),
        (["polylect", "run", "life"], {"lifecycle"}),
        (
            ["polylect", "run", "lifecycle", "--base"],
            {"--base", "--base-tokens", "--base-learning-rate"},
        ),
        (["polylect", "completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(words, expected, capsys, tmp_path):
    (tmp_path / "script").write_text(script("bash", capsys))
    code = f"""
source {tmp_path}/script
COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
_polylect polylect {words[-1]}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    result = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert set(result.stdout.split()) == expected
