import shutil
import subprocess

import pytest

from polylect.cli import main
from polylect.cli.completion import SHELLS, options_by_command

OPTIONS = options_by_command()


def script(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_parse_and_know_every_word(shell, capsys, tmp_path):
    text = script(shell, capsys)
    for command, options in OPTIONS.items():
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
            {"--base", "--base-tokens", "--base-learning-rate", "--baselines"},
        ),
        (["polylect", "completion", "z"], {"zsh"}),
        (["polylect", "train", "pre"], {"preference", "pretrain"}),
        (["polylect", "train", "sft", "--lora"], {"--lora-rank", "--lora-alpha"}),
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
