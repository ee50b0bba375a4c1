"""``import polylect``: its names, in every order of imports; what a checker and ``help`` show."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import polylect as pl
from polylect.api.catalog import CALLS, COMMANDS, FUNCTIONS, find_call
from polylect.api.option_fields import option_fields
from polylect.api.stubs import stub
from polylect.base import InputError

ROOT = Path(pl.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
NAMES = sorted({name.partition(".")[0] for name in (*CALLS, *FUNCTIONS)})


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_names_are_those_of_the_catalog():
    assert pl.__all__ == NAMES
    assert set(COMMANDS.values()) == set(CALLS)
    assert set(dir(pl)) == {*NAMES, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        pl.evalute  # noqa: B018


def test_no_call_is_called_like_a_module():
    modules = {path.stem for path in ROOT.glob("*.py")} | set(PACKAGES)
    # The calls win over the packages, which are still imported from.
    assert modules & set(NAMES) <= {"people", "experts", "feedback"}


@pytest.mark.parametrize("order", ["packages first", "calls first"])
def test_calls_are_calls_in_every_order_of_imports(order):
    packages = "".join(f"import polylect.{name}\n" for name in PACKAGES)
    calls = f"import polylect as pl\nfor name in {NAMES}: getattr(pl, name)\n"
    code = packages + calls if order == "packages first" else calls + packages
    code += f"print(*[name for name in {NAMES} if type(getattr(pl, name)).__name__ == 'module'])"
    assert python(code) == []


def test_a_call_loads_nothing_heavy_before_it_is_made():
    code = (
        f"import sys, polylect as pl\nfor name in {NAMES}: getattr(pl, name)\n"
        "print(*{'torch', 'transformers', 'numpy', 'polars', 'pydantic'} & set(sys.modules))"
    )
    assert python(code) == []


def test_the_stub_is_the_committed_one():
    committed = (ROOT / "__init__.pyi").read_text(encoding="utf-8")
    assert committed == stub(), "python -m polylect.api.stubs > src/polylect/__init__.pyi"


@pytest.mark.parametrize("name", CALLS)
def test_help_shows_every_option(name):
    call = pl
    for part in name.split("."):
        call = getattr(call, part)
    fields = option_fields(find_call(name).verb.options)
    text, parameters = inspect.getdoc(call), inspect.signature(call).parameters
    assert call.__name__ == name.rpartition(".")[2]
    assert list(parameters)[: len(fields)] == [field.key for field in fields if field.place] + [
        field.key for field in fields if not field.place
    ]
    for field in fields:
        assert f"\n    {field.key}: " in text
    assert "pl." in text, "an example"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pl.rank("v.jsonl", boostrap=3), "rank: no option 'boostrap' — did you mean boot"),
        (lambda: pl.rank("v.jsonl", bootstrap="3"), "bootstrap is '3'"),
        (lambda: pl.rank("v.jsonl", bootstrap=-1), "bootstrap is -1 — give 0 or more"),
        (lambda: pl.rank("v.jsonl", bootstrap=None), "bootstrap is None"),
        (lambda: pl.rank("v.jsonl", bootstrap=True), "bootstrap is True"),
        (lambda: pl.rank("v.jsonl", "x"), "rank: 2 values without a name — it takes votes"),
        (lambda: pl.rank("v.jsonl", votes="x"), "rank: votes is given twice"),
        (lambda: pl.rank(3), "votes is 3 — give a path, a table or a list of rows"),
        (lambda: pl.rank(), "rank: votes missing — give votes=…"),
        (lambda: pl.rank("nowhere.jsonl"), "nowhere.jsonl: no such file"),
        (lambda: pl.rank("v.jsonl", tie_model="davidsn"), "tie_model is 'davidsn' — did you mean"),
        (lambda: pl.rank("v.jsonl", config=3), "rank: config is a int"),
        (lambda: pl.simulate.retire("v.jsonl"), "simulate.retire: targets missing"),
        (lambda: pl.run("lifecicle"), "no recipe 'lifecicle' — did you mean lifecycle"),
        (lambda: pl.run("lifecycle", langages=["de"]), "no option 'langages' — did you mean lang"),
        (lambda: pl.open_run("nowhere"), "nowhere: no such run"),
        (lambda: pl.list_runs("nowhere"), "nowhere: no such folder"),
        (lambda: pl.list_runs(sort="size"), "sort is 'size'"),
    ],
)
def test_a_wrong_value_is_one_line_in_the_words_of_python(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        call()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
