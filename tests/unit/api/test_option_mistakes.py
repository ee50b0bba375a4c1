"""A wrong value for every option of every command: one line that names option, value and range."""

import os
import re

import pytest

from polylect.api.catalog import COMMANDS, find_call
from polylect.api.option_fields import option_fields
from polylect.api.recipe_runs import recipe_verb
from polylect.base import range_of
from polylect.cli import main
from polylect.recipes import SHIPPED

LEAKS = re.compile(
    r"\{None\}|\|INT|\|PATH|<class|typing\.|Annotated|invalid literal|could not convert|Range\(|"
    r"Traceback|helptext|instantiated|nargs|Invalid choice|\(default: (None|''|False)?\)|Expected 1"
)
"""What only somebody who reads the parser's code would understand."""


ALL = {command: find_call(name).verb.options for command, name in COMMANDS.items()}
ALL |= {f"run {name}": recipe_verb(name).options for name in SHIPPED}
FIELDS = [(command, field) for command, options in ALL.items() for field in option_fields(options)]


def misspelt(name):
    return name[:3] + name[4:] if len(name) > 7 else name + "x"


def mistakes(field):
    """Arguments, and what the line must hold, for each mistake that an option can be given."""
    name = field.name
    if field.place:
        if field.choices:
            yield ["zzz"], [repr("zzz"), *field.choices]
        return
    yield [misspelt(name)], [misspelt(name), "did you mean --"]
    if field.switch:
        yield [f"{name}=yes"], [f"{name}=yes", "takes no value"]
        if field.opposite:
            yield [name, field.opposite], [name, field.opposite]
        return
    yield [name], [f"{name} needs a value", field.wanted]
    yield [name, "--force"], [f"{name} needs a value", field.wanted]
    value = field.choices[0] if field.choices else "1"
    if not field.many:
        yield [name, value, name, value], [name, "twice"]
    if field.choices:
        yield [name, "zzz"], [name, "'zzz'", *field.choices]
        yield [name, field.choices[0][:-1] + "_"], [name, f"did you mean {field.choices[0]}?"]
        yield [name, ""], [name, "''", *field.choices]
    elif field.kind in (int, float):
        begin = "de=" if field.pairs else ""
        for wrong in ("none", "1;5" if field.many else "1,5", "0x10", "None"):
            yield [name, begin + wrong], [name, repr(wrong), "number"]
            yield [f"{name}={begin}{wrong}"], [name, repr(wrong), "number"]
        yield [name, ""], [name, "''", field.metavar.split(" ")[0] if field.pairs else "number"]
        if field.kind is int:
            yield [name, "1.5"], [name, "'1.5'", "whole number"]
            yield [name, "1e3"], [name, "'1e3'", "whole number"]
            yield [name, "nan"], [name, "'nan'", "whole number"]
    elif field.wanted == "a path":
        yield [name, ""], [name, "''", field.metavar if field.pairs else "path"]


@pytest.mark.parametrize("command", ALL)
def test_a_wrong_value_is_one_line(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for field in option_fields(ALL[command]):
        for arguments, words in mistakes(field):
            assert main([*command.split(), *arguments]) == 2, arguments
            err = one_line(capsys, arguments)
            assert [word for word in words if word not in err] == [], (arguments, err)
    assert os.listdir(tmp_path) == []


def one_line(capsys, arguments):
    out, err = capsys.readouterr()
    assert out == "", arguments
    assert err.startswith("polylect: "), arguments
    assert err.count("\n") == 1, err
    assert len(err) < 500, err
    assert not LEAKS.search(err), err
    return err


def required(options):
    """The shortest command line with all that must be given."""
    words = []
    for field in option_fields(options):
        if field.required:
            value = field.choices[0] if field.choices else "1"
            words += [value] if field.place else [field.name, value]
    return words


@pytest.mark.parametrize("command", ALL)
def test_a_number_out_of_its_range_is_one_line(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin = [*command.split(), *required(ALL[command])]
    for field in option_fields(ALL[command]):
        allowed = range_of(field.hint)
        for wrong in ("-1e9", "1e12", "nan", "inf", "0") if allowed is not None else ():
            if (field.kind is int and wrong != "0") or float(wrong) in allowed:
                continue
            arguments = [*begin, field.name, f"de={wrong}" if field.pairs else wrong]
            if field.name in begin:
                arguments = [wrong if word == "1" else word for word in begin]
            assert main(arguments) == 2, arguments
            err = one_line(capsys, arguments)
            assert field.name in err, err
            assert allowed.words in err, err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("command", "options"), ALL.items())
def test_what_is_missing_is_named_with_the_whole_command(command, options, capsys):
    needed = [field for field in option_fields(options) if field.required]
    if not needed or command == "prompts":
        pytest.skip("nothing must be given")
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"polylect: {command}: ")
    for field in needed:
        assert field.label in err.split(" — ")[0]
    assert f" — polylect {command} " in err


@pytest.mark.parametrize(("command", "options"), ALL.items())
def test_help_reads_well(command, options, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count(f"\n  polylect {command}") >= 3, "three examples"
    assert out.startswith(f"usage: polylect {command}")
    assert not LEAKS.search(out)
    assert max(map(len, out.splitlines())) <= 100
    for field in option_fields(options):
        assert field.help, field.name
        assert re.match(r"[A-Z]|[a-z-]+:", field.help), field.help
        assert field.help.endswith(".") or field.help[-1] in ")…", (field.name, field.help)
        assert field.help.lower().count("default:") <= 1
