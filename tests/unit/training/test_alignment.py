"""Fine-tuning and preferences: exact losses, equal bytes however killed, and learning."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from align_cases import CHATML, TAGS, chat_rows, pair_rows, write_lines, write_model

from polylect.base import InputError, Ledger
from polylect.cli import main
from polylect.recipes import find_reward
from polylect.rows import Conversation, Message, read_conversations, read_preferences
from polylect.runs import Call, Files, execute_into
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    OptimConfig,
    PreferenceConfig,
    RewardConfig,
    SftConfig,
    objectives,
    online,
    open_policy,
    preference,
    reward,
    sft,
)
from polylect.training.encode import encode_conversations, encode_preferences
from polylect.training.packing import PLAIN, SELF_IMPROVING, pack_pairs, sequence_log_probabilities
from polylect.training.pair_checks import with_partners
from polylect.training.preference_loop import gradients, names_of, pair_losses
from polylect.training.sft_loop import gradients as sft_gradients

OPTIM = OptimConfig(
    learning_rate=3e-3, warmup=0.1, schedule="linear", min_lr_ratio=0.0, weight_decay=0.0
)
OBJECTIVES = ("dpo", "robust-dpo", "ipo", "ipo-mean", "simpo", "slic", "kto", "srpo", "copg")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("align")
    write_model(folder / "model")
    write_model(folder / "chatty", template=CHATML)
    write_lines(folder / "pairs.jsonl", pair_rows(24))
    write_lines(folder / "chats.jsonl", chat_rows(12))
    (folder / "own.py").write_text(
        "def letters(messages, answer, language):\n    return answer.count('e') / 10\n"
    )
    return folder


def tokens_of(place, objective="dpo", model="model"):
    policy = open_policy(place / model, ExamplesConfig(), Ledger())
    refine = "Improve it." if objective == "srpo" else None
    rows = read_preferences(place / "pairs.jsonl")
    pairs = encode_preferences(rows, policy.style, 128, "refuse", Ledger(), refine)
    return policy, with_partners(pairs, 128) if objective == "kto" else pairs


@torch.no_grad()
def alone(model, ids, num):
    """Log-probability of the last tokens of a sequence, by plain transformers in float64."""
    logits = model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0, :-1].double()
    targets = torch.from_numpy(ids[1:].astype(np.int64))
    values = logits.log_softmax(dim=1)[torch.arange(len(ids) - 1), targets]
    return float(values[-num:].sum())


@pytest.mark.parametrize("model", ["model", "chatty"])
def test_six_sequences_on_one_row_are_six_separate_passes(place, model):
    policy, pairs = tokens_of(place, "srpo", model)
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / model).eval()
    loaded = policy.load().eval()
    batch = pack_pairs(pairs[:3], SELF_IMPROVING)
    values = sequence_log_probabilities(loaded, batch, 18).view(3, 6).tolist()
    for pair, row in zip(pairs, values, strict=False):
        answers = (pair.chosen, pair.rejected)
        expected = [alone(plain, np.concatenate([pair.prompt, ids]), len(ids)) for ids in answers]
        for before, ask in zip(answers, pair.refine, strict=True):
            for ids in answers:
                whole = np.concatenate([pair.prompt, before, ask.ids, ids])
                expected.append(alone(plain, whole, len(ids)))
        assert row == pytest.approx(expected, abs=1e-4, rel=1e-5)
    assert batch.num_tokens == sum(pair.num_tokens for pair in pairs[:3])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_updates_gradient_does_not_depend_on_how_it_is_cut(place, objective):
    policy, pairs = tokens_of(place, objective)
    reference = np.random.default_rng(0).normal(-30, 3, (len(pairs), 6)).astype(np.float32)
    grads = []
    for micro_batch_tokens in (10_000, 60):
        config = PreferenceConfig(
            objective=objective, sft_weight=0.1,
            examples=ExamplesConfig(micro_batch_tokens=micro_batch_tokens),
        )  # fmt: skip
        model = policy.load()
        known = {"sequences": reference[:, : len(names_of(config))], "mismatched": reference[:, 0]}
        metrics = gradients(model, pairs, np.arange(8), known, config)
        grads.append(torch.cat([p.grad.ravel() for p in model.parameters()]))
        assert metrics["pairs"] == 8
        assert sum(means["pairs"] for means in metrics["by_language"].values()) == 8
    assert float((grads[0] - grads[1]).norm() / grads[0].norm()) < 1e-5
    assert float(grads[0].norm()) > 0


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name != "kto"])
def test_the_gradient_is_that_of_plain_forward_passes(place, objective):
    """Loss and gradient against transformers' own logits of every sequence, one by one."""
    start, pairs = tokens_of(place, objective)
    config = PreferenceConfig(objective=objective)
    reference = np.random.default_rng(1).normal(-30, 2, (len(pairs), 6)).astype(np.float32)
    known = {"sequences": reference[:, : len(names_of(config))]}
    model = start.load()
    metrics = gradients(model, pairs, np.arange(3), known, config)
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / "model")
    rows = []
    for pair in pairs[:3]:
        answers = (pair.chosen, pair.rejected)
        wholes = [(np.concatenate([pair.prompt, ids]), len(ids)) for ids in answers]
        if objective == "srpo":
            wholes += [(np.concatenate([pair.prompt, before, ask.ids, ids]), len(ids))
                       for before, ask in zip(answers, pair.refine, strict=True)
                       for ids in answers]  # fmt: skip
        row = []
        for ids, num in wholes:
            tokens = torch.from_numpy(ids.astype(np.int64))
            logits = plain(tokens[None]).logits[0, :-1].log_softmax(dim=1)
            row.append(logits[torch.arange(len(ids) - 1), tokens[1:]][-num:].sum())
        rows.append(torch.stack(row))
    policy = torch.stack(rows)
    ratios = policy - torch.from_numpy(known["sequences"][:3])
    beta = 2.0 if objective == "simpo" else 0.1
    loss = pair_losses(config, beta, policy, ratios, pairs[:3]).mean()
    loss.backward()
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-4)
    ours = torch.cat([p.grad.ravel() for p in model.parameters()])
    theirs = torch.cat([p.grad.ravel() for p in plain.parameters()])
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


