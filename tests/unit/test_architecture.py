"""The house rules that a machine can check: one test a rule, one list of offenses."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
import typing
from pathlib import Path

import pytest

import polylect

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "polylect"
TEXTS = {
    path.relative_to(SOURCE).as_posix(): path.read_text("utf-8")
    for path in sorted(SOURCE.rglob("*.py"))
}
TREES = {name: ast.parse(text) for name, text in TEXTS.items()}
PACKAGES = sorted(
    f"polylect.{module.name}" for module in pkgutil.iter_modules(polylect.__path__) if module.ispkg
)
FACES = sorted(
    ".".join(("polylect", *Path(name).parts[:-1]))
    for name in TEXTS
    if Path(name).name == "__init__.py" and "/" in name
)
HEAVY = "{'torch', 'transformers', 'safetensors.torch'}"


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def measured():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from house import measure

        return measure(ROOT)


def test_the_rules_see_the_whole_tree():
    assert len(TEXTS) > 200
    assert {"polylect.base", "polylect.cli", "polylect.runs"} <= set(PACKAGES) <= set(FACES)


def test_a_package_imports_only_from_the_tiers_below_it():
    printed = python("from importlinter.cli import lint_imports; lint_imports(no_cache=True)")
    assert "KEPT" in printed
    assert "BROKEN" not in printed


def test_every_package_stands_in_a_tier():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(rule["layers"] for rule in contracts["contracts"] if rule["type"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split("|")}
    assert {f"polylect.{name}" for name in named} == set(PACKAGES)


def test_no_files_import_each_other_in_a_circle_and_no_import_goes_past_a_face(measured):
    rows, lists = measured
    assert lists["circles"] == []
    assert lists["circles, typing imports too"] == []
    assert lists["imports past a face"] == []
    assert rows["imports between packages"] > 500  # the rule sees them


def test_no_package_is_more_than_a_tenth_of_the_source(measured):
    rows, _ = measured
    name, share = str(rows["largest package, % of code"]).split()
    assert float(share) <= 10, name


def test_a_file_is_at_most_400_lines_long():
    lengths = {name: text.count("\n") for name, text in TEXTS.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_file_or_folder_is_a_drawer():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    parts = {
        (part.removesuffix(".py").strip("_"), name) for name in TEXTS for part in Path(name).parts
    }
    assert [name for part, name in parts if part in drawers] == []


def test_a_face_lists_names_that_exist_and_none_that_is_private():
    offenses = []
    for face in FACES:
        module = importlib.import_module(face)
        names = getattr(module, "__all__", [])
        offenses += [f"{face}: {name} twice" for name in set(names) if names.count(name) > 1]
        offenses += [f"{face}: {name} is private" for name in names if name.startswith("_")]
        offenses += [f"{face}: no {name}" for name in names if not hasattr(module, name)]
    assert offenses == []


def test_no_public_name_of_a_face_is_the_name_of_a_file_beside_it():
    # Importing the file would hide the name.
    offenses = []
    for face in FACES:
        module = importlib.import_module(face)
        files = {file.name for file in pkgutil.iter_modules(module.__path__)}
        offenses += [f"{face}.{name}" for name in getattr(module, "__all__", []) if name in files]
    assert offenses == []


def names_of(module: str) -> set[str] | None:
    """What can be imported from a module or package of ours; None where there is none."""
    stem = "/".join(module.split(".")[1:])
    name = next((n for n in (f"{stem}.py", f"{stem}/__init__.py".lstrip("/")) if n in TREES), None)
    if name is None:
        return None
    names = {
        Path(other).parts[-1].removesuffix(".py")
        for other in TREES
        if name.endswith("__init__.py") and Path(other).parent.as_posix() == stem
    }
    names |= {Path(other).parent.name for other in TREES if Path(other).parent.parent == Path(stem)}
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_what_scripts_and_plugins_import_of_us_is_there():
    offenses = []
    for path in sorted([*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        if ".envs" in path.parts:  # the peers'
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if module.split(".")[0] == "polylect":
                known = names_of(module) or set()
                offenses += [
                    f"{path.relative_to(ROOT)}: {module}.{alias.name}"
                    for alias in node.names
                    if alias.name not in known
                ]
    assert offenses == []
    assert names_of("polylect.nowhere") is None


def test_what_is_public_has_a_docstring():
    offenses = [name for name, tree in TREES.items() if not ast.get_docstring(tree)]
    for name, tree in TREES.items():
        offenses += [
            f"{name}: {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    assert offenses == []


def test_what_a_face_hands_on_has_a_docstring_methods_too():
    offenses = []
    for face in FACES:
        module = importlib.import_module(face)
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            if not callable(value) or typing.get_origin(value):
                continue  # constants and aliases have theirs in the source
            if not (getattr(value, "__doc__", "") or "").strip():
                offenses.append(f"{face}.{name}")
            for method, member in vars(value).items() if isinstance(value, type) else ():
                function = getattr(member, "__func__", getattr(member, "fget", member))
                public = not method.startswith("_") and callable(function)
                if public and not (function.__doc__ or "").strip():
                    offenses.append(f"{face}.{name}.{method}")
    assert offenses == []


def test_no_pickle_no_printing_and_no_dynamic_code():
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    calls = {"print", "eval", "exec", "input"}
    allowed = {
        ("runs/progress.py", "print"),  # the display, to stderr
        ("runs/_confined_child.py", "exec"),  # runs a program after it has confined itself
    }
    offenses = []
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                used = {alias.name.split(".")[0] for alias in node.names} & modules
            elif isinstance(node, ast.ImportFrom):
                used = {(node.module or "").split(".")[0]} & modules
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                used = {node.func.id} & calls
            else:
                continue
            offenses += [(name, word) for word in used if (name, word) not in allowed]
    for phrase in ("trust_remote_code=True", "allow_pickle=True"):
        offenses += [(name, phrase) for name, text in TEXTS.items() if phrase in text]
    assert offenses == []


def test_importing_polylect_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import polylect; print(*set(sys.modules) - before)"
    )
    assert set(python(code).split()) == {"polylect", "polylect._version"}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (["torch"], "torch"),  # the check can fail
        (PACKAGES, ""),
        (
            [
                "polylect." + name.removesuffix(".py").replace("/", ".")
                for name in TEXTS
                if name.endswith("/config.py")
            ],
            "",
        ),
    ],
    ids=["torch itself", "packages", "configurations"],
)
def test_what_is_imported_brings_no_torch(modules, heavy):
    lines = [*(f"import {name}" for name in modules), f"print(*({HEAVY} & set(sys.modules)))"]
    assert python("\n".join(["import sys", *lines])) == heavy


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
    offenses = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]!r}"
        for path in tracked()
        if path.is_file() and not path.is_symlink()
        for number, line in enumerate(path.read_bytes().split(b"\n"), start=1)
        if pattern.search(line)
    ]
    assert offenses == []


def test_the_license_is_there_and_nothing_large_is_tracked():
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    sizes = {path.name: path.stat().st_size for path in tracked() if path.is_file()}
    assert max(sizes.values()) < 1_000_000, max(sizes, key=sizes.__getitem__)
