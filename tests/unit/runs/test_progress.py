import re
import time

import pytest

from polylect.runs import Display, Silent, TaskReporter, duration
from polylect.runs.progress import Event


def test_a_short_task_draws_nothing_and_a_long_one_a_line_with_rate_and_time_left(capsys):
    display = Display(terminal=False)
    display.handle(Event("short", 0, 100, "tokens"))
    display.handle(Event("long", 0, 100, "tokens"))
    display.handle(Event("short", 90, 100, "tokens"))
    display.handle(Event("short", 1, 1, finished=True))
    assert capsys.readouterr().err == ""
    time.sleep(2.05)
    display.handle(Event("long", 50, 100, "tokens", "loss 3.2"))
    display.handle(Event("long", 60, 100, "tokens"))  # the next line is 15 s away
    # A task of an earlier one's name counts from its own start.
    display.handle(Event("short", 95, 100, "tokens"))
    display.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    rate = r"(1\d|2[0-4])/s · [2-5] s left"  # 50 in 2.05 s, or more when the machine is busy
    assert re.fullmatch(rf"  long: 50 of 100 tokens · {rate} · loss 3.2\n", captured.err)


def test_a_terminal_gets_bars_that_are_removed_at_the_end(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich looks at the stream, which is pytest's
    monkeypatch.setenv("COLUMNS", "100")
    with_bars = Display(terminal=True)
    with_bars.handle(Event("task", 0, 10, "units"))
    time.sleep(2.05)
    with_bars.handle(Event("task", 5, 10, "units"))
    time.sleep(0.25)  # it is drawn ten times a second
    with_bars.handle(Event("task", 1, 1, finished=True))
    with_bars.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(r"5 of 10 units · [12]\.\d/s · [2-5] s left", captured.err)
    assert captured.err.rstrip("\r").endswith("\x1b[?25h")  # the line is erased


def test_a_terminal_shows_the_latest_numbers_of_every_language(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    display = Display(terminal=True)
    display.handle(Event("task", 0, 10, "updates"))
    watched = TaskReporter("task", display.handle, [lambda _, row: display.languages(row["by"])])
    watched.metrics(1, {"by": {"de": {"loss": 0.7511}, "tr": {"loss": 0.5}}})
    watched.metrics(2, {"by": {"de": {"loss": 0.2522}}})
    time.sleep(2.05)
    display.handle(Event("task", 5, 10, "updates"))
    time.sleep(0.25)
    display.close()
    drawn = capsys.readouterr().err
    assert re.search(r"de\W+0\.2522", drawn)
    assert re.search(r"tr\W+0\.5", drawn)
    assert "0.7511" not in drawn


def test_another_unit_starts_a_new_count(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    display = Display(terminal=False)
    display.handle(Event("task", 0, 100, "pairs"))
    now[0] += 60.0
    display.handle(Event("task", 0, 10, "updates"))
    now[0] += 2.0
    display.handle(Event("task", 4, 10, "updates"))
    assert "4 of 10 updates · 2/s · 3 s left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"), (0.4, "0 s"), (9, "9 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"),
        (3599, "59 min 59 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min"),
    ],
)  # fmt: skip
def test_a_duration_is_written_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_reporter_passes_on_ten_events_a_second_and_always_the_last():
    events = []
    reporter = TaskReporter("t", events.append)
    started = time.monotonic()
    for i in range(2001):
        reporter.update(i, 2000, "u", "n")
    allowed = 2 + 10 * (time.monotonic() - started)
    assert 2 <= len(events) <= allowed
    assert events[-1] == Event("t", 2000, 2000, "u", "n")
    Silent().update(1, 2)