def test_turns_behind_the_last_that_is_learned_are_left_out_and_counted(place):
    policy = open_policy(place / "chatty", ExamplesConfig(), Ledger())
    turns = (Message("user", "a"), Message("assistant", "b"))
    rows = [Conversation(language="de", messages=(*turns, *more))
            for more in ((), (Message("user", "c"),))]  # fmt: skip
    ledger = Ledger()
    short, long = encode_conversations(rows, policy.style, 128, "refuse", ledger)
    assert short.ids.tolist() == long.ids.tolist()
    assert list(ledger.rows()) == [
        ("left out: what follows the last turn that is learned", "de", 1)
    ]


def test_the_loss_of_fine_tuning_is_per_trained_token(place):
    policy = open_policy(place / "chatty", ExamplesConfig(), Ledger())
    chats = encode_conversations(
        read_conversations(place / "chats.jsonl"), policy.style, 128, "refuse", Ledger()
    )
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / "chatty")
    total, num = 0.0, 0
    for chat in chats:
        ids = torch.from_numpy(chat.ids.astype(np.int64))
        labels = torch.where(torch.from_numpy(chat.trained), ids, -100)
        loss = plain(ids[None], labels=labels[None]).loss
        num_trained = int(chat.trained[1:].sum())
        total, num = total + loss * num_trained, num + num_trained
    (total / num).backward()
    theirs = torch.cat([p.grad.ravel() for p in plain.parameters()])
    for micro_batch_tokens in (10_000, 50):
        model = policy.load()
        metrics = sft_gradients(model, chats, ExamplesConfig(micro_batch_tokens=micro_batch_tokens))
        assert metrics["loss"] == pytest.approx((total / num).item(), rel=1e-5)
        ours = torch.cat([p.grad.ravel() for p in model.parameters()])
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-4
        assert set(metrics["by_language"]) == set(TAGS)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recomputed_activations_and_bfloat16_products_give_the_same_gradient(place, precision):
    """Activations again: equal. Products in bfloat16: equal within its eight bits."""
    grads = []
    for change in ({}, {"recompute": True, "precision": precision}):
        config = ExamplesConfig(**change)
        policy = open_policy(place / "chatty", config, Ledger())
        rows = read_conversations(place / "chats.jsonl")
        chats = encode_conversations(rows, policy.style, 128, "refuse", Ledger())
        model = policy.load()
        metrics = sft_gradients(model, chats, config)
        assert all(p.grad.dtype == torch.float32 for p in model.parameters())
        grads.append((metrics["loss"], torch.cat([p.grad.ravel() for p in model.parameters()])))
    (loss, plain), (again, other) = grads
    limit = 1e-6 if precision == "float32" else 3e-2
    assert again == pytest.approx(loss, rel=limit)
    assert float((plain - other).norm() / plain.norm()) < limit
    assert (again != loss) == (precision == "bfloat16")


