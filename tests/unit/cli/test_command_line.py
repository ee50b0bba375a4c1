import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polylect import __version__
from polylect.cli import main
from polylect.cli.table import COMMANDS
from polylect.recipes import SHIPPED

COMMAND = [sys.executable, "-c", "import sys; from polylect.cli import main; sys.exit(main())"]

RECIPE = '''
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from polylect.base import InputError, PolylectError, UndecidableError
from polylect.runs import Call, Run, step


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Config:
    title: str
    size: int = 3
    rate: float = 0.5
    kind: Literal["plain", "other"] = "plain"
    many: tuple[str, ...] = ()
    fast: bool = True
    inner: Inner = Inner()


@dataclass(frozen=True)
class Long:
    seconds: float = 60.0
    kilobytes: int = 8


@dataclass(frozen=True)
class Failing:
    code: int = 0


@step(version=1)
def write(config, inputs, context):
    with open(context.out / "big.bin", "wb") as file:
        for i in range(config.kilobytes):
            file.write(bytes(1024))
    (context.out / "begun").write_text("")
    deadline = time.monotonic() + config.seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)


def talk(run: Run, config: Config) -> None:
    """Print the configuration."""
    print(config)
    run.finish()


def long(run: Run, config: Long) -> None:
    """Run slow steps."""
    run.steps([Call(write, name, config, {}) for name in ("one", "two")[: 3 - run.num_workers]])
    run.finish(["page.html"])


def both(run: Run, config: Long) -> None:
    run.steps([Call(write, name, config, {}) for name in ("one", "two")])
    run.finish(["page.html"])


def both_plan(run: Run, config: Long) -> str:
    return f"two steps of {config.seconds} seconds"


def fail(run: Run, config: Failing) -> None:
    kinds = [None, PolylectError, InputError, UndecidableError]
    if config.code:
        raise kinds[config.code]("it is so", "do this")


def no_recipe(run, config):
    pass
'''


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RECIPE)
    return path


def polylect(*arguments, cwd=None, before=(), **kwargs):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [*before, *COMMAND, *map(str, arguments)], capture_output="stdout" not in kwargs,
        text=True, cwd=cwd, env=environment, check=False, timeout=60, **kwargs,
    )  # fmt: skip


def refused(capsys, *arguments, code=2):
    assert main(list(map(str, arguments))) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("polylect: ")
    assert err.count("\n") == 1
    return err.removeprefix("polylect: ")


