"""``polylect feedback translate``: every kind of row; what is counted, refused, resumed."""

import json
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from planted_server import Planted, serving

from polylect.cli import main
from polylect.rows import (
    PooledAnswer,
    read_conversations,
    read_preferences,
    read_prompts,
    read_rows,
)

HOUSE, CAT = "The old house has {num} rooms.", "The black cat sleeps on the small chair."
HAUS, KATZE = "Das alte Haus hat {num} Zimmer.", "Die schwarze Katze schläft auf dem kleinen Stuhl."
TABLE = [
    {"source_text": text, "source_language": "en", "language": tag, "translation": translation}
    for tag, house, cat in [
        ("de", HAUS, KATZE),
        ("zh-Hans", "老房子有{num}个房间。", "黑猫睡在小椅子上。"),
    ]
    for text, translation in [(HOUSE, house), (CAT, cat), ("Bad {x} text.", "Schlechter Text.")]
]


def lines(path, rows):
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


@pytest.fixture
def table(tmp_path):
    return f"t={lines(tmp_path / 'table.jsonl', TABLE)}"


def translated(tmp_path, table, rows, *more, to="de", name="rows.jsonl"):
    file = lines(tmp_path / name, rows)
    out = tmp_path / "out"
    code = main(["feedback", "translate", str(file), "--translator", table, "--to", to,
                 "--out", str(out), *more])  # fmt: skip
    return code, out


def test_prompts_keep_their_ids_in_every_language(tmp_path, table):
    rows = [{"id": "7", "language": "en", "prompt": HOUSE, "system": CAT, "category": "c"}]
    code, out = translated(tmp_path, table, rows, to="de,zh")
    assert code == 0
    first, second = read_prompts(out / "translated.jsonl")
    assert (first.id, first.language, first.prompt, first.system) == ("7", "de", HAUS, KATZE)
    assert (second.id, second.language, second.origin) == ("7", "zh-Hans", "translated")
    assert second.category == "c"


def test_conversations_keep_tools_and_turns_in_another_language(tmp_path, table):
    turns = [
        {"role": "user", "content": HOUSE},
        {"role": "assistant", "content": CAT, "reasoning_content": HOUSE,
         "tool_calls": [{"name": "look", "arguments": "{}"}]},
        {"role": "tool", "content": "3 rooms"},
        {"role": "user", "content": "¿Y el gato?", "language": "es"},
        {"role": "assistant", "content": CAT},
    ]  # fmt: skip
    code, out = translated(tmp_path, table, [{"id": "a", "language": "en", "messages": turns}])
    assert code == 0
    (row,) = read_conversations(out / "translated.jsonl")
    assert [turn.content for turn in row.messages] == [HAUS, KATZE, "3 rooms", "¿Y el gato?", KATZE]
    assert row.messages[1].reasoning_content == HAUS
    assert row.messages[1].tool_calls[0].name == "look"
    assert json.loads((out / "translated.jsonl").read_text())["id"] == "a"


def test_preferences(tmp_path, table):
    rows = [{"id": "p", "language": "en", "prompt": HOUSE, "chosen": CAT, "rejected": HOUSE,
             "chosen_score": 2.0, "rejected_score": 1.0, "user": "u"}]  # fmt: skip
    code, out = translated(tmp_path, table, rows)
    assert code == 0
    (row,) = read_preferences(out / "translated.jsonl")
    assert (row.chosen, row.rejected, row.scores, row.user) == (KATZE, HAUS, (2.0, 1.0), "u")


def test_answers_say_by_whom_and_from_what_they_were_translated(tmp_path, table):
    rows = [{"id": "1", "language": "en", "sample": 2, "model": "m", "answer": CAT,
             "prompt": HOUSE, "num_tokens": 5}]  # fmt: skip
    code, out = translated(tmp_path, table, rows)
    assert code == 0
    (row,) = read_rows(out / "translated.parquet", PooledAnswer)
    assert (row.answer, row.answer_origin, row.translator) == (KATZE, "translated", "t")
    assert (row.source_language, row.source_text, row.source_sample) == ("en", CAT, 2)
    assert (row.prompt, row.origin, row.num_tokens) == (HAUS, "translated", None)
    again = tmp_path / "again"
    file = str(out / "translated.parquet")
    assert main(["feedback", "translate", file, "--translator", table, "--to", "de",
                 "--out", str(again)]) == 2  # fmt: skip


