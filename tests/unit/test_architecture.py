"""The house rules that a machine can check."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import polylect

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "polylect"
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [path.relative_to(SOURCE).as_posix() for path in FILES]
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in zip(NAMES, FILES, strict=True)}
PACKAGES = sorted(
    f"polylect.{one.name}" for one in pkgutil.iter_modules(polylect.__path__) if one.ispkg
)

LONG_FILES: frozenset[str] = frozenset()
"""Files of 400 to 600 lines that were decided on."""


def test_the_tree_is_there():
    assert len(FILES) > 40
    assert {"polylect.base", "polylect.cli", "polylect.runs"} <= set(PACKAGES)


def test_every_package_imports_from_the_tiers_below_it_only():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", code.replace("lint_imports()", "lint_imports(no_cache=True)")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "KEPT" in done.stdout
    assert "BROKEN" not in done.stdout


def test_every_package_is_in_the_contract():
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    named = {name.strip() for line in layers for name in line.split("|")}
    assert {f"polylect.{name}" for name in named} == set(PACKAGES)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_short(name):
    lines = (SOURCE / name).read_text("utf-8").count("\n")
    assert lines <= 600
    assert lines <= 400 or name in LONG_FILES


def test_no_file_is_a_drawer():
    stems = {Path(name).stem.strip("_") for name in NAMES}
    parts = {part for name in NAMES for part in Path(name).parts[:-1]}
    assert not (stems | parts) & {"utils", "util", "helpers", "helper", "common", "misc"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package):
    module = importlib.import_module(package)
    assert module.__doc__
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        if not callable(value) or typing.get_origin(value):
            continue  # constants and aliases have theirs in the source, below
        if not (getattr(value, "__doc__", "") or "").strip():
            missing.append(name)
        for method, one in vars(value).items() if isinstance(value, type) else ():
            public = not method.startswith("_")
            function = getattr(one, "__func__", getattr(one, "fget", one))
            if public and callable(function) and not (function.__doc__ or "").strip():
                missing.append(f"{name}.{method}")
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted_complete_and_without_private_names(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [name for name in module.__all__ if name.startswith("_")]
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_function_class_and_module_that_is_public_says_what_it_is(name):
    tree = TREES[name]
    assert ast.get_docstring(tree), "the module"
    kinds = (ast.FunctionDef, ast.ClassDef)
    for node in [one for one in tree.body if isinstance(one, kinds)]:
        if not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name.split(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("name", NAMES)
def test_no_pickle_no_print_no_dynamic_code(name):
    tree = TREES[name]
    assert not {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"} & {*imported(tree)}
    calls = [
        node.func.id for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]  # fmt: skip
    allowed = {
        "runs/progress.py": {"print"},  # the display, to stderr
        "runs/_confined_child.py": {"exec"},  # runs a program after it has confined itself
    }
    assert not ({"print", "eval", "exec", "input"} & set(calls)) - allowed.get(name, set())
    text = (SOURCE / name).read_text("utf-8")
    assert "trust_remote_code=True" not in text
    assert "allow_pickle=True" not in text


def imports_heavy(code: str) -> set[str]:
    heavy = "{'torch', 'transformers', 'safetensors.torch'}"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*({heavy} & set(sys.modules)))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_importing_polylect_imports_nothing_at_all():
    code = (
        "import sys; before = set(sys.modules); import polylect; print(set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'polylect'}"


def test_no_package_imports_torch_when_it_is_imported():
    assert imports_heavy("import torch") == {"torch"}  # the check can fail
    assert imports_heavy("\n".join(f"import {name}" for name in PACKAGES)) == set()


def test_no_config_module_imports_torch():
    configs = [
        "polylect." + name.removesuffix(".py").replace("/", ".")
        for name in NAMES
        if name.endswith("/config.py")
    ]
    assert len(configs) >= 4
    assert imports_heavy("\n".join(f"import {name}" for name in configs)) == set()


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout: there are no tracked files to look at")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_path_of_a_machine_is_in_a_tracked_file():
    places = ("work", "tmp/venv", "root")
    pattern = re.compile(rb"(?<![\w.~/-])/(" + "|".join(places).encode() + rb")(?=/|\b)")
    assert pattern.search(b" /" + b"work/main")
    assert not pattern.search(b"frame/" + b"work")
    found = []
    for path in tracked():
        if path.is_file() and not path.is_symlink():
            for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
                if pattern.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]!r}")
    assert found == []


def test_the_license_is_there_and_nothing_large_is_tracked():
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    sizes = {path.name: path.stat().st_size for path in tracked() if path.is_file()}
    assert max(sizes.values()) < 1_000_000, max(sizes, key=sizes.__getitem__)