def test_help_is_quick_and_imports_nothing_heavy():
    best = 9.0
    for _ in range(5):
        process = subprocess.Popen([*COMMAND, "--help"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        best = min(best, usage.ru_utime + usage.ru_stime)
    assert best < 0.4
    code = """
import sys
from polylect.cli import main
for arguments in (["--help"], ["--version"], ["languages"], ["lnguages"], ["completion", "--help"]):
    main(arguments)
heavy = {"torch", "transformers", "numpy", "polars", "pyarrow", "pydantic", "scipy", "rich"}
print("HEAVY", sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "HEAVY []"


def test_help_and_version(capsys):
    for arguments in (["--help"], ["-h"], ["help"]):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert all(re.search(rf"^  {name} +\S", out, re.MULTILINE) for name in COMMANDS)
        assert max(map(len, out.splitlines())) <= 100
    assert main([]) == 2
    assert "usage: polylect COMMAND" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"polylect {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    try:
        code = main([name, "--help"])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code or 0, err) == (0, "")
    assert f"polylect {name}" in out


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_run_without_a_recipe_lists_them_all(arguments, capsys):
    assert main(["run", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.findall(r"^  (\w+) +\S", out, re.MULTILINE) == list(SHIPPED)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], "no command 'rnu' — did you mean run?"),
        (["zzzz"], "known are " + ", ".join(COMMANDS)),
        (["run", "--seed", "1"], "run: which recipe? — polylect run lifecycle --seed …"),
        (["run", "lifecicle"], "no recipe 'lifecicle' — did you mean lifecycle?"),
        (
            ["run", "qqq"],
            "search, soups, study, or FILE.py:function",
        ),
        (
            ["run", "lifecycle", "--sede", "1"],
            "run lifecycle: unknown option --sede — did you mean --seed?",
        ),
        (["run", "lifecycle", "--sede=1"], "unknown option --sede — did you mean --seed?"),
        (["run", "lifecycle", "--zzzzz", "1"], "--zzzzz — polylect run lifecycle --help"),
        (
            ["run", "lifecycle", "--seed", "one"],
            "run lifecycle: --seed is 'one' — give a whole number",
        ),
        (["run", "lifecycle", "--seed"], "--seed needs a value — give a whole number"),
        (["run", "lifecycle", "--seed", "1.5"], "--seed"),
        (
            ["run", "lifecycle", "extra"],
            "unexpected 'extra' — it takes options only: polylect run lifecycle --help",
        ),
        (["run", "lifecycle", "--workers", "0"], "--workers is 0 — give 1 or more"),
        (["run", "none.py:go"], "none.py: no such file — give FILE.py:function"),
        (["run", "none.py"], "which function of the file? — polylect run none.py:FUNCTION"),
        (["runs", "nowhere"], "nowhere: no such folder — polylect runs DIR"),
        (["runs", "--all"], "runs: unknown option --all"),
        (["languages", "not a tag!"], "unknown language 'not a tag!'"),
        (["completion"], "no shell '' — known are bash, zsh, fish"),
        (["completion", "zhs"], "no shell 'zhs' — did you mean zsh?"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_nearest(
    arguments, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *arguments)
    assert os.listdir(tmp_path) == []


def test_a_recipe_of_the_users_own_with_its_own_options(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "mine.py:talk", "--title", "t"]) == 0
    out = capsys.readouterr().out
    assert "Config(title='t', size=3, rate=0.5, kind='plain', many=(), fast=True" in out
    assert out.splitlines()[-1].startswith("done in ")
    assert (tmp_path / "runs/talk/run.json").is_file()
    options = ["--title=-t-", "--size", "4", "--rate", "1e-3", "--kind", "other", "--many", "a",
               "b", "--no-fast", "--inner.depth", "2", "--out", "elsewhere"]  # fmt: skip
    assert main(["run", f"{recipe}:talk", *options]) == 0
    config = "Config(title='-t-', size=4, rate=0.001, kind='other', many=('a', 'b'), fast=False, "
    assert config + "inner=Inner(depth=2))" in capsys.readouterr().out
    assert (tmp_path / "elsewhere/run.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["talk"], "--title"),
        (["talk", "--title", "t", "--kind", "third"], "--kind"),
        (["talk", "--title", "t", "--depth", "1"], "unknown option --depth"),
        (["talk", "--titel", "t"], "did you mean --title?"),
        (["tlak"], "no function 'tlak' — did you mean talk?"),
        (["no_recipe"], "a recipe is a function (run: Run, config: C), C a dataclass"),
        (["Config"], "no function 'Config'"),
        (["talk", "--title", "t", "--dry-run"], "this recipe has no plan"),
    ],
)
def test_mistakes_with_a_recipe_of_ones_own(
    recipe, arguments, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    function, *rest = arguments
    assert words in refused(capsys, "run", f"{recipe}:{function}", *rest)
    assert os.listdir(tmp_path) == ["mine.py"]


def test_a_plan_writes_nothing(recipe, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "mine.py:both", "--seconds", "2", "--dry-run"]) == 0
    assert capsys.readouterr().out == "two steps of 2.0 seconds\n"
    assert os.listdir(tmp_path) == ["mine.py"]


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_exit_codes(recipe, code, capsys, tmp_path):
    arguments = ["run", f"{recipe}:fail", "--code", str(code), "--out", str(tmp_path / "out")]
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert err == ("polylect: it is so — do this\n" if code else "")


def test_a_missing_package_is_named_with_its_extra(recipe, capsys, tmp_path, monkeypatch):
    recipe.write_text("import transformers_of_nobody\n")
    assert ":1 raised ModuleNotFoundError: No module named 'transformers_of_nobody'" in refused(
        capsys, "run", f"{recipe}:x"
    )
    monkeypatch.setitem(sys.modules, "torch", None)
    recipe = tmp_path / "other.py"
    recipe.write_text("import torch\n")
    assert "the package 'torch' is not installed" in refused(capsys, "run", f"{recipe}:x")


def test_languages(capsys):
    assert main(["languages"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["ar", "Arab", "5", "Afro-Asiatic"]
    assert any(line.startswith("cy ") for line in lines)


def test_runs_are_listed_and_shown(recipe, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "mine.py:both", "--seconds", "0", "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["runs"]) == 0
    line = capsys.readouterr().out
    assert re.search(r"^runs/both +both +done +2 of 2 +20\d\d-\S+ +\S+ +\d s +\d+ KiB$", line,
                     re.MULTILINE)  # fmt: skip
    assert main(["runs", "show", "runs/both"]) == 0
    text = capsys.readouterr().out
    for part in ("runs/both: both", "done, step 2 of 2", "seconds", "one", "two", "runs/both/page"):
        assert part in text
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no runs below" in refused(capsys, "runs", empty)
    (empty / "run.json").write_text("{}")
    assert "not the manifest of a run" in refused(capsys, "runs", "show", empty)


def group_exists(number):
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, process=None):
    deadline = time.monotonic() + 30
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_is_one_line_and_leaves_nothing_half_written(recipe, tmp_path, workers):
    out = tmp_path / "out"
    command = [*COMMAND, "run", f"{recipe}:both", "--out", str(out), "--workers", str(workers)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: len(list(out.glob("steps/.*.partial/out/begun"))) == workers, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stdout == ""
    # No step was finished: it must not say that any is kept.
    hint = "run the same command again; nothing of it was kept"
    assert stderr == f"polylect: interrupted by Ctrl-C — {hint}\n"
    assert not [path for path in (out / "steps").iterdir() if not path.name.startswith(".")]
    assert not list(out.rglob("*.tmp"))
    wait_for(lambda: not group_exists(process.pid))  # no worker is left
    # The folder is still a run, and can be gone on with.
    assert main(["run", f"{recipe}:both", "--out", str(out), "--seconds", "0"]) == 0


def test_an_output_folder_that_cannot_be_written(recipe, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    before = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and there is no setpriv to be less than root")
        before = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    result = polylect("run", f"{recipe}:both", "--out", locked / "out", before=before)
    assert result.returncode == 1
    assert result.stderr == (
        f"polylect: {locked / 'out'}: permission denied"
        " — choose a folder that you may write, e.g. --out DIR\n"
    )
    assert os.listdir(locked) == []


def test_an_output_folder_where_there_is_a_file(recipe, tmp_path, capsys):
    err = refused(capsys, "run", f"{recipe}:both", "--out", recipe, code=1)
    assert err == f"{recipe}: there is a file where a folder is needed — choose another path\n"
    assert recipe.read_text() == RECIPE


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small file system here; RLIMIT_FSIZE stands in for it")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def finished(out: Path) -> list[str]:
    return [path.name for path in (out / "steps").iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(recipe, small_disk, workers):
    out = small_disk / "out"
    options = ["--seconds", 0, "--workers", workers, "--out", out]
    result = polylect("run", f"{recipe}:both", "--kilobytes", 500, *options)
    assert result.returncode == 1
    assert re.fullmatch(
        r"polylect: .*: the disk is full — free some space and run the same command again\n",
        result.stderr,
    )
    assert finished(out) == []
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    result = polylect("run", f"{recipe}:both", "--kilobytes", 500, *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(finished(out)) == 2
    assert not [path.name for path in (out / "steps").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_may_not_grow_is_one_line_too(recipe, tmp_path, workers):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    out = tmp_path / "out"
    options = ["--seconds", 0, "--workers", workers, "--out", out, "--kilobytes", 500]
    result = polylect("run", f"{recipe}:both", *options, preexec_fn=limit)
    assert result.returncode == 1
    assert "the file would exceed the allowed size — raise the limit (ulimit -f)" in result.stderr
    assert result.stderr.count("\n") == 1
    assert finished(out) == []


@pytest.mark.parametrize("arguments", [["languages"], ["--help"], ["run", "lifecycle", "--help"]])
def test_an_output_that_is_full_or_closed_is_no_traceback(arguments):
    with open("/dev/full", "w") as full:
        result = polylect(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr.startswith("polylect: the disk is full")
    assert result.stderr.count("\n") == 1
    reader, writer = os.pipe()
    os.close(reader)  # as head does when it has seen enough
    result = polylect(*arguments, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


def test_errors_of_the_system_without_a_place_are_still_words(recipe, capsys, tmp_path):
    recipe.write_text(
        RECIPE + "\ndef broken(run: Run, config: Failing) -> None:\n"
        f"    raise OSError({errno.EIO}, 'the device broke')\n"
    )
    err = refused(capsys, "run", f"{recipe}:broken", "--out", tmp_path / "out", code=1)
    assert err == "the device broke\n"
