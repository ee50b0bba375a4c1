import json
import math
import os

import pytest

from polylect import __version__
from polylect.base import InputError, StorageError, digest_folder
from polylect.runs import NOT_CONTENT, Call, Display, Files, Run, list_runs, read_run


def calls(load, texts, **config):
    return [Call(load.write, f"step-{t}", load.Config(text=t, **config), {}) for t in texts]


def whole(run, load):
    """A run of three steps side by side and one that joins them."""
    done = run.steps(calls(load, "abc"))
    run.step(load.join, "join", load.Config(), dict(zip("abc", done, strict=True)))
    run.finish(["page.html"])


def snapshot(folder):
    return {p: (p.stat().st_mtime_ns, p.is_dir() or p.read_bytes()) for p in folder.rglob("*")}


def test_a_users_steps_travel_to_workers_and_their_number_changes_nothing(load, tmp_path):
    for name, num in (("one", 1), ("two", 2)):
        whole(Run(tmp_path / name, "r", load.Config(), num_workers=num), load)
    assert digest_folder(tmp_path / "one", leave_out=NOT_CONTENT) == digest_folder(
        tmp_path / "two", leave_out=NOT_CONTENT
    )
    joined = next((tmp_path / "two/steps").glob("join-*"))
    assert (joined / "text.txt").read_text() == "a+b+c"


def test_workers_are_kept_from_one_call_to_the_next_and_end_with_the_run(
    load, tmp_path, alive, wait_until
):
    mark = tmp_path / "mark"
    with Run(tmp_path / "run", "r", load.Config(), num_workers=2) as run:
        for texts in ("ab", "cd", "ef"):
            run.steps(calls(load, texts, mark=str(mark)))
        pids = {int(pid) for pid in mark.read_text().split()}
        assert os.getpid() not in pids
        assert len(pids) <= 2
        assert all(map(alive, pids))
        run.finish()
        wait_until(lambda: not any(map(alive, pids)))
        with pytest.raises(InputError, match="cannot do"):
            run.steps([*calls(load, "g"), Call(load.fail, "bad", load.Config(), {})])
        run.steps(calls(load, "hi"))  # with new ones


def test_artifacts_come_in_the_order_of_calls_and_the_ledger_is_their_sum(load, tmp_path):
    run = Run(tmp_path / "run", "r", load.Config())
    run.step(load.write, "step-b", load.Config(text="b"))
    done = run.steps(calls(load, "ca"))
    assert [artifact.label for artifact in done] == ["step-c", "step-a"]
    assert list(run.artifacts) == ["step-b", "step-c", "step-a"]
    assert run.ledger.by_event() == {"dropped: test": 6}


def test_a_label_is_used_once(load, tmp_path):
    run = Run(tmp_path / "run", "r", load.Config())
    run.step(load.write, "x", load.Config(text="b"))
    with pytest.raises(AssertionError, match="x"):
        run.step(load.write, "x", load.Config(text="c"))


def test_running_again_runs_nothing(load, tmp_path):
    mark = tmp_path / "mark"
    for _ in range(2):
        run = Run(tmp_path / "run", "r", load.Config())
        run.steps(calls(load, "ab", mark=str(mark)))
    assert mark.read_text().count("\n") == 2


@pytest.mark.parametrize("left", ["partial", "lock"])
@pytest.mark.kill
def test_leftovers_of_a_kill_are_cleared_on_the_next_run(load, tmp_path, left):
    run = Run(tmp_path / "run", "r", load.Config())
    (call,) = calls(load, "a")
    run.steps([call])
    before = digest_folder(run.root)
    if left == "partial":
        (call.partial(run.root) / "work").mkdir(parents=True)
        (call.partial(run.root) / "work/state").write_text("x")
    else:
        (run.root / f".{call.folder(run.root).name}.lock").touch()
    Run(tmp_path / "run", "r", load.Config()).steps([call])
    assert digest_folder(run.root) == before


def test_an_error_of_a_worker_names_itself_and_finished_steps_stay(load, tmp_path):
    run = Run(tmp_path / "run", "r", load.Config(), num_workers=2)
    bad = Call(load.fail, "bad", load.Config(text="this"), {})
    with pytest.raises(InputError, match="cannot do this — do something else"):
        run.steps([*calls(load, "a"), bad])
    finished = [p for p in run.root.iterdir() if not p.name.startswith(".")]
    assert all(p.name.startswith("step-a-") for p in finished)


def test_the_manifest_holds_config_steps_ledger_and_outputs(load, tmp_path):
    run = Run(tmp_path / "run", "r", load.Config(text="x"))
    started = read_run(run.path)
    assert (started["state"], started["steps"], started["recipe"]) == ("started", {}, "r")
    whole(run, load)
    done = read_run(run.path)
    assert done["state"] == "done"
    assert done["polylect"] == __version__
    assert done["config"] == {"text": "x", "seconds": 0.0, "mark": ""}
    assert done["outputs"] == ["page.html"]
    assert done["ledger"] == [{"event": "dropped: test", "where": "de", "count": 6}]
    for label, step in done["steps"].items():
        assert (run.path / step["folder"] / "step.json").is_file()
        assert step["digest"] == run.artifacts[label].digest
    assert str(tmp_path) not in (run.path / "run.json").read_text()


