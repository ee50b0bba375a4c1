"""What a run refuses, its dry run refuses: the same line, the same exit code, and no file."""

import json
import shutil

import numpy as np
import pytest
import transformers
from align_cases import CHATML, chat_rows, pair_rows, write_lines, write_model

from polylect.cli import main
from polylect.rows import Generated, ScoreTable, write_rows

PROMPTS = [{"id": str(i), "language": "en", "prompt": f"tell me more {i}"} for i in range(3)]
LONG = {"id": "long", "language": "en", "prompt": "and where do you go " * 60}
ANSWER = "Das ist ein ganz gewöhnlicher deutscher Satz mit vielen Wörtern darin."
ITEM = {"id": "a", "language": "en", "context": "Which?", "choices": ["one", "two"], "answer": 0}
RUN = {"recipe": "study", "state": "done", "config": {}, "steps": {}, "ledger": [], "outputs": []}


def write_scores(path, task):
    right = np.random.default_rng(0).random(20) < 0.5
    ScoreTable.from_rows(
        {"checkpoint": path.stem, "task": task, "language": "de", "item": str(item),
         "metric": "acc", "value": float(value), "chance": 0.25}
        for item, value in enumerate(right)
    ).write(path)  # fmt: skip


def write_answers(folder):
    folder.mkdir()
    rows = [
        Generated(id=str(i), language="en", sample=0, model=folder.name, answer=folder.name,
                  prompt=f"tell me more {i}")
        for i in range(2)
    ]  # fmt: skip
    write_rows(folder / "answers.parquet", Generated, rows)


