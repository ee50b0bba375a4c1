import json
import os
import signal
import time

import pytest

from polylect.base import InputError, Ledger, PolylectError, StorageError, digest_folder
from polylect.runs import NOT_CONTENT, Call, Files, Step, execute, execute_into, open_artifact


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def call(load, tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("input")

    def make(label="one", inputs=None, step=None, **config):
        files = {"source": Files(source)} if inputs is None else inputs
        return Call(step or load.write, label, load.Config(**config), files)

    return make


def test_a_finished_step_is_not_run_again(call, tmp_path):
    root, mark = tmp_path / "steps", tmp_path / "mark"
    first = execute(call(mark=str(mark)), root)
    stat = (first.path / "text.txt").stat()
    second = execute(call(mark=str(mark)), root)
    assert mark.read_text().count("\n") == 1
    assert second == first
    assert (second.path / "text.txt").stat() == stat
    assert second.ledger.total("dropped: ") == 2


def test_the_folder_holds_output_and_manifests_and_nothing_is_left_beside_it(call, tmp_path):
    step_call = call(text="hello")
    artifact = execute(step_call, tmp_path / "steps")
    assert names(tmp_path / "steps") == [f"one-{step_call.key[:12]}"]
    assert names(artifact.path) == ["log.txt", "step.json", "sub", "text.txt", "volatile.json"]
    manifest = json.loads((artifact.path / "step.json").read_text())
    assert manifest["version"] == 1
    assert manifest["config"] == {"text": "hello", "seconds": 0.0, "mark": ""}
    assert manifest["inputs"] == {"source": step_call.inputs["source"].digest}
    assert sorted(manifest["outputs"]) == ["sub/tries.txt", "text.txt"]
    assert set(json.loads((artifact.path / "volatile.json").read_text())) == {
        "wall_seconds", "cpu_seconds", "started", "finished",
    }  # fmt: skip


def test_times_are_in_volatile_json_alone(call, tmp_path):
    first_root, second_root = tmp_path / "a/steps", tmp_path / "b/c/steps"
    first, second = execute(call(), first_root), execute(call(seconds=0.0), second_root)
    assert first.digest == second.digest
    assert digest_folder(first_root, leave_out=NOT_CONTENT) == digest_folder(
        second_root, leave_out=NOT_CONTENT
    )


def test_the_key_is_version_config_and_content_of_inputs(call, load, tmp_path):
    source = tmp_path / "source.txt"
    base = call().key
    raised = Step(load.write.name, 2, load.write.function)
    keys = [base, call(text="x").key, call(step=raised).key, call(step=load.fail).key]
    source.write_text("other input")
    keys.append(call().key)
    keys.append(call(inputs={"origin": Files(source)}).key)
    keys.append(call(inputs={}).key)
    assert len(set(keys)) == len(keys)
    source.write_text("input")
    assert call().key == base


def test_the_key_does_not_depend_on_label_path_or_time(call, tmp_path):
    base = call().key
    assert call(label="two").key == base
    os.utime(tmp_path / "source.txt", (0, 0))
    moved = tmp_path / "elsewhere/source.txt"
    moved.parent.mkdir()
    moved.write_text("input")
    assert call(inputs={"source": Files(moved)}).key == base
    renamed = moved.rename(moved.with_name("renamed.txt"))
    assert call(inputs={"source": Files(renamed)}).key != base


def test_a_folder_as_input_counts_names_and_contents(tmp_path):
    for name in ("a", "b/deep"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub/x.txt").write_text("1")
    assert Files(tmp_path / "a").digest == Files(tmp_path / "b/deep").digest
    (tmp_path / "a/sub/y.txt").write_text("")
    assert Files(tmp_path / "a").digest != Files(tmp_path / "b/deep").digest
    with pytest.raises(InputError, match="no such file or folder"):
        _ = Files(tmp_path / "none").digest


def test_an_artifact_counts_as_input_by_its_content(call, load, tmp_path):
    a = execute(call("a", text="x"), tmp_path / "one")
    b = execute(call("a", text="x"), tmp_path / "two")
    assert a.path != b.path
    first, second = call("j", {"in": a}, load.join), call("j", {"in": b}, load.join)
    assert first.key == second.key
    assert (execute(first, tmp_path / "one").path / "text.txt").read_text() == "x"


def test_a_step_that_fails_leaves_no_folder_and_its_error_is_its_own(call, load, tmp_path):
    with pytest.raises(InputError, match="cannot do text — do something else"):
        execute(call(step=load.fail), tmp_path / "steps")
    assert not [name for name in names(tmp_path / "steps") if not name.startswith(".")]


def test_a_file_in_place_of_the_folder_is_a_storage_error(call, tmp_path):
    (tmp_path / "steps").write_text("x")
    with pytest.raises(StorageError, match="choose another path"):
        execute(call(), tmp_path / "steps")


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"ledger": 1, "outputs": {}, "label": "x"}'])
def test_a_broken_manifest_is_an_error_of_one_line(tmp_path, text):
    (tmp_path / "step.json").write_text(text)
    with pytest.raises(InputError, match=r"step\.json"):
        open_artifact(tmp_path)


EXECUTE = """
config = r.Config(text="t", seconds=float(sys.argv[2]), mark=sys.argv[3])
inputs = {"source": r.Files(Path(sys.argv[4]))}
artifact = r.execute(r.Call(r.write, "one", config, inputs), Path(sys.argv[1]))
print(artifact.digest)
"""


@pytest.mark.parametrize("seconds_in", [0.0, 0.15])
@pytest.mark.kill
def test_a_killed_step_leaves_no_folder_and_resumes_with_its_work(
    call, start, tmp_path, wait_until, seconds_in
):
    root, mark = tmp_path / "steps", tmp_path / "mark"
    process = start(EXECUTE, root, 0.5, mark, tmp_path / "source.txt")
    call()  # makes the source
    wait_until(lambda: mark.exists() or process.poll() is not None)
    time.sleep(seconds_in)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    step_call = call(text="t", seconds=0.5, mark=str(mark))
    assert all(name.startswith(f".one-{step_call.key[:12]}.") for name in names(root))
    assert (step_call.partial(root) / "out/half-0.txt").is_file()

    artifact = execute(step_call, root)
    assert (artifact.path / "sub/tries.txt").read_text() == "2"  # work was there
    assert not list(artifact.path.glob("half*"))  # the output began empty
    assert names(root) == [artifact.path.name]


@pytest.mark.kill
def test_what_a_kill_after_the_rename_leaves_is_cleared(call, tmp_path):
    step_call = call()
    artifact = execute(step_call, tmp_path / "steps")
    (step_call.partial(tmp_path / "steps") / "work").mkdir(parents=True)
    assert execute(step_call, tmp_path / "steps") == artifact
    assert names(tmp_path / "steps") == [artifact.path.name]


@pytest.mark.parametrize("left", ["partial", "lock"])
@pytest.mark.kill
def test_what_a_kill_leaves_beside_a_folder_of_ones_own_is_cleared(call, tmp_path, left):
    step_call, out = call(), tmp_path / "mine" / "out"
    artifact = execute_into(step_call, out)
    if left == "partial":
        (step_call.partial(out.parent) / "work").mkdir(parents=True)
    else:
        (out.parent / ".out.lock").touch()
    assert execute_into(step_call, out) == artifact
    assert names(out.parent) == ["out"]


def test_of_two_processes_one_runs_the_step_and_both_get_it(call, start, tmp_path):
    root, mark = tmp_path / "steps", tmp_path / "mark"
    call()
    racers = [start(EXECUTE, root, 0.6, mark, tmp_path / "source.txt") for _ in range(3)]
    results = [racer.communicate(timeout=30) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], results
    assert len({out for out, _ in results}) == 1
    assert mark.read_text().count("\n") == 1
    assert len(names(root)) == 1


def test_a_step_that_another_process_holds_for_long_is_one_clear_error(
    call, start, tmp_path, wait_until, monkeypatch
):
    root, mark = tmp_path / "steps", tmp_path / "mark"
    call()
    process = start(EXECUTE, root, 30, mark, tmp_path / "source.txt")
    wait_until(lambda: mark.exists() or process.poll() is not None)
    monkeypatch.setattr("polylect.runs.folders._LOCK_SECONDS", 0.3)
    with pytest.raises(PolylectError, match="another process is writing it"):
        execute(call(text="t", seconds=30.0, mark=str(mark)), root)
    assert process.poll() is None


def test_a_users_file_is_loaded_once_and_its_mistakes_are_named(load, recipe, tmp_path):
    from polylect.runs import load_file

    assert load_file(recipe) is load
    with pytest.raises(InputError, match="no such file"):
        load_file(tmp_path / "none.py")
    broken = tmp_path / "broken.py"
    broken.write_text("a = 1\ndef f(:\n")
    with pytest.raises(InputError, match=r"broken\.py:2: not valid Python"):
        load_file(broken)
    broken.write_text("a = 2\n")
    assert load_file(broken).a == 2
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="not a Python file"):
        load_file(tmp_path / "notes.txt")


