import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from child_processes import num_files
from small_models import TEXT, slow_score, write_checkpoint

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.cli import main
from polylect.engine import EngineConfig
from polylect.evals import EvalConfig, EvalFolder, evaluate, prepare_tasks
from polylect.evals.prepared import UNWRITTEN
from polylect.runs import Silent
from polylect.text import APART, Tokenizer, train_bpe

ITEMS = [
    {"id": f"{tag}{i}", "language": tag, "context": f"{context} {i}, and then",
     "choices": ["the fox", f"the lazy dog {i}", "richtig."], "answer": i % 3}
    for tag, context in (("en", "The quick brown fox sees"), ("de", "Die Frage ist"))
    for i in range(7)
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A checkpoint and a task file."""
    folder = tmp_path_factory.mktemp("eval")
    write_checkpoint(folder / "model", train_bpe({"en": [TEXT]}, vocab_size=420))
    write_task(folder / "mine.jsonl", ITEMS)
    return folder


def write_task(path, items):
    path.write_text("".join(json.dumps(one) + "\n" for one in items), encoding="utf-8")


def config(place, **changed):
    return EvalConfig(**{"name": "small", "tasks": (str(place / "mine.jsonl"),)} | changed)


def run(place, ledger=None, cache=None, **changed):
    asked, checkpoint = config(place, **changed), Checkpoint.open(place / "model")
    ledger = Ledger() if ledger is None else ledger
    tasks = prepare_tasks(asked, checkpoint, ledger)
    return evaluate(tasks, checkpoint, asked, Silent(), ledger, cache)


def by_hand(place, item, shots=()):
    """The harness's rule for one item, slowly: sums of log-likelihoods of the choices."""
    checkpoint = Checkpoint.open(place / "model")

    prefix = "".join(f"{one['context']} {one['choices'][one['answer']]}\n\n" for one in shots)
    return [
        slow_score(checkpoint, Tokenizer.load(checkpoint.path), prefix + item["context"], f" {one}")
        for one in item["choices"]
    ]


@pytest.mark.parametrize("num_shots", [0, 2])
def test_the_rows_are_those_of_the_harness_s_rule(place, num_shots):
    found = run(place, shots=num_shots)
    rows = {
        (row["item"], row["metric"]): row["value"]
        for row in found.scores.frame.iter_rows(named=True)
    }
    assert len(rows) == len(ITEMS) * 4
    for number, item in enumerate(ITEMS):
        first = 7 * (number // 7)
        others = [one for one in ITEMS[first : first + 7] if one is not item]
        hand = by_hand(place, item, others[:num_shots])
        lls = np.array([one[0] for one in hand])
        own = found.choices.filter(pl.col("item") == item["id"]).sort("choice")
        assert np.abs(own["log_likelihood"].to_numpy() - lls).max() <= 1e-4
        lengths = {
            "acc": np.ones(3),
            "acc_norm": np.array([len(one) for one in item["choices"]]),
            "acc_bytes": np.array([len(one.encode()) for one in item["choices"]]),
            "acc_token": np.array([one[1] for one in hand]),
        }
        for metric, length in lengths.items():
            right = float(np.argmax(lls / length) == item["answer"])
            assert rows[item["id"], metric] == right, (item, metric)
    assert found.work["tokens_computed"] == found.work["tokens_planned"]
    assert found.work["tokens_computed"] < found.work["tokens_asked"]


def test_a_limit_takes_the_first_items_and_leaves_their_scores_alone(place):
    whole, part = run(place, shots=2), run(place, shots=2, limit=3)
    kept = whole.scores.frame.filter(pl.col("item").is_in([f"{t}{i}" for t in ("en", "de")
                                                           for i in range(3)]))  # fmt: skip
    assert part.scores.frame.drop("settings").equals(kept.drop("settings"))
    # The same items, asked alike, are comparable however many of them there are.
    assert part.scores.frame["settings"].unique().to_list() == kept["settings"].unique().to_list()


def test_languages_are_picked_and_missing_ones_counted(place):
    ledger = Ledger()
    found = run(place, ledger, languages=("de", "hi"))
    assert found.scores.frame["language"].unique().to_list() == ["de"]
    assert ledger.to_json() == [{"event": "missing: translation", "where": "mine hi", "count": 1}]


def test_equal_choices_are_kept_and_counted_and_zh_stays_zh(place, tmp_path):
    write_task(tmp_path / "two.jsonl", [
        {"id": 1, "language": "zh", "context": "a", "choices": ["b", "b", "c"], "answer": 1},
        {"id": 2, "language": "zh", "context": "a", "choices": ["b", "c"], "answer": 1},
    ])  # fmt: skip
    ledger = Ledger()
    found = run(place, ledger, tasks=(str(tmp_path / "two.jsonl"),), languages=("zh",))
    assert found.scores.frame["language"].unique().to_list() == ["zh"]
    assert ledger.by_event() == {"kept: item with equal choices": 1}
    first = found.scores.frame.filter((pl.col("item") == "1") & (pl.col("metric") == "acc"))
    assert first["value"].to_list() == [0.0], "the first of equal choices wins, and is not right"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tasks": ()}, "no task was named"),
        ({"tasks": ("xcop",)}, "no task 'xcop'"),
        ({"languages": ("hi",)}, "none of the tasks mine has a language of hi"),
        ({"languages": ("x!",)}, "--languages: unknown language 'x!'"),
        ({"limit": 0}, "--limit is 0"),
        ({"shots": 7}, "has 6 examples to go before it, not 7"),
        ({"chat": True}, "has no chat template"),
        ({"tasks": ("xcopa",)}, "xcopa"),
    ],
)
def test_bad_input_is_one_line_before_any_model_is_loaded(place, changed, words):
    with pytest.raises(InputError, match=words) as caught:
        prepare_tasks(config(place, **changed), Checkpoint.open(place / "model"), Ledger())
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_what_decides_the_answer_decides_the_settings(place, tmp_path):
    settings = {
        name: run(place, **changed).scores.frame["settings"].unique().to_list()
        for name, changed in {
            "plain": {},
            "again": {"engine": EngineConfig(threads=1, memory_mib=100)},
            "shots": {"shots": 1},
            "bos": {"engine": EngineConfig(add_bos=False)},
        }.items()
    }
    assert all(len(one) == 1 for one in settings.values())
    assert settings["plain"] == settings["again"]
    assert len({one[0] for one in settings.values()}) == 3