def edit_config(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def write_reward_model(folder, model, context):
    shutil.copytree(model, folder)
    edit_config(folder, num_labels=1, max_position_embeddings=context)
    config = transformers.AutoConfig.from_pretrained(folder)
    transformers.LlamaForSequenceClassification(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Small inputs of every command, good and bad."""
    folder = tmp_path_factory.mktemp("dry")
    write_model(folder / "model", template=CHATML)
    shutil.copytree(folder / "model", folder / "quantized")
    edit_config(folder / "quantized", quantization_config={"quant_method": "compressed-tensors"})
    shutil.copytree(folder / "model", folder / "other")
    edit_config(folder / "other", hidden_act="gelu")
    shutil.copytree(folder / "model", folder / "short")
    edit_config(folder / "short", max_position_embeddings=8)
    write_reward_model(folder / "judge", folder / "model", context=128)
    write_reward_model(folder / "short-judge", folder / "model", context=8)
    pairs = pair_rows(12)
    write_lines(folder / "pairs.jsonl", pairs)
    chats = chat_rows(6)
    write_lines(folder / "chats.jsonl", chats)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "no " * 300}]
    write_lines(folder / "long-chats.jsonl", [chats[0], {"messages": turns, "language": "en"}])
    write_lines(folder / "no-answer.jsonl", [*pairs[:2], {"prompt": "a", "language": "en"}])
    write_lines(folder / "one-prompt.jsonl", [pairs[0], pairs[0] | {"rejected": "no"}])
    write_lines(folder / "long-pairs.jsonl", [*pairs[:2], pairs[2] | {"chosen": "no " * 300}])
    (folder / "torn.jsonl").write_text('{"prompt": "a", \n')
    write_lines(folder / "prompts.jsonl", PROMPTS)
    write_lines(folder / "long-prompts.jsonl", [*PROMPTS, LONG])
    (folder / "reward.py").write_text(
        "def good(messages, answer, language):\n    return 1.0\ndef bad(answer):\n    return 1\n"
    )
    shutil.copytree(folder / "model", folder / "same")
    write_lines(folder / "items.jsonl", [ITEM])
    write_lines(folder / "long-items.jsonl", [ITEM, ITEM | {"id": "b", "context": "no " * 300}])
    write_lines(folder / "text.jsonl", [{"text": ANSWER, "language": "en"}])
    for name in ("left", "right"):
        write_answers(folder / name)
    for name, text in (("of-another", json.dumps(RUN)), ("torn-run", "{")):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    (folder / "taken").mkdir()
    (folder / "taken" / "letter.txt").write_text("mine")
    (folder / "torn.py").write_text("def good(:\n")
    for name, task in (("before", "t@1"), ("after", "t@1"), ("elsewhere", "u@1")):
        write_scores(folder / f"{name}.parquet", task)
    text = f'completion,source,language\n"{ANSWER}",s,de\n'
    (folder / "answers.csv").write_text(text, "utf-8")
    (folder / "no-source.csv").write_text(f'completion,language\n"{ANSWER}",de\n', "utf-8")
    return folder


def train(kind, more="", *, data="pairs.jsonl", model="model"):
    return f"train {kind} --data {data} --model {model} --epochs 1 {more}"


def online(more):
    return train("online", f"--max-new-tokens 4 --num-samples 2 {more}", data="prompts.jsonl")


def generate(more, model="model"):
    return f"generate {model} --max-new-tokens 4 {more}"


CASES = {
    "train: no answer": (train("preference", data="no-answer.jsonl"), "no-answer.jsonl:3"),
    "train: too long": (train("sft", data="long-chats.jsonl"), "long-chats.jsonl:2"),
    "train: held out, no answer": (
        train("preference", "--held-out no-answer.jsonl"),
        "no-answer.jsonl:3",
    ),
    "train: held out, too long": (
        train("reward", "--held-out long-pairs.jsonl"),
        "long-pairs.jsonl:3",
    ),
    "train: held out, torn": (train("reward", "--held-out torn.jsonl"), "torn.jsonl"),
    "train: held out, no file": (train("reward", "--held-out nothing.jsonl"), "nothing.jsonl: no"),
    "train: held out, one prompt for KTO": (
        train("preference", "--objective kto --held-out one-prompt.jsonl"),
        "KTO sets every",
    ),
    "train: quantized": (train("preference", model="quantized"), "quantized: is quantized"),
    "train: no objective": (train("preference", "--objective dop"), "objective"),
    "train: no tracker": (train("preference", "--tracker wandb"), "--tracker wandb: not installed"),
    "train: no reward": (online("--reward nothing"), "no such folder or file"),
    "train: no function": (online("--reward reward.py:better"), "no function 'better'"),
    "train: another function": (online("--reward reward.py:bad"), "bad cannot be called"),
    "train: no Python": (online("--reward torn.py:good"), "torn.py:1: not valid Python"),
    "train: no reward model": (online("--reward model"), "model: not a reward model"),
    "train: a short reward model": (online("--reward short-judge"), "the reward model takes 8"),
    "train: another there": (online("--reward judge --out taken"), "taken: not empty"),
    "train: a file in the way": (
        online("--reward judge --out reward.py/out"),
        "reward.py: there is a file",
    ),
    "compare: no file": ("compare before.parquet nothing.parquet", "nothing.parquet"),
    "compare: no items": ("compare before.parquet elsewhere.parquet", "no item"),
    "compare: no metric": ("compare before.parquet after.parquet --metrics bleu", "bleu"),
    "compare: no direction": ("compare before.parquet after.parquet --level 2", "--level"),
    "compare: another there": (
        "compare before.parquet after.parquet --out taken",
        "taken: not empty",
    ),
    "compare: a file there": (
        "compare before.parquet after.parquet --out reward.py",
        "reward.py: a file",
    ),
    "compare: a file in the way": (
        "compare before.parquet after.parquet --out reward.py/out",
        "reward.py: there is a file",
    ),
    "confusion: no column": ("confusion no-source.csv", "source"),
    "confusion: no identifier": ("confusion answers.csv --identifiers lingo", "lingo"),
    "confusion: no words": ("confusion answers.csv --words nothing.txt", "nothing.txt"),
    "confusion: another there": ("confusion answers.csv --out taken", "taken: not empty"),
    "generate: too long": (generate("--prompts long-prompts.jsonl"), "prompt en/long has"),
    "generate: no template": (
        generate("--prompts prompts.jsonl --template nothing.jinja"),
        "nothing.jinja",
    ),
    "generate: a short model": (
        generate("--prompts prompts.jsonl", model="short"),
        "the model takes 8",
    ),
    "generate: another there": (
        generate("--prompts prompts.jsonl --out taken"),
        "taken: not empty",
    ),
    "generate: no language": (generate("--prompts prompts.jsonl --languages xx"), "xx"),
    "judge: too long": (
        "judge left right --judges short --preset m-arena-hard",
        "the model takes 8",
    ),
    "judge: no preset": ("judge left right --judges model --preset arenas", "arenas"),
    "judge: no answers": ("judge left model --judges model --preset m-arena-hard", "model"),
    "judge: another there": (
        "judge left right --judges model --preset m-arena-hard --out taken",
        "taken: not empty",
    ),
    "grade: too long": ("grade left --judges short", "the model takes 8"),
    "grade: no rubric": ("grade left --judges model --rubric nothing.json", "nothing.json"),
    "grade: another there": ("grade left --judges model --out taken", "taken: not empty"),
    "eval: no task": ("eval model --tasks nothing", "nothing"),
    "eval: torn": ("eval model --tasks torn.jsonl", "torn.jsonl"),
    "eval: too long": ("eval model --tasks long-items.jsonl", "the model takes 128"),
    "eval: context": ("eval model --tasks items.jsonl --max-tokens 4096", "the model takes 128"),
    "eval: another there": ("eval model --tasks items.jsonl --out taken", "taken: not empty"),
    "merge: no method": ("merge --method mean --models model same", "mean"),
    "merge: quantized": ("merge --models model quantized", "quantiz"),
    "merge: another function": ("merge --models model other", "hidden_act"),
    "merge: no option": ("merge --models model same --set shape=1", "shape"),
    "merge: another there": ("merge --models model same --out taken", "taken: not empty"),
    "merge: another vocabulary": (
        "merge --models model same --vocabulary onion",
        "--vocabulary is 'onion'",
    ),
    "quantize: no scheme": ("quantize model --scheme w5", "no scheme 'w5'"),
    "quantize: quantized": ("quantize quantized --scheme w8", "already quantized"),
    "quantize: no text": ("quantize model --scheme awq", "awq needs calibration text"),
    "quantize: too little text": (
        "quantize model --scheme awq --calibration text.jsonl",
        "text.jsonl",
    ),
    "quantize: another there": ("quantize model --scheme w8 --out taken", "taken: not empty"),
    "train: a template of no name": (
        train("sft", "--template nosuch", data="chats.jsonl"),
        "choose own, plain, aya, or give a Jinja file",
    ),
    "train: no turns": (train("sft", "--template none", data="chats.jsonl"), "turns are written"),
    "train: no probes": (
        train("sft", "--probes 0 --probe-tokens 9", data="chats.jsonl"),
        "--probe-tokens has no effect",
    ),
    "generate: a template of no name": (
        generate("--prompts prompts.jsonl --template nosuch"),
        "choose own, plain, aya, none, or give a Jinja file",
    ),
    "generate: greedy": (
        generate("--prompts prompts.jsonl --top-k 5"),
        "--top-k has no effect: at temperature 0",
    ),
    "generate: a server's option": (
        "generate http://127.0.0.1:9/v1 --served-model m --prompts prompts.jsonl --dtype bfloat16",
        "--dtype has no effect",
    ),
    "judge: a template of no name": (
        "judge left right --judges model --preset aya --template nosuch",
        "choose own, plain, aya, none, or give a Jinja file",
    ),
    "judge: no server": (
        "judge left right --judges model --preset aya --retries 3",
        "--retries has no effect",
    ),
    "judge: no local judge": (
        "judge left right --judges http://127.0.0.1:9/v1#m --preset aya --memory-mib 9",
        "--memory-mib has no effect",
    ),
    "grade: nothing is written": (
        "grade left --judges model --verdict logprob --temperature 1",
        "--temperature has no effect",
    ),
    "eval: no answers": (
        "eval model --tasks items.jsonl --num-samples 4",
        "--num-samples has no effect",
    ),
    "quantize: no groups": (
        "quantize model --scheme w8 --group-size 7",
        "--group-size has no effect",
    ),
    "quantize: no calibration": (
        "quantize model --scheme w8 --quota uniform",
        "--quota has no effect",
    ),
    "quantize: no GPTQ": ("quantize model --scheme w4 --damping 0.1", "--damping has no effect"),
    "run: no turns": (
        "run rounds --model model --prompts prompts.jsonl --held-out prompts.jsonl"
        " --pairs pairs.jsonl --reward language --template none",
        "turns are written",
    ),
    "run: no chats": (
        "run clusters --model model --prompts prompts.jsonl --held-out prompts.jsonl"
        " --pairs pairs.jsonl --clusters a=en b=en --anchors en --conversations none.jsonl",
        "--conversations: none.jsonl is not there",
    ),
    "run: no pairs": (
        "run rounds --model model --prompts prompts.jsonl --held-out prompts.jsonl"
        " --pairs none.jsonl --reward language",
        "--pairs: none.jsonl is not there",
    ),
    "run: not a run": ("run lifecycle --out taken", "not a run"),
    "run: another recipe's": ("run lifecycle --out of-another", "holds a run of recipe 'study'"),
    "run: a file there": ("run lifecycle --out reward.py", "reward.py: there is a file"),
    "run: a file in the way": ("run lifecycle --out reward.py/out", "a part of the path is a file"),
    "run: a torn manifest": ("run lifecycle --out torn-run", "run.json"),
    "run soups: no method": (
        "run soups --model model --tracks A=chats.jsonl B=chats.jsonl"
        " --preferences A=pairs.jsonl B=pairs.jsonl --method mean",
        "mean",
    ),
    "run study: quantized": (
        "run study --model quantized --calibration text.jsonl",
        "already quantized",
    ),
    "run study: too little text": (
        "run study --model model --calibration text.jsonl",
        "text.jsonl",
    ),
    "run schemes: too little text": (
        "run schemes --model model --calibration text.jsonl",
        "text.jsonl",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_dry_run_refuses_what_the_run_refuses(case, place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.delenv("POLYLECT_DATA", raising=False)
    words, part = CASES[case]
    call = words.split()
    if "--out" not in call:
        call += ["--out", str(tmp_path / "out")]
    there = files_in(place, tmp_path)
    heard = []
    for flags in (["--dry-run"], []):
        code = main([*call, *flags])
        heard.append((code, capsys.readouterr().err))
        assert files_in(place, tmp_path) - there == set()
    assert heard[0] == heard[1]
    assert heard[0][0] in {1, 2}  # 1: the folder cannot be written
    assert part in heard[0][1]


def files_in(*folders):
    """All files, but for the records of runs that failed, which keep their error."""
    return {
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.parent.name.endswith(".run")
    }


FINISHED = {
    "eval": "eval model --tasks items.jsonl",
    "generate": generate("--prompts prompts.jsonl"),
    "judge": "judge left right --judges model --preset aya --max-new-tokens 4 --over-long cut",
    "grade": "grade left --judges model --max-new-tokens 4 --over-long cut",
    "compare": "compare before.parquet after.parquet",
    "confusion": "confusion answers.csv --identifiers polylect",
    "merge": "merge --models model same",
    "train": train("preference"),
}


@pytest.mark.parametrize("command", FINISHED)
def test_a_dry_run_says_that_the_result_is_there(command, place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(place)
    call = [*FINISHED[command].split(), "--out", str(tmp_path / "out")]
    assert main(call) == 0
    capsys.readouterr()
    there = files_in(tmp_path)
    assert main([*call, "--dry-run"]) == 0
    line = f"polylect: {tmp_path / 'out'}: this result is there already\n"
    assert capsys.readouterr().err == line
    assert files_in(tmp_path) == there
    assert main([*call, "--dry-run", "--force"]) == 0
    assert "there already" not in capsys.readouterr().err