def test_a_users_step_is_keyed_by_what_its_file_says_not_where_it_lies(recipe, tmp_path):
    from polylect.runs import load_file

    text = recipe.read_text()
    names: dict[str, set[str]] = {}
    for place in ("here", "there", "edited"):
        (tmp_path / place).mkdir()
        copy = tmp_path / place / f"{place}.py"
        copy.write_text(text + "# edited\n" * (place == "edited"))
        module = load_file(copy)
        assert module.__file__ == str(copy)
        names[place] = {value.name for value in vars(module).values() if isinstance(value, Step)}
    assert names["here"]
    assert names["here"] == names["there"]
    assert not names["here"] & names["edited"]
    assert str(tmp_path) not in " ".join(names["here"])


def test_a_users_file_that_is_edited_is_loaded_anew_and_not_into_a_run_that_began(recipe):
    import pickle

    from polylect.runs import load_file

    old = load_file(recipe)
    (step, *_) = [value for value in vars(old).values() if isinstance(value, Step)]
    travelling = pickle.dumps(step)
    assert pickle.loads(travelling) is step
    recipe.write_text(recipe.read_text() + "added = 1\n")
    assert load_file(recipe).added == 1
    with pytest.raises(InputError, match="was changed while its run was going on"):
        pickle.loads(travelling)


def test_the_ledger_of_a_step_is_read_back(call, tmp_path):
    artifact = execute(call(), tmp_path / "steps")
    expected = Ledger()
    expected.count("dropped: test", 2, "de")
    assert open_artifact(artifact.path).ledger == expected
