"""``polylect generate`` on a local checkpoint: what is written, resumed, refused and counted."""

import json
import os

import numpy as np
import polars as pl
import pytest
import torch
from small_models import write_checkpoint

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.cli import main
from polylect.engine import (
    Engine,
    EngineConfig,
    GenerateConfig,
    Journal,
    Sampling,
    TokenPrompt,
    generate,
)
from polylect.engine.generator import ALONE
from polylect.rows import Generated, Prompt, as_dicts, read_prompts, read_rows
from polylect.runs import Call, Files, Silent, execute_into
from polylect.text import ChatTemplate, Continued, Templated, Tokenizer
from polylect.text.turns import style_of

ASKED = ("the quick fox", "die Frage", "今天天气", "one of them is right", "may have several")
TAGS = ("en", "de", "zh-Hans", "en", "de")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(num=20):
    return [
        {"id": str(i), "language": TAGS[i % 5], "prompt": f"{ASKED[i % 5]} {i}"} for i in range(num)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("generate")
    write_checkpoint(folder / "model", tokenizer)
    lines(folder / "prompts.jsonl", rows_of())
    return folder


def run(place, out, *more, prompts="prompts.jsonl"):
    words = ["generate", str(place / "model"), "--prompts", str(place / prompts), "--out", str(out)]
    length = () if "--max-new-tokens" in more else ("--max-new-tokens", "12")
    return main([*words, *length, *more])


def test_the_answers_are_those_of_the_engine(place, tmp_path, capsys):
    assert run(place, tmp_path / "a", "--template", "none", "--num-samples", "2",
               "--temperature", "0.8", "--seed", "5", "--stop", "x",
               "--threads", "1") == 0  # fmt: skip
    out = capsys.readouterr().out
    stored = list(read_rows(tmp_path / "a" / "answers.parquet", Generated))
    assert len(stored) == 40
    engine = Engine.open(Checkpoint.open(place / "model"), EngineConfig())
    sampling = Sampling(max_new_tokens=12, temperature=0.8, num_samples=2, seed=5, stop=("x",))
    requests = [
        TokenPrompt(
            np.r_[engine.tokenizer.bos_id, engine.tokenizer.encode([row["prompt"]])[0]],
            f"{row['language']}/{row['id']}",
        )
        for row in rows_of()
    ]
    expected = [
        answer for row in engine.generate(requests, sampling, Silent(), Ledger()) for answer in row
    ]
    for row, answer in zip(stored, expected, strict=True):
        assert (row.answer, row.num_tokens) == (answer.text, len(answer.ids))
        assert row.stopped == answer.stopped
        total = answer.log_probabilities.sum() + answer.end_log_probability
        assert row.log_likelihood == total
    assert [row.sample for row in stored[:4]] == [0, 1, 0, 1]
    assert {row.model for row in stored} == {"model"}
    assert "zh-Hans" in out
    cut = sum(row.stopped == "length" for row in stored)
    assert cut
    assert (
        f"{sum(row.stopped == 'length' and row.language == 'de' for row in stored)} truncated"
        in (out)
    )


def test_a_sample_does_not_depend_on_order_or_other_prompts(place, tmp_path):
    rows = rows_of()
    lines(place / "turned.jsonl", rows[::-1][:7])
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run(place, whole, "--temperature", "1") == 0
    assert run(place, part, "--temperature", "1", prompts="turned.jsonl") == 0
    kept = {(r.id, r.language): r.answer
            for r in read_rows(whole / "answers.parquet", Generated)}  # fmt: skip
    partial = list(read_rows(part / "answers.parquet", Generated))
    assert [row.id for row in partial] == [row["id"] for row in rows[::-1][:7]]
    assert all(kept[row.id, row.language] == row.answer for row in partial)
    assert len({row.answer for row in partial}) > 3


KILLER = """
import os, pathlib, signal, sys
sys.path.insert(0, sys.argv[1])
import test_generate_verb as t

place, out = map(pathlib.Path, sys.argv[2:4])
kept = t.Journal.add

def child(most, torn):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    count = 0

    def add(self, request, sample, **values):
        nonlocal count
        if count == most:
            self._file.write(b'{"request": 3, "samp' if torn else b"")
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        kept(self, request, sample, **values)
        count += 1

    t.Journal.add = add
    t.execute_into(t.call_of(place), out)
    os._exit(0)

for most, torn in ((0, False), (1, True), (7, True), (16, False), (3, True)):
    assert child(most, torn) == signal.SIGKILL, (most, torn)
    assert not out.exists()
assert child(-1, False) == 0
"""


def call_of(place):
    sampling = Sampling(max_new_tokens=12, temperature=0.9, num_samples=3)
    config = GenerateConfig(name="m", sampling=sampling)
    inputs = {"model": Files(place / "model"), "prompts": Files(place / "prompts.jsonl")}
    return Call(generate, "run", config, inputs)


@pytest.mark.kill
def test_killed_five_times_it_ends_with_the_same_bytes(place, tmp_path, started):
    whole, cut = tmp_path / "whole" / "run", tmp_path / "cut" / "run"
    execute_into(call_of(place), whole)
    child = started(KILLER, os.path.dirname(__file__), place, cut)
    assert child.wait() == 0, child.stderr
    for name in ("answers.parquet", "step.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    assert pl.read_parquet(whole / "answers.parquet").height == 60


def test_a_fallback_is_counted_the_same_when_resumed(tmp_path, tokenizer):
    write_checkpoint(tmp_path / "model", tokenizer, "mamba")
    lines(tmp_path / "prompts.jsonl", rows_of(4))
    config = GenerateConfig(name="m", sampling=Sampling(max_new_tokens=3), template="none")
    inputs = {"model": Files(tmp_path / "model"), "prompts": Files(tmp_path / "prompts.jsonl")}
    artifact = execute_into(Call(generate, "a", config, inputs), tmp_path / "a")
    events = artifact.ledger.by_event()
    assert events[ALONE] == 4
    # Everything was answered before a kill: nothing is computed, the same is counted.
    partial = Call(generate, "b", config, inputs).partial(tmp_path)
    (partial / "work").mkdir(parents=True)
    with Journal(partial / "work" / "answers.jsonl") as journal:
        for i, row in enumerate(read_rows(tmp_path / "a" / "answers.parquet", Generated)):
            journal.add(i, 0, text=row.answer, num_tokens=row.num_tokens, stopped=row.stopped,
                        log_likelihood=row.log_likelihood,
                        fallbacks=[ALONE])  # fmt: skip
    again = execute_into(Call(generate, "b", config, inputs), tmp_path / "b")
    assert again.ledger == artifact.ledger
    first, second = (tmp_path / name / "answers.parquet" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_template_may_be_the_checkpoints_none_or_plain(tmp_path, tokenizer):
    import tokenizers

    chat_tokenizer = Tokenizer(
        tokenizers.Tokenizer.from_str(tokenizer._backend.to_str()), tokenizer.config
    )
    chat_tokenizer._backend.add_special_tokens(
        [tokenizers.AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>")]
    )
    chat_tokenizer.config["chat_template"] = CHATML
    chat_tokenizer.save(tmp_path)
    chat_tokenizer = Tokenizer.load(tmp_path)
    messages = Prompt(id="1", language="en", prompt="the fox", system="be right").messages
    chat = style_of(tmp_path, chat_tokenizer)
    assert isinstance(chat, Templated)
    end = chat_tokenizer.encode(["<|im_end|>"], special=True)[0]
    assert chat_tokenizer.decode(chat.prompt(messages)) == (
        "<|im_start|>system\nbe right<|im_end|>\n<|im_start|>user\nthe fox<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    # ChatML ends a turn with its own token, which the tokenizer's end of text is not.
    assert chat.ends() == tuple(end)
    assert chat_tokenizer.eos_id not in end
    bare = Continued(chat_tokenizer).prompt(messages)
    assert bare[0] == chat_tokenizer.bos_id
    assert chat_tokenizer.decode(bare[1:]) == "be right\n\nthe fox"
    silent = Templated(chat_tokenizer, ChatTemplate("t", "{{ messages[-1]['content'] }}"))
    assert silent.ends() == ()


def test_a_prompt_of_several_turns_is_answered_and_kept_with_its_answer(place, tmp_path):
    turns = [{"role": "user", "content": "the fox"}, {"role": "assistant", "content": "runs"},
             {"role": "user", "content": "why"}]  # fmt: skip
    rows = [rows_of()[0], {"id": "m", "language": "en", "messages": turns}]
    lines(place / "turns.jsonl", rows)
    assert run(place, tmp_path / "a", prompts="turns.jsonl") == 0
    single, several = read_rows(tmp_path / "a" / "answers.parquet", Generated)
    assert single.turns == ()
    assert (several.prompt, as_dicts(several.messages)) == ("why", turns)


def test_a_dry_run_writes_nothing(place, tmp_path, capsys):
    assert run(place, tmp_path / "a", "--dry-run", "--languages", "de", "--limit", "2") == 0
    told = capsys.readouterr().out
    assert "2 prompts (de 2)" in told
    assert "24 generated at most" in told
    assert "fell back: no chat template, plain turns" in told
    assert list(tmp_path.iterdir()) == []


def test_the_same_command_finds_its_answers_and_another_is_refused(place, tmp_path, capsys):
    assert run(place, tmp_path / "a") == 0
    before = (tmp_path / "a" / "answers.parquet").stat().st_mtime_ns
    assert run(place, tmp_path / "a") == 0
    assert "there already" in capsys.readouterr().err
    assert (tmp_path / "a" / "answers.parquet").stat().st_mtime_ns == before
    assert run(place, tmp_path / "a", "--seed", "1") == 2
    assert "holds another result (sampling.seed 0 → 1) — --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "1", "language": "de"}, "'prompt' is missing"),
        ({"id": "1", "language": "de", "promt": "x"}, "did you mean promt?"),
        ({"id": "1", "language": "x!", "prompt": "x"}, "unknown language 'x!'"),
        ({"id": "1", "language": "de", "prompt": 3}, "'prompt' is 3"),
        ({"id": "0", "language": "en", "prompt": "again"}, "is there already"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, row, said):
    path = lines(tmp_path / "p.jsonl", [rows_of()[0], row])
    with pytest.raises(InputError) as error:
        read_prompts(path, require_ids=True, ledger=Ledger())
    assert str(error.value).startswith(f"{path}:2: ")
    assert said in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device here")
def test_a_device_that_is_not_there_is_one_line(place, tmp_path, capsys):
    assert run(place, tmp_path / "out", "--device", "cuda") == 2
    assert "--device cuda: there is no CUDA device here" in capsys.readouterr().err


def test_an_empty_prompt_leaves_only_itself_out(tmp_path):
    path = lines(tmp_path / "p.jsonl", [rows_of()[0], {"language": "de", "prompt": " "}])
    ledger = Ledger()
    assert len(read_prompts(path, ledger=ledger)) == 1
    assert list(ledger.rows()) == [("dropped: 'prompt' is empty", "de; p.jsonl:2", 1)]


def test_whole_numbers_and_aliases_are_read_and_other_columns_counted(tmp_path):
    path = lines(
        tmp_path / "p.jsonl",
        [{"id": 7, "language": "zh_TW", "prompt": "x", "cluster": "maths", "origin": "translated"}],
    )
    ledger = Ledger()
    (one,) = read_prompts(path, require_ids=True, ledger=ledger)
    assert (one.id, one.language, one.origin) == ("7", "zh-Hant", "translated")
    assert list(ledger.rows()) == [("ignored: column", "cluster", 1)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--temperature", "-1"], "temperature is -1.0"),
        (["--languages", "fr"], "no prompt in fr"),
        (["--limit", "0"], "--limit is 0"),
        (["--max-requests", "5"], "belongs to a server"),
        (["--template", "aya"], "no token <|START_OF_TURN_TOKEN|>"),
        (["--max-new-tokens", "600"], "the model takes 512"),
        (["--tempratur", "1"], "did you mean --temperature?"),
    ],
)
def test_wrong_options_are_refused_in_one_line(place, tmp_path, capsys, more, said):
    assert run(place, tmp_path / "a", *more) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "a").exists()
    # A dry run refuses what the run does, in the same words.
    assert run(place, tmp_path / "a", *more, "--dry-run") == 2
    assert capsys.readouterr().err == told


def test_a_dry_run_refuses_a_folder_that_holds_something_else(place, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").write_text("x")
    told = []
    for more in ([], ["--dry-run"]):
        assert run(place, tmp_path / "a", *more) == 2
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert "not empty, and not from this command" in told[0]


PICKY = (
    "{% for m in messages %}{% if 'three' in m['content'] %}"
    "{{ raise_exception('no threes: ' ~ m['content']) }}"
    "{% endif %}{{ m['content'] }}{% endfor %}"
)


def test_a_prompt_that_the_template_refuses_leaves_only_itself_out(place, tmp_path, capsys):
    (tmp_path / "picky.jinja").write_text(PICKY)
    texts = ["one", "three", "two", "thirty-three", "four"]
    rows = [{"id": f"p{i}", "language": "en", "prompt": text} for i, text in enumerate(texts)]
    others = [row for row in rows if "three" not in row["prompt"]]
    lines(tmp_path / "all.jsonl", rows)
    lines(tmp_path / "others.jsonl", others)
    lines(tmp_path / "none.jsonl", [row for row in rows if row not in others])
    how = ["--template", str(tmp_path / "picky.jinja"), "--temperature", "1", "--num-samples", "2"]
    assert run(place, tmp_path / "dry", *how, "--dry-run", prompts=tmp_path / "all.jsonl") == 0
    rejected = "2 refused: the chat template does not take the prompt"
    assert rejected in capsys.readouterr().out
    assert run(place, tmp_path / "a", *how, prompts=tmp_path / "all.jsonl") == 0
    said = '4 refused: the chat template does not take the prompt; the first: "the chat template'
    assert f'{said} cannot be used (no threes: three)" (en)' in capsys.readouterr().out
    assert run(place, tmp_path / "b", *how, prompts=tmp_path / "others.jsonl") == 0
    answers = list(read_rows(tmp_path / "a" / "answers.parquet", Generated))
    refused = [row for row in answers if row.stopped == "refused"]
    assert [(row.id, row.sample, row.answer) for row in refused] == [
        (name, sample, "") for name in ("p1", "p3") for sample in (0, 1)
    ]
    assert refused[2].why == "the chat template cannot be used (no threes: thirty-three)"
    expected = list(read_rows(tmp_path / "b" / "answers.parquet", Generated))
    assert [row for row in answers if row.stopped != "refused"] == expected
    capsys.readouterr()
    assert run(place, tmp_path / "c", *how, prompts=tmp_path / "none.jsonl") == 2
    assert "none.jsonl:1: " in (line := capsys.readouterr().err)
    assert "(no threes: three) (nor the other 1) — " in line