def test_a_config_with_infinity_can_be_written_found_and_read_by_anyone(load, tmp_path):
    config = load.Config(seconds=-math.inf)
    Run(tmp_path / "run", "r", config).finish()
    text = (tmp_path / "run/run.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    Run(tmp_path / "run", "r", config)
    assert read_run(tmp_path / "run")["state"] == "done"  # it was recognized


def test_another_config_starts_the_manifest_anew(load, tmp_path):
    Run(tmp_path / "run", "r", load.Config()).finish()
    Run(tmp_path / "run", "r", load.Config(text="y"))
    assert read_run(tmp_path / "run")["state"] == "started"


@pytest.mark.parametrize("scratch", [False, True])
def test_a_folder_that_is_not_its_own_is_refused(load, tmp_path, scratch):
    kwargs = {"scratch": tmp_path / "scratch"} if scratch else {}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match="holds something that is not a run"):
        Run(foreign, "r", load.Config(), **kwargs)
    assert os.listdir(foreign) == ["thesis.doc"]
    Run(tmp_path / "other", "another", load.Config())
    with pytest.raises(InputError, match="holds a run of recipe 'another', not of 'r'"):
        Run(tmp_path / "other", "r", load.Config(), **kwargs)


@pytest.mark.parametrize("text", ["[]", "{}", '{"recipe": "r"}', "{"])
def test_a_foreign_run_json_is_refused_in_one_line(load, tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        Run(tmp_path, "r", load.Config())
    (row,) = list_runs(tmp_path)
    assert (row.state, row.error) == ("failed", f"{tmp_path}/run.json: not the manifest of a run")
    assert (tmp_path / "run.json").read_text() == text


@pytest.mark.kill
def test_a_kill_while_the_first_manifest_is_written_does_not_lock_the_folder(load, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.run.json.4711.tmp").write_text('{"reci')
    Run(tmp_path / "run", "r", load.Config())
    assert read_run(tmp_path / "run")["recipe"] == "r"


def test_a_file_in_place_of_the_run_folder_is_a_storage_error(load, tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(StorageError, match="choose another path"):
        Run(tmp_path / "run", "r", load.Config())


def test_a_plan_writes_nothing_and_finds_what_is_finished(load, tmp_path):
    mark = tmp_path / "mark"
    path = tmp_path / "run"
    Run(path, "r", load.Config()).steps(calls(load, "a", mark=str(mark)))
    before = snapshot(path)
    plan = Run(path, "r", load.Config(text="other"), scratch=tmp_path / "scratch")
    done = plan.steps(calls(load, "ab", mark=str(mark)))
    assert snapshot(path) == before
    assert [artifact.path.is_relative_to(path) for artifact in done] == [True, False]
    assert done[1].path.is_relative_to(tmp_path / "scratch")
    assert mark.read_text().count("\n") == 2


def test_a_plan_makes_no_folder(load, tmp_path):
    plan = Run(tmp_path / "none", "r", load.Config(), scratch=tmp_path / "scratch")
    plan.steps(calls(load, "a"))
    assert not (tmp_path / "none").exists()


def test_the_display_gets_the_progress_of_steps_in_workers(load, tmp_path, capsys):
    display = Display(terminal=False)
    events = []
    draw = display.handle
    display.handle = lambda event: (events.append(event), draw(event))
    run = Run(tmp_path / "run", "r", load.Config(), num_workers=2, display=display)
    run.steps(calls(load, "ab", seconds=0.3))
    assert {event.task for event in events} == {"step-a", "step-b"}
    assert any(event.unit == "units" for event in events)
    assert capsys.readouterr().err == ""


def test_a_changed_input_file_runs_the_step_again(load, tmp_path):
    source = tmp_path / "source.txt"
    digests = []
    for text in ("x", "x", "y"):
        source.write_text(text)
        run = Run(tmp_path / "run", "r", load.Config())
        digests.append(run.step(load.write, "s", load.Config(), {"f": Files(source)}).path)
    assert digests[0] == digests[1] != digests[2]


def test_a_step_that_runs_alone_may_use_all_workers(load, tmp_path):
    module = load
    workers = {}
    for name, num, labels in (("a", 3, ["x"]), ("b", 3, ["x", "y"]), ("c", 1, ["x"])):
        run = module.Run(tmp_path / name, "r", module.Config(), num_workers=num)
        done = run.steps([module.Call(module.count_workers, label, module.Config(text=label), {})
                          for label in labels])  # fmt: skip
        workers[name] = {(artifact.path / "num.txt").read_text() for artifact in done}
    assert workers == {"a": {"3"}, "b": {"1"}, "c": {"1"}}