def test_the_command_line(place, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("POLYLECT_DATA", raising=False)
    out = tmp_path / "out"
    asked = ["eval", str(place / "model"), "--tasks", str(place / "mine.jsonl"), "--threads", "1"]
    assert main([*asked, "--dry-run", "--out", str(out)]) == 0
    assert "with shared prefixes" in capsys.readouterr().out
    assert not out.exists()
    assert main([*asked, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "mine: mean over 2 languages" in shown.replace("@1", "")
    frame = pl.read_parquet(out / "scores.parquet")
    acc = frame.filter(pl.col("metric") == "acc")
    assert sorted(acc["item"]) == sorted(one["id"] for one in ITEMS)
    assert set(acc["value"]) <= {0.0, 1.0}
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "Deutsch" in page
    assert "Expected score of guessing: 0.333" in page
    # The same evaluation is there already; another one is refused, or replaces it.
    before = (out / "scores.parquet").read_bytes()
    assert main([*asked, "--out", str(out)]) == 0
    assert "there already" in capsys.readouterr().err
    key = EvalFolder.read(out).manifest["key"]
    assert main([*asked, "--out", str(out), "--shots", "1"]) == 2
    assert re.search(r"another result \(asked\.mine@1 de\.digest \w+ → ", capsys.readouterr().err)
    assert EvalFolder.read(out).manifest["key"] == key
    assert (out / "scores.parquet").read_bytes() == before
    assert main([*asked, "--out", str(out), "--shots", "1", "--force"]) == 0
    assert EvalFolder.read(out).manifest["key"] != key
    assert sorted(os.listdir(tmp_path)) == ["out", "out-cache"]


@pytest.mark.kill
def test_killed_by_sigkill_at_five_moments_it_resumes_with_the_same_bytes(place, tmp_path, started):
    many = [item | {"id": f"{item['id']}-{k}", "context": f"{k} {item['context']}"}
            for k in range(60) for item in ITEMS]  # fmt: skip
    write_task(tmp_path / "many.jsonl", many)

    def start(out):
        code = (
            "import sys; import polylect.engine.local as local;"
            "local.Engine.micro_batch_tokens = lambda self, longest: 64;"
            "from polylect.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        return started(code, "eval", place / "model", "--tasks", tmp_path / "many.jsonl",
                       "--out", tmp_path / out, "--threads", "1")  # fmt: skip

    assert start("whole").wait() == 0
    total = len([*(tmp_path / "whole-cache").rglob("*.npy")])
    assert total > 50
    cache = tmp_path / "cut-cache"
    kept = 0
    for moment in range(1, 6):
        child = start("cut")
        wanted = total * moment // 6
        child.wait_until(lambda wanted=wanted: num_files(cache) >= wanted, pause=0.005)
        child.kill()
        assert child.wait() == -signal.SIGKILL, "it was done before it could be killed"
        assert not (tmp_path / "cut" / "scores.parquet").exists()
        before, kept = kept, len([*cache.rglob("*.npy")])
        assert before < kept < total
    assert start("cut").wait() == 0
    for name in ("scores.parquet", "choices.parquet", "eval.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    work = json.loads((tmp_path / "cut" / "volatile.json").read_text())["work"]
    assert (work["passes"], work["passes_from_cache"]) == (total - kept, kept)


def test_listing_tasks_loads_no_torch():
    code = (
        "import sys; from polylect.cli import main; main(['tasks']);"
        "sys.exit(bool({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert "next_sentence" in done.stdout


def test_a_cell_of_some_items_asks_what_it_asked_of_them(place):
    for task in prepare_tasks(config(place), Checkpoint.open(place / "model"), Ledger()):
        wanted = {one.id for one in task.items[1::2]}
        kept = task.only(lambda item, wanted=wanted: item.id in wanted)
        assert kept.items == task.items[1::2]
        asked = iter(task.requests)
        own = [[next(asked) for _ in item.choices] for item in task.items]
        assert list(kept.requests) == [one for part in own[1::2] for one in part]
        assert kept.settings == task.settings


def test_an_item_that_merges_wholly_into_its_prompt_is_scored_with_the_others(place, tmp_path):
    tokenizer = Tokenizer.load(place / "model")
    context, choice = "The qui", "ck"
    whole, before = tokenizer.encode([context + choice, context])
    assert len(whole) <= len(before), "one token spans the border"
    items = [
        {**ITEMS[0], "id": "plain"},
        {"id": "inside", "language": "en", "context": context, "choices": [choice, "te", " fox"],
         "answer": 0, "delimiter": ""},
    ]  # fmt: skip
    write_task(tmp_path / "words.jsonl", items)
    ledger = Ledger()
    found = run(place, ledger, tasks=(str(tmp_path / "words.jsonl"),))
    assert found.choices["item"].unique().sort().to_list() == ["inside", "plain"]
    assert [(row["event"], row["where"]) for row in ledger.to_json()] == [(APART, "words en")]
    with pytest.raises(InputError, match=r"item 'inside' \(en\): no token of its own"):
        run(place, tasks=(str(tmp_path / "words.jsonl"),), engine=EngineConfig(border="lm-eval"))
    settings = {
        border: run(place, limit=1, engine=EngineConfig(border=border)).scores.frame["settings"][0]
        for border in ("context", "lm-eval")
    }
    assert settings["context"] != settings["lm-eval"]


def test_an_item_that_the_chat_template_refuses_leaves_only_itself_out(place, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(place / "model", folder)
    template = (
        "{% if messages[-1]['content'][-11] in '36' %}{{ raise_exception('odd') }}{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(template + "{{ messages[-1]['content'] }}")
    write_task(tmp_path / "mine.jsonl", ITEMS)
    kept = [item for item in ITEMS if item["id"][-1] not in "36"]
    (tmp_path / "kept").mkdir()
    write_task(tmp_path / "kept" / "mine.jsonl", kept)
    ledger, checkpoint = Ledger(), Checkpoint.open(folder)
    whole, part = (
        prepare_tasks(config(where, chat=True), checkpoint, counts)
        for where, counts in ((tmp_path, ledger), (tmp_path / "kept", Ledger()))
    )
    for task, same in zip(whole, part, strict=True):
        assert task.items == same.items
        assert task.requests == same.requests
    event = f"{UNWRITTEN}; the first, 'en3': \"the chat template cannot be used (odd)\""
    assert ("en", 2) in {(where[-2:], num) for name, where, num in ledger.rows() if name == event}
    write_task(tmp_path / "mine.jsonl", [item for item in ITEMS if item not in kept])
    with pytest.raises(InputError, match=r"item 'en3': the chat .* \(odd\) \(nor the other 1\)"):
        prepare_tasks(config(tmp_path, chat=True), checkpoint, ledger)