@pytest.mark.parametrize("keep", [False, True])
def test_what_fails_is_left_out_or_marked_and_counted(tmp_path, table, capsys, keep):
    rows = [
        {"id": "good", "language": "en", "prompt": HOUSE},
        {"id": "bad", "language": "en", "prompt": "Bad {x} text."},
        {"id": "none", "language": "en", "prompt": "Never translated."},
    ]
    code, out = translated(tmp_path, table, rows, *(["--keep-failed"] if keep else []))
    assert code == 0
    written = [json.loads(line) for line in (out / "translated.jsonl").read_text().splitlines()]
    assert [row["id"] for row in written] == (["good", "bad"] if keep else ["good"])
    assert [row.get("failed") for row in written] == ([None, ["kept"]] if keep else [None])
    failed = [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]
    assert [(row["id"], row["failed"]) for row in failed] == [
        ("bad", ["kept"]), ("none", ["no translation"]),
    ]  # fmt: skip
    counts = pl.DataFrame(json.loads((out / "counts.json").read_text())).to_dicts()[0]
    assert (counts["rows"], counts["rows_passed"], counts["failed: kept"]) == (3, 1, 1)
    assert "failed: kept (de)" in capsys.readouterr().out


def test_refusals(tmp_path, table, capsys):
    rows = [{"id": "1", "language": "en", "prompt": HOUSE}]
    for more, words in [
        (["--from", "fr"], "no row is in it"),
        (["--least-back", "30"], "does not translate de to en"),
        (["--max-requests", "3"], "belongs to a server"),
    ]:
        code, out = translated(tmp_path, table, rows, *more)
        assert code == 2
        assert words in capsys.readouterr().err
        assert not out.exists()
    assert translated(tmp_path, table, rows, to="tr")[0] == 2
    assert "en to de" in capsys.readouterr().err
    assert translated(tmp_path, table, rows, to="en")[0] == 2


def test_a_dry_run_says_how_much(tmp_path, table, capsys):
    rows = [{"id": "1", "language": "en", "prompt": HOUSE}]
    code, out = translated(tmp_path, table, rows, "--dry-run", to="de,zh")
    assert code == 0
    assert not out.exists()
    assert "1 texts of 1 rows from en to zh-Hans: 30 characters" in capsys.readouterr().out


def by_server(text, _):
    return text.rpartition("\n\n")[2].replace("The old house has", "Das alte Haus hat").replace(
        "rooms and a garden number", "Zimmer und einen Garten Nummer"
    )  # fmt: skip


def test_a_server_is_asked_once_for_every_text_though_killed(tmp_path):
    texts = [f"The old house has {{n}} rooms and a garden number {i % 20}." for i in range(40)]
    rows = [{"id": str(i), "language": "en", "prompt": text} for i, text in enumerate(texts)]
    file = lines(tmp_path / "rows.jsonl", rows)
    with serving(plan := Planted(answer=by_server)) as url:
        words = ["feedback", "translate", str(file), "--translator", f"s={url}#planted",
                 "--to", "de", "--concurrency", "2"]  # fmt: skip
        out = tmp_path / "limited"
        assert main([*words, "--out", str(out), "--max-requests", "8"]) != 0
        assert plan.requests == 8
        assert main([*words, "--out", str(out)]) == 0
        assert plan.requests == 20  # equal texts once
        assert all(count == 1 for count in plan.received.values())
        body = plan.bodies[0]["messages"][0]["content"]
        assert body.startswith("Translate the text below from English to German.")
        assert "[[1]]" in body
        assert "{n}" not in body
        other = tmp_path / "whole"
        assert main([*words, "--out", str(other)]) == 0
    for name in ("translated.jsonl", "failed.jsonl", "counts.json"):
        assert (out / name).read_bytes() == (other / name).read_bytes()
    assert len(read_prompts(out / "translated.jsonl")) == 40


@pytest.mark.kill
def test_killed_with_a_signal_the_same_bytes(tmp_path):
    rows = [{"id": str(i), "language": "en", "prompt": f"The old house has {i} rooms."}
            for i in range(30)]  # fmt: skip
    file = lines(tmp_path / "rows.jsonl", rows)

    def slowly(text, seed):
        time.sleep(0.05)
        return by_server(text, seed)

    with serving(plan := Planted(answer=slowly)) as url:
        words = [sys.executable, "-m", "polylect", "feedback", "translate", str(file), "--to", "de",
                 "--translator", f"s={url}#planted", "--concurrency", "1"]  # fmt: skip
        out = [*words, "--out", str(tmp_path / "killed" / "rows")]
        for num in (3, 12, 21):
            process = subprocess.Popen(out, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while plan.requests < num and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert subprocess.run(out, capture_output=True, check=False).returncode == 0
        assert plan.requests <= 33  # each kill loses at most the request in flight
        whole = tmp_path / "whole" / "rows"
        assert subprocess.run([*words, "--out", str(whole)], check=False).returncode == 0
    for name in ("translated.jsonl", "failed.jsonl", "counts.json", "step.json"):
        assert (whole / name).read_bytes() == (tmp_path / "killed" / "rows" / name).read_bytes()
