"""``polylect quantize`` as it is typed: what it says, writes and refuses."""

import json

import pytest

import polylect
from polylect.checkpoints import Checkpoint
from polylect.cli import main


def run(capsys, *words):
    code = main(["quantize", *map(str, words)])
    heard = capsys.readouterr()
    return code, heard.out, heard.err


def test_a_dry_run_says_what_it_takes_and_writes_nothing(llama, text, tmp_path, capsys):
    out = tmp_path / "out"
    code, said, _ = run(capsys, llama.path, "--calibration", text, "--quota", "en=3", "ja=1",
                        "--samples", 8, "--sample-tokens", 32, "--out", out,
                        "--dry-run")  # fmt: skip
    assert code == 0
    assert "21 by w4-g128-gptq (groups of 64)" in said
    assert "calibration: 8 rows of 32" in said
    assert "memory: about " in said
    assert not out.exists()


def test_it_tells_the_damage_worst_first_and_the_folder(llama, text, tmp_path, capsys):
    out = tmp_path / "out"
    call = [llama.path, "--scheme", "nf4", "--calibration", text, "--sample-tokens", 32,
            "--samples", 4, "--out", out]  # fmt: skip
    code, said, spent = run(capsys, *call)
    assert code == 0
    lines = [line.split() for line in said.splitlines()]
    found = {one[0]: float(one[1]) for one in lines if one[0] in {"de", "el", "en", "ja"}}
    assert len(found) == 4
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert said.endswith(f"{out}\n")
    assert "cpu" in spent
    assert Checkpoint.open(out).lineage.method == "nf4"
    code, _, err = run(capsys, *call)
    assert (code, err) == (0, f"polylect: {out}: this result is there already\n")
    call[call.index("--samples") + 1] = 5
    code, _, err = run(capsys, *call)
    assert code == 2
    assert "holds another result (settings.calibration " in err
    assert "settings.quantize.calibration.num_samples 4 → 5) — --force replaces it" in err


@pytest.mark.parametrize(
    ("words", "heard"),
    [
        (["--scheme", "w4g128"], "no scheme 'w4g128' — did you mean w4-g128?"),
        (["--scheme", "awq"], "awq needs calibration text — --calibration FILE.jsonl"),
        (["--group-size", "auto"], "--group-size is 'auto' — give a whole number, 1 or more"),
        (["--quota", "english", "de"], "--quota 'english' is not TAG=WEIGHT"),
        (["--quota", "en=much"], "--quota en=much: not a number"),
        (["--layers", "down"], "--layers 'down' is not PATTERN=SCHEME"),
        (["--smoothquant-alpha", "2"], "--smoothquant-alpha is 2.0"),
        (["--passes", "3"], "--passes is 3"),
        (["--embeddings", "int8"], "--embeddings is 'int8' — choose keep, float16, bfloat16"),
        (["--quta", "en"], "unknown option --quta — did you mean --quota?"),
    ],
)
def test_one_line_for_what_cannot_be(llama, capsys, tmp_path, words, heard):
    code, _, said = run(capsys, llama.path, "--out", tmp_path / "out", *words)
    assert code == 2
    assert heard in said
    assert said.count("\n") == 1


def test_study_and_search_are_recipes(capsys, tmp_path):
    for word in ("study", "search"):
        code, _, said = run(capsys, word, "--model", tmp_path, "--calibration", tmp_path / "no",
                            "--out", tmp_path / "run", "--dry-run")  # fmt: skip
        assert code == 2
        assert "no such file" in said


def test_python_and_the_command_write_the_same_bytes(llama, text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = polylect.quantize(
        llama.path, scheme="w8", calibration=text, sample_tokens=32, samples=4,
        quota={"en": 2, "ja": 1},
    )  # fmt: skip
    capsys.readouterr()
    code, said, _ = run(capsys, llama.path, "--scheme", "w8", "--calibration", text, "--samples", 4,
                        "--sample-tokens", 32, "--quota", "en=2,ja=1", "--out", "n",
                        "--json")  # fmt: skip
    assert code == 0
    assert json.loads(said) == made.rows()
    sides = [
        {path.name: path.read_bytes() for path in folder.iterdir()
         if path.name not in {"volatile.json", "log.txt"}}
        for folder in (made.path, tmp_path / "n")
    ]  # fmt: skip
    assert sides[0] == sides[1]
    rows = list(map(json.loads, text.read_text("utf-8").splitlines()))
    again = polylect.quantize(str(llama.path), scheme="w8", calibration=rows,
                              sample_tokens=32, samples=4, quota=["en=2", "ja=1"])  # fmt: skip
    assert again.rows() == made.rows()
    assert made.path.parts[0] == "runs"
