import json
import math
import multiprocessing
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from polylect.base import InputError, PolylectError, digest_folder
from polylect.checkpoints import Checkpoint
from polylect.mixtures import Mixture, Share, Stage, TokenStore, make_loader, uniform_shares
from polylect.models import load_model
from polylect.rows import Split
from polylect.runs import NOT_CONTENT, Call, Files, execute
from polylect.text import train_bpe
from polylect.training import OptimConfig, PretrainConfig, learning_rate, pretrain, session
from polylect.training import pretrain_loop as loop

SHARES = (*uniform_shares(["de", "el"]), Share(language="ja", part=0.2))


def read_metrics(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def config(tokens=1400, **changes):
    stage = Stage(tokens=tokens, shares=SHARES, temperature=3.0)
    base = PretrainConfig(
        mixture=Mixture(stages=(stage,), seed=5),
        optim=OptimConfig(learning_rate=5e-3, warmup=0.2),
        batch_tokens=128,
        micro_batch_tokens=128,
        context_tokens=32,
        save_every=3,
    )
    return replace(base, **changes)


def call_of(tokens, model, **changes):
    return Call(pretrain, "base", config(**changes), {"tokens": tokens, "model": model})


@pytest.fixture(scope="module")
def trained(tokens, model, tmp_path_factory):
    """An uninterrupted training, and the digest of its folder."""
    root = tmp_path_factory.mktemp("whole") / "steps"
    artifact = execute(call_of(tokens, model), root)
    return artifact, digest_folder(root, leave_out=NOT_CONTENT)


def test_what_comes_out(trained, tokens, model):
    artifact, _ = trained
    checkpoint = Checkpoint.open(artifact.path)
    checkpoint.verify()
    lineage = checkpoint.lineage
    assert lineage.method == "pretrain"
    assert lineage.parents[0].digest == Checkpoint.open(model.path).digest != checkpoint.digest
    assert lineage.settings["text_licenses"] == ["CC0-1.0"]
    assert checkpoint.license == "Apache-2.0"
    rows = read_metrics(artifact.path / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 12))
    assert sum(row["tokens"] for row in rows) + artifact.ledger.total("unused: ") == 1400
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.5  # it learns
    assert rows[0]["loss"] == pytest.approx(math.log(300), rel=0.1)
    for row in rows:
        by = row["by_language"].values()
        mean = sum(row["loss"] * row["tokens"] for row in by) / sum(row["tokens"] for row in by)
        assert mean == pytest.approx(row["loss"], rel=1e-6)
    volatile = json.loads((artifact.path / "volatile.json").read_text())
    assert {"training_seconds", "wall_seconds"} <= volatile.keys()


def test_two_runs_give_the_same_bytes(trained, tokens, model, tmp_path):
    execute(call_of(tokens, model), tmp_path / "deep/steps")
    assert digest_folder(tmp_path / "deep/steps", leave_out=NOT_CONTENT) == trained[1]


def test_another_seed_gives_other_bytes(trained, tokens, model, tmp_path):
    other = config().mixture
    call = call_of(tokens, model, mixture=Mixture(stages=other.stages, seed=6))
    assert execute(call, tmp_path).digest != trained[0].digest


