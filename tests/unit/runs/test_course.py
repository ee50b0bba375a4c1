"""How far a recipe is: steps known or not, and the time left on recorded sequences."""

import re

import pytest

from polylect.base import digest_folder
from polylect.runs import Display, Run
from polylect.runs.course import Course, makespan
from polylect.runs.progress import Event, RunProgress

RECORDED = [("text", 30.0), ("base", 600.0), ("train-a", 100.0), ("train-b", 120.0),
            ("score-a", 20.0), ("score-b", 20.0)]  # fmt: skip


def test_without_an_announcement_neither_number_nor_time_is_guessed():
    course = Course()
    for number, (label, seconds) in enumerate(RECORDED, start=1):
        course.begin(label, now=0.0)
        assert course.words(number, now=1.0) == f"step {number}"
        course.end(label, seconds)
    assert (course.num_steps, course.seconds_left()) == (None, None)


def test_the_time_left_is_the_plans_scaled_by_what_steps_took():
    """Costs that are right up to one factor give the true time left after the first step."""
    for factor in (0.1, 1.0, 25.0):
        course = Course()
        course.announce([{label: seconds * factor} for label, seconds in RECORDED])
        assert course.num_steps == 6
        assert course.seconds_left(now=0.0) is None  # nothing was measured yet
        left = sum(seconds for _, seconds in RECORDED)
        for label, seconds in RECORDED:
            course.begin(label, now=0.0)
            if left < 890:
                assert course.seconds_left(now=0.0) == pytest.approx(left)
                assert course.seconds_left(now=10.0) == pytest.approx(left - 10)
            course.end(label, seconds)
            left -= seconds
        assert course.seconds_left() == 0


def test_a_kind_of_step_is_scaled_by_its_own_kind():
    course = Course()
    course.announce([{"train-a": 1.0}, {"score-a": 1.0}, {"train-b": 2.0, "score-b": 1.0}])
    course.end("train-a", 100.0)
    course.end("score-a", 10.0)
    assert course.seconds_left(now=0.0) == pytest.approx(200 + 10)


def test_without_costs_only_steps_of_the_same_kind_say_how_long():
    course = Course()
    course.announce([dict.fromkeys(["score-a", "score-b", "damage"])])
    course.end("score-a", 10.0)
    assert course.seconds_left() is None  # nothing is known of damage
    course.announce([dict.fromkeys(["score-b", "score-c"])])
    assert course.seconds_left(now=0.0) == pytest.approx(20)
    assert course.num_steps == 3


def test_steps_side_by_side_take_as_long_as_the_busiest_worker():
    course = Course(num_workers=2)
    course.announce([{"x-0": 1.0}, {f"x-{n}": 1.0 for n in range(1, 6)}])
    course.end("x-0", 60.0)
    assert course.seconds_left(now=0.0) == pytest.approx(180)  # five on two workers
    assert makespan([], 2) == 0


def test_steps_that_were_found_finished_count_and_say_nothing_of_time():
    course = Course()
    course.end("text")
    course.announce([{label: seconds} for label, seconds in RECORDED])
    course.end("base")
    assert (course.num_done, course.num_steps) == (2, 6)
    assert course.seconds_left() is None
    course.end("train-a", 200.0)
    assert course.seconds_left(now=0.0) == pytest.approx(2 * 160)


def test_a_step_that_was_not_announced_is_counted_once_it_runs():
    course = Course()
    course.announce([{"a": 1.0}])
    course.begin("other", now=0.0)
    assert course.num_steps == 2


def test_a_line_says_what_ended_and_how_far_the_run_is(capsys):
    course, written = Course(), []
    progress = RunProgress(course, Display(terminal=False), lambda **row: written.append(row))
    course.announce([{"text": 1.0}, {"quantize-w4": 4.0}, {"score": 8.0}])
    for label, seconds in (("text", 50.0), ("quantize-w4", 200.0)):
        progress.handle(Event(label, 0, 1, begun=True))
        progress.handle(Event(label, 1, 1, finished=True, seconds=seconds))
    assert capsys.readouterr().err.splitlines() == [
        "  text: done in 50 s (step 1 of 3, about 10 min left)",
        "  quantize-w4: done in 3 min 20 s (step 2 of 3, about 7 min left)",
    ]
    assert [(row["step"], row["num_steps"]) for row in written] == [(1, 3), (2, 3), (2, 3), (3, 3)]


def test_a_step_that_failed_is_not_called_done(capsys):
    progress = RunProgress(Course(), Display(terminal=False), lambda **row: None)
    progress.handle(Event("a", 0, 1, begun=True))
    progress.handle(Event("a", 1, 1, finished=True, failed=True, seconds=99.0))
    assert capsys.readouterr().err == ""


def test_a_recipe_that_announced_what_it_did_not_run_is_told_so_in_its_log(load, tmp_path):
    with Run(tmp_path / "run", "walk", load.Config()) as run:
        run.announce(["a", "b"], ["c"])
        run.step(load.write, "a", load.Config())
        run.finish()
    log = (tmp_path / "run/log.txt").read_text()
    assert "announced, but not run: b, c" in log
    assert re.search(r"a: done in 0 s \(step 1 of 3", log)


def test_a_second_call_that_runs_nothing_changes_no_byte(load, tmp_path):
    contents = []
    for _ in range(2):
        with Run(tmp_path / "run", "walk", load.Config()) as run:
            run.step(load.write, "a", load.Config())
            run.finish()
        contents.append(digest_folder(tmp_path / "run"))
    assert contents[0] == contents[1]


def test_a_step_of_almost_no_work_says_nothing_about_one_of_much():
    course = Course()
    course.announce([{"init": 1000.0}, {"base": 8e6}, {"rival": 3e6}])
    course.end("init", 10.0)  # its imports, not its work
    assert course.seconds_left(now=0.0) is None
    course.end("base", 340.0)
    assert course.seconds_left(now=0.0) == pytest.approx(340 * 3 / 8, rel=0.05)