def test_the_numbers_that_a_tracker_gets():
    from polylect.training import Tracker
    from polylect.training.trackers import flat

    row = {"step": 3, "loss": 0.5, "by_language": {"de": {"loss": 0.4, "pairs": 2}},
           "probe": {"kl": 1.0, "by_language": {"de": {"kl": 1.5}}}}  # fmt: skip
    assert flat(row) == {"loss": 0.5, "loss/de": 0.4, "pairs/de": 2.0,
                         "probe/kl": 1.0, "probe/kl/de": 1.5}  # fmt: skip
    with pytest.raises(InputError, match="not installed"):
        Tracker("no_such_tracker", "polylect", "run", "0" * 20, {})


def config_of(kind, objective="dpo", rank=0):
    examples = ExamplesConfig(epochs=20, batch_size=4, micro_batch_tokens=200, save_every=3)
    optim = replace(OPTIM, lora_rank=rank)
    if kind == "sft":
        return SftConfig(examples=examples, optim=optim)
    if kind == "reward":
        return RewardConfig(examples=examples, optim=optim)
    if kind == "online":
        return OnlineConfig(examples=replace(examples, epochs=4), optim=optim, objective=objective,
                            num_samples=3, max_new_tokens=6, prompts_per_round=10)  # fmt: skip
    return PreferenceConfig(examples=examples, optim=optim, objective=objective)


STEPS = {"sft": sft, "preference": preference, "reward": reward, "online": online}


def call_of(place, kind, name, objective="dpo", rank=0):
    data = place / ("chats.jsonl" if kind == "sft" else "pairs.jsonl")
    inputs = {"model": Files(place / "model"), "data": Files(data)}
    if kind == "online":
        inputs["reward"] = find_reward(f"{place}/own.py:letters")
    return Call(STEPS[kind], name, config_of(kind, objective, rank), inputs)


FILES = ("model.safetensors", "metrics.jsonl", "step.json", "tokenizer.json", "polylect.json")

KILLER = """
import os, pathlib, signal, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_alignment as t

place, out, kind, objective = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), *sys.argv[4:6]
call = t.call_of(place, kind, "run", objective, int(sys.argv[6]))

def child():
    pid = os.fork()
    if pid == 0:
        t.execute_into(call, out)
        os._exit(0)
    return pid

def files():
    entries = []
    for folder, _, names in os.walk(call.partial(out.parent)):
        for name in names:
            try:
                status = os.stat(os.path.join(folder, name))
            except FileNotFoundError:  # renamed meanwhile
                continue
            entries.append((folder, name, status.st_size, status.st_mtime_ns))
    return sorted(entries)

random, cut = np.random.default_rng(0), 0
for moment in range(10):
    pid, changes, before = child(), random.integers(1, 4), files()
    while changes and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        changes, before = changes - ((now := files()) != before), now
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    cut += os.waitpid(pid, 0)[1] == signal.SIGKILL and not out.exists()
assert os.waitpid(child(), 0)[1] == 0
print(cut)
"""