@pytest.fixture(scope="module")
def server():
    """A process that has torch imported and forks: what is killed need not import it again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["polylect.training.pretrain_loop", "transformers.models.cohere2.modeling_cohere2"]
    )
    return context


def kill_when(process, condition, then=0.0, seconds=60.0):
    deadline = time.monotonic() + seconds
    while process.is_alive() and not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(then)
    process.kill()
    process.join()
    process.close()


def test_resumed_is_uninterrupted_byte_for_byte(trained, tokens, model, server, tmp_path):
    root = tmp_path / "steps"
    call = call_of(tokens, model)
    partial = call.partial(root)
    state = partial / "work/state/position.json"

    def step_is(num):
        def look():
            try:
                return json.loads(state.read_text())["step"] >= num
            except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
                return False

        return look

    moments = [
        (lambda: (partial / "work").exists(), 0.0),  # while loading
        (lambda: (partial / "work/metrics.jsonl").exists(), 0.05),  # before the first save
        (lambda: (partial / "work/state.new").exists(), 0.0),  # in a save
        (step_is(3), 0.02),
        (step_is(6), 0.01),
        (step_is(9), 0.0),
        ((partial / "out/metrics.jsonl").exists, 0.0),  # while the model is written
        ((partial / "out/model.safetensors").exists, 0.0),
    ]
    reached = 0
    for condition, then in moments:
        process = server.Process(target=execute, args=(call, root))
        process.start()
        kill_when(process, condition, then)
        reached += partial.exists()
    assert reached >= 3  # killed before the end, again and again
    artifact = execute(call, root)
    assert digest_folder(root, leave_out=NOT_CONTENT) == trained[1]
    assert artifact.digest == trained[0].digest


class Killed(BaseException):
    pass


@pytest.mark.parametrize("function", ["save_model", "write_json"])
@pytest.mark.kill
def test_a_kill_after_the_last_update_resumes_too(
    trained, tokens, model, tmp_path, monkeypatch, function
):
    def killed(*args):
        raise Killed

    monkeypatch.setattr(session, function, killed)
    for _ in range(2):
        with pytest.raises(Killed):
            execute(call_of(tokens, model), tmp_path)
    monkeypatch.undo()
    execute(call_of(tokens, model), tmp_path)
    assert digest_folder(tmp_path, leave_out=NOT_CONTENT) == trained[1]


def test_a_loss_that_is_not_finite_is_one_line(tokens, model, tmp_path):
    optim = OptimConfig(learning_rate=1e38, warmup=0.0)
    with pytest.raises(PolylectError, match=r"no longer finite after 1 updates") as caught:
        execute(call_of(tokens, model, optim=optim), tmp_path)
    assert "lower the learning rate" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_a_gradient_that_is_not_finite_is_one_line(tokens, model):
    settings, network, optimizer, loader = prepared(tokens, model)
    network.base_model.norm.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(PolylectError, match=r"the gradient norm became (inf|nan) after 0"):
        update(network, optimizer, loader, 0, settings)


def test_a_model_with_another_tokenizer_is_refused(tokens, model, tmp_path):
    (tmp_path / "model").mkdir()
    for path in model.path.iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    train_bpe({"de": ["etwas ganz anderes"]}, vocab_size=270).save(tmp_path / "model")
    with pytest.raises(InputError, match="its tokenizer differs from that of the text"):
        execute(call_of(tokens, Files(tmp_path / "model")), tmp_path / "steps")


def prepared(tokens, model, **changes):
    """Model and optimizer in float64, and a loader of one batch per pass."""
    settings = config(**changes)
    store = TokenStore(tokens.path, Split.TRAIN)
    loader = make_loader(
        store, settings.mixture, context_tokens=32, batch_tokens=settings.batch_tokens
    )
    network = load_model(Checkpoint.open(model.path)).double()
    return settings, network, session.make_optimizer(network, settings.optim), loader


def update(network, optimizer, loader, step, settings):
    row = loop.gradients(network, loader.passes(step, settings.micro_batch_tokens))
    norm = session.apply_gradients(optimizer, settings.optim, step, row["loss"])
    return row | {"gradient_norm": norm}


def updates(tokens, model, num, **changes):
    settings, network, optimizer, loader = prepared(tokens, model, **changes)
    rows = []
    for step in range(num):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings.optim, step, num)
        rows.append(update(network, optimizer, loader, step, settings))
    return rows, network


def flat(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("micro_batch_tokens", [128, 100, 64, 1])
def test_one_big_pass_equals_accumulated_small_ones(tokens, model, micro_batch_tokens):
    # Two stages that end in the middle of a step: no update may mix them.
    stages = (Stage(tokens=600, shares=SHARES), Stage(tokens=300, shares=SHARES))
    settings = {"mixture": Mixture(stages=stages), "batch_tokens": 256}
    whole, big = updates(tokens, model, 5, micro_batch_tokens=256, **settings)
    many, small = updates(tokens, model, 5, micro_batch_tokens=micro_batch_tokens, **settings)
    for left, right in zip(whole, many, strict=True):
        assert left["tokens"] == right["tokens"]
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-6)
        assert left["gradient_norm"] == pytest.approx(right["gradient_norm"], rel=1e-6)
        assert left["by_language"].keys() == right["by_language"].keys()
    assert (flat(big) - flat(small)).norm() <= 1e-6 * flat(big).norm()


def test_one_big_pass_equals_small_ones_in_the_step_itself(tokens, model, tmp_path):
    rows = []
    for passes in (1, 2):
        call = call_of(tokens, model, batch_tokens=256, micro_batch_tokens=256 // passes)
        path = execute(call, tmp_path).path
        rows.append(read_metrics(path / "metrics.jsonl"))
    assert len(rows[0]) == len(rows[1]) == 6
    for left, right in zip(*rows, strict=True):
        assert left["tokens"] == right["tokens"]
        assert left["learning_rate"] == right["learning_rate"]
    assert rows[0][0]["loss"] == pytest.approx(rows[1][0]["loss"], rel=1e-6)
    assert rows[0][-1]["loss"] == pytest.approx(rows[1][-1]["loss"], rel=1e-5)


def test_updates_are_those_of_a_plain_textbook_loop(tokens, model):
    num = 4
    rows, network = updates(tokens, model, num)
    settings, _, _, loader = prepared(tokens, model)
    plain = transformers.AutoModelForCausalLM.from_pretrained(
        model.path, attn_implementation="eager"
    ).double()
    matrices = [p for name, p in plain.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in plain.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=1.0, betas=(0.9, 0.95),
    )  # fmt: skip
    for step in range(num):
        batch = loader.batch(step)
        each, tags = [], []
        pieces = np.split(batch.ids, np.cumsum(batch.lengths)[:-1])
        for ids, tag in zip(pieces, batch.languages, strict=True):
            logits = plain(torch.from_numpy(ids)[None]).logits[0]
            target = torch.from_numpy(ids[1:])
            each.append(torch.nn.functional.cross_entropy(logits[:-1], target, reduction="none"))
            tags += [tag] * len(target)
        nll = torch.cat(each)
        nll.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings.optim, step, num)
        optimizer.step()
        optimizer.zero_grad()
        assert rows[step]["loss"] == pytest.approx(nll.mean().item(), rel=1e-6)
        assert rows[step]["gradient_norm"] == pytest.approx(norm.item(), rel=1e-6)
        for tag, metrics in rows[step]["by_language"].items():
            of_language = nll.detach().numpy()[np.array(tags) == tag]
            assert metrics["tokens"] == len(of_language)
            assert metrics["loss"] == pytest.approx(mean := of_language.mean(), rel=1e-6), mean
        assert set(rows[step]["by_language"]) == set(tags)
    assert (flat(network) - flat(plain)).norm() <= 1e-6 * flat(plain).norm()


def test_a_model_with_dropout_repeats_and_resumes(tokens, tmp_path, monkeypatch):
    store = TokenStore(tokens.path, Split.TRAIN)
    torch.manual_seed(0)
    gpt2 = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=store.tokenizer().vocab_size, n_embd=16, n_layer=1, n_head=2,
            n_positions=32, embd_pdrop=0.3, resid_pdrop=0.3, bos_token_id=1, eos_token_id=2,
        )
    )  # fmt: skip
    gpt2.save_pretrained(tmp_path / "gpt2")
    store.tokenizer().save(tmp_path / "gpt2")
    call = call_of(tokens, Files(tmp_path / "gpt2"))
    digests = []
    for name in "ab":
        torch.rand(3)
        digests.append(execute(call, tmp_path / name).digest)

    apply = session.apply_gradients

    def killed(optimizer, config, step, loss):
        if step == 7:
            raise Killed
        return apply(optimizer, config, step, loss)

    monkeypatch.setattr(session, "apply_gradients", killed)
    with pytest.raises(Killed):
        execute(call, tmp_path / "c")
    monkeypatch.undo()
    digests.append(execute(call, tmp_path / "c").digest)
    assert len(set(digests)) == 1
    # The checkpoint was not made here: its license is not known, and is not invented.
    assert Checkpoint.open(tmp_path / "a" / call.folder(tmp_path).name).license == ""
