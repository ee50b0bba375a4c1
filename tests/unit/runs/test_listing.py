"""Every output is a run: it is listed in every state, shows what made it, and can be removed."""

import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from polylect.base import InputError, digest_folder
from polylect.runs import (
    NOT_CONTENT,
    Call,
    Files,
    Run,
    describe_run,
    execute_into,
    headline,
    invocation,
    kept_folder,
    list_runs,
    remove_run,
)


def rows(*roots, **options):
    return [(info.path.name, info.what, info.state) for info in list_runs(*roots, **options)]


def checkpoint(out, text="weights", *, fails=False):
    """What ``merge`` leaves: a sealed folder."""
    with kept_folder(out) as folder:
        (folder / "model.safetensors").write_text(text)
        if fails:
            raise ZeroDivisionError("division by zero")
        headline("2 models,\n300 tensors")
        lineage = {"method": "linear", "settings": {"weights": [0.5, 0.5]},
                   "parents": [{"label": "a", "digest": "d" * 64, "license": ""}]}  # fmt: skip
        (folder / "polylect.json").write_text(
            json.dumps({"version": 1, "lineage": lineage, "files": {"model.safetensors": "e" * 64}})
        )


def recipe_run(path, load, **config):
    with Run(path, "walk", load.Config(**config)) as run:
        run.announce(["write"], ["fail"] if config.get("text") == "bad" else ["join"])
        first = run.step(load.write, "write", load.Config(**config))
        if config.get("text") == "bad":
            run.step(load.fail, "fail", load.Config(text="that"))
        run.step(load.join, "join", load.Config(), {"a": first})
        headline("worst hurt: hi −3.2 %")
        run.finish(["page.html"])


def test_each_kind_of_result_is_a_row_with_what_it_says_of_itself(load, tmp_path):
    before = datetime.now(UTC).replace(microsecond=0)
    recipe_run(tmp_path / "deep/recipe", load)
    with invocation(["rank", "votes.jsonl"]):
        execute_into(Call(load.write, "step", load.Config(), {}), tmp_path / "step")
    with invocation(["train", "sft", "--out", "x"], what="train sft"):
        checkpoint(tmp_path / "model")
    infos = list_runs(tmp_path)
    assert [(i.path.relative_to(tmp_path).as_posix(), i.what, i.kind, i.state) for i in infos] == [
        ("deep/recipe", "walk", "recipe", "done"),
        ("model", "train sft", "checkpoint", "done"),
        ("step", "rank", "step", "done"),
    ]
    assert [info.headline for info in infos] == [
        "worst hurt: hi −3.2 %", "2 models, 300 tensors", "",
    ]  # fmt: skip
    assert (infos[0].step, infos[0].num_steps) == (2, 2)
    for info in infos:
        assert before <= info.started <= datetime.now(UTC)
        assert 0 <= info.seconds < 60
        below = [path for path in info.path.rglob("*") if path.is_file()]
        assert info.num_bytes == sum(path.stat().st_size for path in below)
        assert json.dumps(info.to_json())


def test_a_failed_run_keeps_its_error_and_log_until_the_output_is_made(load, tmp_path):
    with pytest.raises(InputError):
        execute_into(Call(load.fail, "out", load.Config(text="this"), {}), tmp_path / "out")
    with pytest.raises(ZeroDivisionError):
        checkpoint(tmp_path / "model", fails=True)
    with pytest.raises(InputError):
        recipe_run(tmp_path / "recipe", load, text="bad")
    assert [(info.path.name, info.state, info.error) for info in list_runs(tmp_path)] == [
        ("model", "failed", "ZeroDivisionError: division by zero"),
        ("out", "failed", "cannot do this — do something else"),
        ("recipe", "failed", "cannot do that — do something else"),
    ]
    recipe = list_runs(tmp_path)[-1]
    assert (recipe.step, recipe.num_steps) == (2, 2)
    assert "Traceback" in (tmp_path / ".model.run/log.txt").read_text()
    assert "Traceback" in (tmp_path / "recipe/log.txt").read_text()
    assert not (tmp_path / ".model.partial").exists()
    checkpoint(tmp_path / "model")
    execute_into(Call(load.write, "out", load.Config(), {}), tmp_path / "out")
    assert rows(tmp_path, where={"state": "done"}) == [
        ("model", "linear", "done"),
        ("out", "write", "done"),
    ]
    # The log goes on: what failed before the success is in it.
    assert "ZeroDivisionError" in (tmp_path / "model/log.txt").read_text()
    assert sorted(os.listdir(tmp_path)) == ["model", "out", "recipe", "recipe_of_tests.py"]


def test_a_refused_recipe_leaves_nothing(load, tmp_path):
    with pytest.raises(InputError), Run(tmp_path / "run", "walk", load.Config()):
        raise InputError("no such option")
    assert os.listdir(tmp_path) == ["recipe_of_tests.py"]