@pytest.mark.parametrize(
    ("kind", "objective", "rank"),
    [
        ("sft", "dpo", 0), ("preference", "srpo", 0), ("preference", "kto", 2),
        ("reward", "dpo", 0), ("online", "srpo", 2),
    ],
)  # fmt: skip
@pytest.mark.kill
def test_killed_at_ten_moments_it_ends_with_the_same_bytes(place, tmp_path, kind, objective, rank):
    whole = tmp_path / "whole" / "run"
    execute_into(call_of(place, kind, "run", objective, rank), whole)
    out = tmp_path / "cut" / "run"
    words = [os.path.dirname(__file__), str(place), str(out), kind, objective, str(rank)]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) >= 3  # it was killed each time that its files had changed a few times
    more = ("samples.parquet",) if kind == "online" else ()
    for name in (*FILES, *more, *(("adapter/adapter_model.safetensors",) if rank else ())):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_two_hundred_easy_pairs_separate_with_the_defaults(tmp_path, capsys):
    write_model(tmp_path / "model", hidden=160, layers=4)
    write_lines(tmp_path / "pairs.jsonl", pair_rows(200))
    words = ["train", "preference", "--model", str(tmp_path / "model"),
             "--data", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(words) == 0
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert np.mean([row["accuracy"] for row in rows[-5:]]) > 0.95
    output, plan = capsys.readouterr()
    assert "dpo: " in plan
    assert "200 pairs" in plan
    assert "fell back: no chat template, plain turns" in output
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "Türkçe" in page
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.num_parameters() > 800_000
    # The same command again does nothing, another one is refused.
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert main(words) == 0
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before
    assert main([*words, "--beta", "0.5"]) == 2
    assert "holds another result (beta none → 0.5)" in capsys.readouterr().err


def test_a_dry_run_says_what_and_writes_nothing(place, tmp_path, capsys):
    words = ["train", "sft", "--model", str(place / "chatty"), "--data", str(place / "chats.jsonl"),
             "--out", str(tmp_path / "out"), "--epochs", "2", "--dry-run"]  # fmt: skip
    assert main(words) == 0
    output = capsys.readouterr().out
    assert "24 conversations" in output
    assert "3 updates" in output
    assert "turns: template " in output
    assert not (tmp_path / "out").exists()
    assert main([*words, "--objective", "dpo"]) == 2
    assert "train sft: unknown option --objective" in capsys.readouterr().err


def test_the_carried_template_is_that_of_the_parent(place, tmp_path):
    shutil.copytree(place / "chatty", tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").write_text(CHATML, "utf-8")
    inputs = {"model": Files(tmp_path / "model"), "data": Files(place / "chats.jsonl")}
    artifact = execute_into(Call(sft, "out", config_of("sft"), inputs), tmp_path / "out")
    assert (artifact.path / "chat_template.jinja").read_text("utf-8") == CHATML
    tokenizer = transformers.AutoTokenizer.from_pretrained(artifact.path)
    assert tokenizer.chat_template == CHATML


def test_too_long_is_refused_or_dropped_and_counted(place):
    policy = open_policy(place / "model", ExamplesConfig(), Ledger())
    rows = read_preferences(place / "pairs.jsonl")
    every = encode_preferences(rows, policy.style, 128, "refuse", Ledger())
    most = int(np.median([pair.longest for pair in every]))
    with pytest.raises(InputError, match=rf"pairs\.jsonl:\d+: \d+ tokens, the context has {most}"):
        encode_preferences(rows, policy.style, most, "refuse", Ledger())
    ledger = Ledger()
    kept = encode_preferences(rows, policy.style, most, "drop", ledger)
    assert 0 < len(kept) < len(rows)
    assert ledger.by_event()["dropped: longer than the context"] == len(rows) - len(kept)


def test_copg_takes_a_quarter_where_there_are_no_scores(place):
    _, pairs = tokens_of(place)
    ratios = torch.tensor([[1.0, -2.0]])
    config = PreferenceConfig(objective="copg")
    loss = pair_losses(config, 0.1, ratios, ratios, pairs[:1])
    assert torch.allclose(loss, 0.01 * objectives.ipo(ratios[:, 0], ratios[:, 1], 0.1))


def test_every_sequence_of_a_pair_is_learned_from_once(place):
    _, pairs = tokens_of(place)
    batch = pack_pairs(pairs, PLAIN)
    assert sorted({item for item in batch.items if item >= 0}) == list(range(2 * len(pairs)))
    trained = int((batch.loss_weight > 0).sum())
    assert trained == sum(len(pair.chosen) + len(pair.rejected) for pair in pairs)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (
            ["--alpha", "0.3"],
            "dpo does not use it — leave it out; it belongs to --objective srpo",
        ),
        (
            ["--objective", "ipo", "--label-smoothing", "0.1"],
            "--label-smoothing has no effect: ipo does not use it",
        ),
        (["--label-smoothing", "0.5"], "--label-smoothing is 0.5"),
        (["--beta", "0"], "--beta is 0.0"),
        (["--warmup", "10"], "--warmup is 10.0"),
        (["--template", "nowhere.jinja"], "nowhere.jinja: no such file"),
        (["--shares", "fa=1"], "shares ask for 1 of fa"),
    ],
)
def test_what_would_be_ignored_or_wrong_is_refused(place, tmp_path, capsys, extra, words):
    words_of = ["train", "preference", "--model", str(place / "model"),
                "--data", str(place / "pairs.jsonl"), "--out", str(tmp_path / "out")]  # fmt: skip
    assert main([*words_of, *extra]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_kto_needs_another_prompts_answer(place, tmp_path, capsys):
    data = write_lines(tmp_path / "one.jsonl", pair_rows(1))
    words = ["train", "preference", "--model", str(place / "model"), "--data", str(data), "--out",
             str(tmp_path / "out"), "--objective", "kto"]  # fmt: skip
    assert main(words) == 2
    assert "one.jsonl:1: KTO sets every answer against" in capsys.readouterr().err


def test_stages_of_a_mixture_are_told_before_and_written_beside(place, tmp_path, capsys):
    rows = [row | {"source": ("wiki", "web")[i % 2]} for i, row in enumerate(chat_rows(24))]
    data = write_lines(tmp_path / "chats.jsonl", rows)
    stages = [{"part": 2, "temperature": 3.0},
              {"part": 1, "shares": {"de/wiki": 3, "*/web": 1}}]  # fmt: skip
    (tmp_path / "mix.json").write_text(json.dumps(stages), "utf-8")
    words = ["train", "sft", "--model", str(place / "chatty"), "--data", str(data), "--out",
             str(tmp_path / "out"), "--mixture", str(tmp_path / "mix.json"), "--epochs", "2",
             "--probes", "0"]  # fmt: skip
    assert main(words) == 0
    output = capsys.readouterr().err
    rows = json.loads((tmp_path / "out/mixture.json").read_text())
    sums = {n: sum(row["examples"] for row in rows if row["stage"] == n) for n in (1, 2)}
    assert sums == {1: 32, 2: 16}
    last = {(row["language"], row["source"]): row for row in rows if row["stage"] == 2}
    assert last["de", "wiki"]["examples"] == 12
    for row in last.values():
        line = f"{row['language']}/{row['source']}: {row['examples']:,} conversations,"
        assert (line in output.partition("stage 2:")[2]) == bool(row["examples"])
    lines = (tmp_path / "out/metrics.jsonl").read_text().splitlines()
    assert sum(json.loads(row)["tokens"] for row in lines) == sum(row["tokens"] for row in rows)
    assert "<h2>Mixture" in (tmp_path / "out/index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("stages", "extra", "words"),
    [
        ({"part": 1}, [], "mix.json: not a list of stages"),
        ([{"prt": 1}], [], "mix.json: stage 1: "),
        ([{"shares": {"xx": 1}}], [], "xx"),
        ([{"shares": {"de/wiki": 1}}], [], "stage 1: shares ask for 1 of de/wiki"),
        ([{}], ["--shares", "de=1"], "--mixture beside --shares"),
    ],
)
def test_a_mixture_that_does_not_fit_is_refused(place, tmp_path, capsys, stages, extra, words):
    (tmp_path / "mix.json").write_text(json.dumps(stages), "utf-8")
    assert main(["train", "sft", "--model", str(place / "chatty"), "--data",
                 str(place / "chats.jsonl"), "--out", str(tmp_path / "out"), "--mixture",
                 str(tmp_path / "mix.json"), *extra]) == 2  # fmt: skip
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_template_at_the_same_path_is_another_training(place, tmp_path, capsys):
    template = tmp_path / "mine.jinja"
    template.write_text(CHATML, "utf-8")
    words = ["train", "sft", "--model", str(place / "chatty"), "--data", str(place / "chats.jsonl"),
             "--out", str(tmp_path / "out"), "--template", str(template)]  # fmt: skip
    assert main(words) == 0
    assert main(words) == 0
    assert "this result is there already" in capsys.readouterr().err
    template.write_text(CHATML.replace("}}\n{{", "}}: {{"), "utf-8")
    assert main(words) == 2
    assert "holds another result (input template " in capsys.readouterr().err
