import os
import signal

import pytest

from polylect.base import InputError, PolylectError
from polylect.runs import Processes


def test_results_come_in_the_order_of_items_from_other_processes(work):
    items = [5, 3, 4, 1, 2, 0]
    results = Processes(2)(work.square, items)
    assert [value for value, _ in results] == [25, 9, 16, 1, 4, 0]
    pids = {pid for _, pid in results}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


@pytest.mark.parametrize(("num", "items"), [(1, [1, 2, 3]), (4, [7]), (4, [])])
def test_one_worker_or_one_item_stays_here(work, num, items):
    assert Processes(num)(work.square, items) == [(i * i, os.getpid()) for i in items]


@pytest.mark.parametrize("num", [1, 2])
def test_a_workers_exception_is_raised_here(work, num):
    with pytest.raises(InputError) as caught:
        Processes(num)(work.raise_on_two, [0, 1, 2, 3])
    assert (caught.value.message, caught.value.hint) == ("two is wrong", "take three")


@pytest.mark.kill
def test_a_worker_that_is_killed_is_an_error_of_one_line(work):
    with pytest.raises(PolylectError) as caught:
        Processes(2)(work.kill_me, ["a", "b"])
    assert type(caught.value) is PolylectError
    assert "a worker process died" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.kill
def test_workers_end_when_the_parent_is_killed(start, tmp_path, wait_until, alive):
    marks = [tmp_path / "a", tmp_path / "b"]
    code = "Processes(2)(w.sleep_and_mark, sys.argv[1:])"
    process = start(code, *marks)
    wait_until(
        lambda: (
            process.poll() is not None or all(mark.exists() and mark.read_text() for mark in marks)
        )
    )
    pids = [int(mark.read_text()) for mark in marks]
    assert all(map(alive, pids))
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids)), seconds=2.0)


def test_ctrl_c_while_workers_start_is_heard_once(start, tmp_path, wait_until):
    # The whole group gets it, as from a terminal; only the parent may say something.
    code = """
    try:
        Processes(2)(w.sleep_and_mark, sys.argv[1:])
    except KeyboardInterrupt:
        print("stopped")
    """
    # A worker imports the parent's script before anything of ours runs in it.
    importing = tmp_path / "importing"
    slow = f"import time; open({str(importing)!r}, 'w').close(); time.sleep(0.5)"
    process = start(code, tmp_path / "a", tmp_path / "b", in_workers=slow)
    wait_until(lambda: importing.exists() or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("stopped\n", "", 0)


def test_kept_processes_are_the_same_for_every_call_and_end_with_the_block(work, alive):
    with Processes(2) as fanout:
        first = {pid for _, pid in fanout(work.square, list(range(8)))}
        second = {pid for _, pid in fanout(work.square, list(range(8)))}
        (alone,) = fanout(work.square, [3])
        assert alone[1] != os.getpid()
        assert len(first | second | {alone[1]}) <= 2
        with pytest.raises(InputError, match="two is wrong"):
            fanout(work.raise_on_two, [0, 1, 2, 3])
        assert [value for value, _ in fanout(work.square, [5, 6])] == [25, 36]
    assert not any(map(alive, first | second))
    with Processes(1) as fanout:
        assert fanout(work.square, [1, 2]) == [(1, os.getpid()), (4, os.getpid())]