RUNNING = """
out = Path(sys.argv[1])
if sys.argv[2] == "recipe":
    with r.Run(out, "walk", r.Config()) as run:
        run.announce(["a", "b"], ["c"])
        run.step(r.write, "a", r.Config())
        run.step(r.write, "b", r.Config(seconds=60, mark=sys.argv[3]))
elif sys.argv[2] == "step":
    call = r.Call(r.write, "out", r.Config(seconds=60, mark=sys.argv[3]), {})
    from polylect.runs import execute_into
    execute_into(call, out)
else:
    import time
    from polylect.runs import kept_folder
    with kept_folder(out) as folder:
        (folder / "half").touch()
        Path(sys.argv[3]).touch()
        time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["recipe", "step", "checkpoint"])
@pytest.mark.kill
def test_a_running_run_says_how_far_it_is_and_a_killed_one_that_it_was(
    kind, start, tmp_path, wait_until
):
    out, mark = tmp_path / "out", tmp_path / "mark"
    process = start(RUNNING, out, kind, mark)
    wait_until(lambda: mark.exists() or process.poll() is not None)
    time.sleep(1.2)  # the status is written once a second
    (running,) = list_runs(tmp_path)
    assert (running.path, running.state, running.error) == (out, "running", "")
    assert {
        "recipe": (2, 3, "b 1 of 2 units"), "step": (None, None, "1 of 2 units"),
        "checkpoint": (None, None, ""),
    }[kind] == (running.step, running.num_steps, running.progress)  # fmt: skip
    with pytest.raises(InputError, match="is running"):
        remove_run(out)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (killed,) = list_runs(tmp_path)
    assert (killed.path, killed.state, killed.progress) == (out, "killed", "")
    assert killed.num_bytes > 0
    assert remove_run(out)
    assert list_runs(tmp_path) == []
    assert {name for name in os.listdir(tmp_path) if "out" in name} == set()


@pytest.mark.kill
def test_what_older_versions_left_is_listed(load, tmp_path):
    execute_into(Call(load.write, "step", load.Config(), {}), tmp_path / "step")
    volatile = {"wall_seconds": 90.0, "cpu_seconds": 80.0, "finished": "2026-01-02T03:04:05Z"}
    (tmp_path / "step/volatile.json").write_text(json.dumps(volatile))
    checkpoint(tmp_path / "model")
    recipe_run(tmp_path / "recipe", load)
    for name in ("step/log.txt", "model/log.txt", "model/volatile.json", "recipe/log.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "recipe/volatile.json").write_text('{"python": "3.11.7"}')
    manifest = json.loads((tmp_path / "recipe/run.json").read_text()) | {"state": "started"}
    (tmp_path / "recipe/run.json").write_text(json.dumps(manifest))
    (tmp_path / ".old-0123456789ab.partial/work").mkdir(parents=True)
    (tmp_path / ".merged.partial").mkdir()
    assert rows(tmp_path) == [
        ("merged", "", "killed"), ("model", "linear", "done"), ("old", "", "killed"),
        ("recipe", "walk", "killed"), ("step", "write", "done"),
    ]  # fmt: skip
    step = list_runs(tmp_path, where={"what": "write"})[0]
    assert step.started == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) - timedelta(seconds=90)
    assert describe_run(tmp_path / "step").command == ""
    for name in ("old", "merged", "recipe"):
        remove_run(tmp_path / name)
    assert [name for name, *_ in rows(tmp_path)] == ["model", "step"]


def test_rows_are_sorted_and_chosen_by_any_column(load, tmp_path):
    for name, size in (("b", 10), ("a", 3000), ("c", 200)):
        with invocation([f"verb-{size}"]):
            checkpoint(tmp_path / name, "x" * size)
    assert [name for name, *_ in rows(tmp_path)] == ["a", "b", "c"]
    assert [name for name, *_ in rows(tmp_path, sort="num_bytes")] == ["a", "c", "b"]
    assert [name for name, *_ in rows(tmp_path, sort="what")] == ["b", "c", "a"]
    assert [name for name, *_ in rows(tmp_path, where={"what": "verb-?00"})] == ["c"]
    assert rows(tmp_path, where={"what": "verb-*", "state": "failed"}) == []
    for options in ({"sort": "stat"}, {"where": {"stat": "done"}}):
        with pytest.raises(InputError, match=r"no column 'stat'.*state"):
            list_runs(tmp_path, **options)
    with pytest.raises(InputError, match="no such folder"):
        list_runs(tmp_path / "nowhere")


def test_runs_are_searched_for_where_users_have_them(load, tmp_path, monkeypatch):
    checkpoint(tmp_path / "model")
    checkpoint(tmp_path / "model/scored")  # a result inside of another's folder
    checkpoint(tmp_path / ".hidden/model")
    checkpoint(tmp_path / "venv/model")
    (tmp_path / "venv/pyvenv.cfg").touch()
    recipe_run(tmp_path / "recipe", load)
    monkeypatch.chdir(tmp_path)
    assert [str(info.path) for info in list_runs()] == ["model", "model/scored", "recipe"]
    assert [str(info.path) for info in list_runs("model", "recipe", "model/scored")] == [
        "model", "model/scored", "recipe",
    ]  # fmt: skip
    with pytest.raises(InputError, match="other runs lie in it"):
        remove_run("model")


def test_ten_thousand_files_take_no_time(load, tmp_path):
    for folder in range(100):
        place = tmp_path / f"data/{folder}"
        place.mkdir(parents=True)
        for file in range(97):
            (place / f"{file}.txt").touch()
        if folder % 10 == 0:
            checkpoint(place / "model")
    took = []
    for _ in range(3):
        started = time.process_time()  # the machine may be busy with other tests
        assert len(list_runs(tmp_path)) == 10
        took.append(time.process_time() - started)
    assert min(took) < 0.3


def test_what_made_a_run_can_be_pasted(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["eval", "my model", "--tasks", "a;b", "--out", "out"]
    with invocation(words), invocation(["inner", "call"]):
        execute_into(Call(load.write, "out", load.Config(), {}), tmp_path / "out")
        recipe_run(tmp_path / "recipe", load)
        checkpoint(tmp_path / "model")
    for name in ("out", "recipe", "model"):
        described = describe_run(name)
        assert described.command == "polylect eval 'my model' --tasks 'a;b' --out out"
        assert described.log == described.info.path / "log.txt"
        assert "polylect eval 'my model' --tasks 'a;b' --out out" in described.log.read_text()
        assert described.outputs
    assert describe_run("out").config == {"text": "text", "seconds": 0.0, "mark": ""}
    assert describe_run("model").config == {"method": "linear", "weights": [0.5, 0.5]}
    assert describe_run("model").inputs == {"a": "d" * 64}
    monkeypatch.chdir("/")
    command = describe_run(tmp_path / "out").command
    assert command == f"cd {tmp_path} && polylect eval 'my model' --tasks 'a;b' --out out"


def test_the_command_of_a_killed_and_a_failed_run_is_shown_too(load, tmp_path):
    with invocation(["rank", "v"]), pytest.raises(InputError):
        execute_into(Call(load.fail, "out", load.Config(), {}), tmp_path / "out")
    described = describe_run(tmp_path / "out")
    assert described.command.endswith("polylect rank v")
    assert described.info.error == "cannot do text — do something else"
    with pytest.raises(InputError, match="no run here"):
        describe_run(tmp_path)
    with pytest.raises(InputError, match="no such run"):
        describe_run(tmp_path / "nowhere")


def test_steps_in_workers_keep_the_command(load, tmp_path):
    with (
        invocation(["run", "walk"]),
        Run(tmp_path / "run", "walk", load.Config(), num_workers=2) as run,
    ):
        calls = [Call(load.write, name, load.Config(text=name), {}) for name in "ab"]
        for artifact in run.steps(calls):
            volatile = json.loads((artifact.path / "volatile.json").read_text())
            assert volatile["made_by"]["words"] == ["run", "walk"]
        run.finish()


def test_times_and_logs_are_no_content(load, tmp_path):
    for name in ("one", "two"):
        with invocation([name]):
            checkpoint(tmp_path / name)
            execute_into(Call(load.write, "s", load.Config(), {}), tmp_path / f"{name}-step")
        time.sleep(0.01)
    for end in ("", "-step"):
        one, two = tmp_path / f"one{end}", tmp_path / f"two{end}"
        assert digest_folder(one, leave_out=NOT_CONTENT) == digest_folder(
            two, leave_out=NOT_CONTENT
        )
        assert digest_folder(one) != digest_folder(two)
        assert Files(one).digest == Files(two).digest
        (two / "log.txt").write_text("other")
        assert Files(one).digest == Files(two).digest
    # A user's own folder is taken as it is.
    for name in ("mine", "yours"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.txt").write_text(name)
    assert Files(tmp_path / "mine").digest != Files(tmp_path / "yours").digest


def test_a_run_is_removed_with_what_lies_beside_it_and_its_cache_on_demand(load, tmp_path):
    call = Call(load.write, "out", load.Config(), {})
    for caches in (False, True):
        execute_into(call, tmp_path / "out")
        (tmp_path / ".out-0123456789ab.partial/work").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".out.lock").touch()
        (tmp_path / "out-cache").mkdir(exist_ok=True)
        (tmp_path / "out-2").mkdir(exist_ok=True)
        removed = {path.name for path in remove_run(tmp_path / "out", caches=caches)}
        assert removed == {
            "out", ".out-0123456789ab.partial", ".out.lock", *({"out-cache"} if caches else ()),
        }  # fmt: skip
        left = {"out-2", "recipe_of_tests.py", *(() if caches else {"out-cache"})}
        assert set(os.listdir(tmp_path)) == left
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.doc").touch()
    with pytest.raises(InputError, match="no run here"):
        remove_run(tmp_path / "mine")
    assert (tmp_path / "mine/thesis.doc").exists()
