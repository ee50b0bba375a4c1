"""A result folder is found again, refused when it holds something else, or replaced whole."""

import json
import signal
from pathlib import Path

import pytest

from polylect.base import InputError, PolylectError
from polylect.runs import Call, Files, differences, execute_into, finished_at, kept_folder


@pytest.fixture
def call(load, tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("input")

    def make(step=None, **config):
        return Call(step or load.write, "out", load.Config(**config), {"source": Files(source)})

    return make


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_same_result_is_found_and_not_made_again(call, tmp_path):
    mark = str(tmp_path / "mark")
    out = tmp_path / "results" / "out"
    first = execute_into(call(mark=mark), out)
    assert finished_at(call(mark=mark), out) == first == execute_into(call(mark=mark), out)
    assert (tmp_path / "mark").read_text().count("\n") == 1


def test_another_result_is_refused_and_the_message_names_what_differs(call, load, tmp_path):
    out = tmp_path / "results" / "out"
    execute_into(call(text="old"), out)
    (tmp_path / "source.txt").write_text("other input")
    with pytest.raises(InputError) as caught:
        execute_into(call(text="new"), out)
    before, after = caught.value.message.split("input source ")[1].rstrip(")").split(" → ")
    assert before != after
    assert caught.value.message.startswith(f"{out}: holds another result (text old → new; input")
    assert caught.value.hint == "--force replaces it, or choose another --out DIR"
    assert (out / "text.txt").read_text() == "old"
    with pytest.raises(InputError, match=r"\(step \S+\.write → \S+\.join\) — --force"):
        execute_into(call(step=load.join), out)


def test_force_replaces_another_result_once_the_new_one_is_complete(call, load, tmp_path):
    out = tmp_path / "results" / "out"
    execute_into(call(text="old"), out)
    with pytest.raises(InputError, match="cannot do new"):
        execute_into(call(step=load.fail, text="new"), out, force=True)
    assert (out / "text.txt").read_text() == "old"
    assert names(out.parent) == [".out.run", "out"]  # the record of the failure
    execute_into(call(text="new"), out, force=True)
    assert (out / "text.txt").read_text() == "new"
    assert names(out.parent) == ["out"]


@pytest.mark.parametrize("name", [".", "..", "../here"])
def test_the_folder_one_stands_in_is_never_moved(call, tmp_path, name, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "thesis.doc").write_text("years of work")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="you stand in this folder"):
        execute_into(call(), Path(name), force=True)
    assert not list(tmp_path.parent.glob("*.before")) + list(tmp_path.glob("*.before"))
    assert (tmp_path / "here" / "thesis.doc").is_file()


def test_what_is_no_result_is_moved_aside_by_force_and_never_removed(call, tmp_path):
    out = tmp_path / "results" / "out"
    out.mkdir(parents=True)
    for number in ("", "-2"):
        (out / "thesis.doc").write_text("years of work")
        with pytest.raises(
            InputError, match=r"not empty, and not from this command \((thesis.doc|log.txt, sub)"
        ):
            execute_into(call(), out)
        execute_into(call(), out, force=True)
        assert (out / "text.txt").is_file()
        kept = out.with_name(f"out.before{number}")
        assert (kept / "thesis.doc").read_text() == "years of work"
        (out / "step.json").unlink()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="a file, not a folder"):
        execute_into(call(), tmp_path / "file")


def test_a_setting_by_its_former_name_is_the_same_setting(load, tmp_path):
    config = {"batch_size": 8, "optim": {"reward_centering": 0.5}}
    call, out = Call(load.join, "out", config, {}), tmp_path / "out"
    execute_into(call, out)
    text = (out / "step.json").read_text()
    renamed = text.replace("batch_size", "examples_per_step")
    (out / "step.json").write_text(renamed.replace("reward_centering", "centring"))
    assert finished_at(call, out) is not None


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.kill
def test_a_kill_between_the_two_renames_of_a_replacement_loses_nothing(call, tmp_path, complete):
    out = tmp_path / "results" / "out"
    execute_into(call(text="old"), out)
    out.rename(out.with_name(".out.replaced"))
    if complete:
        execute_into(call(text="new"), tmp_path / "elsewhere" / "out")
        (tmp_path / "elsewhere" / "out").rename(out)
    again = call(text="new" if complete else "old")
    (out.parent / ".out.lock").touch()
    execute_into(again, out)
    assert (out / "text.txt").read_text() == ("new" if complete else "old")
    assert names(out.parent) == ["out"]


def test_differences_name_each_setting_with_both_values():
    before = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": "f" * 64, "g": float("inf")}
    after = {"a": 1, "b": {"c": [1, 3], "d": True}, "e": "e" * 64, "h": "x" * 99}
    assert differences(before, after) == [
        "b.c[2] 2 → 3",
        "b.d none → true",
        "e ffffffffffff → eeeeeeeeeeee",
        "g inf → (absent)",
        f"h (absent) → {'x' * 39}…",
    ]
    assert differences(before, json.loads(json.dumps({**before, "g": "inf"}))) == []


def test_a_kept_folder_replaces_only_when_it_is_asked_to(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").write_text("old")
    (out / "polylect.json").touch()
    with pytest.raises(InputError, match="something already"), kept_folder(out):
        pass
    with pytest.raises(KeyError), kept_folder(out, replace=True):
        raise KeyError
    assert (out / "file").read_text() == "old"
    with kept_folder(out, replace=True) as folder:
        (folder / "file").write_text("new")
        assert (out / "file").read_text() == "old"
    assert (out / "file").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_a_kept_folder_is_for_one_process_at_a_time(start, tmp_path, wait_until, monkeypatch):
    code = """
    from polylect.runs import kept_folder
    import time
    with kept_folder(Path(sys.argv[1])) as folder:
        (folder / "half").touch()
        time.sleep(60)
    """
    process = start(code, tmp_path / "out")
    partial = tmp_path / ".out.partial"
    wait_until(lambda: (partial / "half").exists() or process.poll() is not None)
    monkeypatch.setattr("polylect.runs.folders._LOCK_SECONDS", 0.1)
    with pytest.raises(PolylectError, match="another process"), kept_folder(tmp_path / "out"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with kept_folder(tmp_path / "out") as folder:
        assert names(folder) == ["half"]
    assert names(tmp_path / "out") == ["half", "log.txt", "volatile.json"]
