"""Settings that no machine can follow: each one clear line, before anything is trained."""

from functools import partial

import pytest
import torch
import transformers
from align_cases import CHATML, chat_rows, pair_rows, write_lines, write_model

from polylect.base import InputError, Ledger
from polylect.cli import main
from polylect.engine import Sampling
from polylect.evals import EvalConfig
from polylect.runs import Call, Files, execute_into
from polylect.text import Tokenizer
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    OptimConfig,
    PreferenceConfig,
    SftConfig,
    open_policy,
    preference,
    sft,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    write_model(folder / "model", template=CHATML, kind="gpt2")
    write_lines(folder / "chats.jsonl", chat_rows(4))
    write_lines(folder / "pairs.jsonl", pair_rows(4))
    return folder


LINES = {
    ("--epochs", "nan"): "--epochs is nan — give a finite number, more than 0",
    ("--epochs", "inf"): "--epochs is inf — give a finite number, more than 0",
    ("--epochs", "1e9"): "--epochs is 1e+09 of 4 examples: too many — give at most 2.5e+07",
    ("--epochs", "1e308"): "--epochs is 1e+308 of 4 examples: too many — give at most 2.5e+07",
    ("--threads", "9999"): "--threads is 9999 — give 1 to 1024",
    ("--lora-rank", "100000"): "--lora-rank 100000: the largest layer of the model has rank 48 —"
    " --lora-rank 16",
    ("--context-tokens", "129"): "--context-tokens is 129, the model takes 128 —"
    " --context-tokens 128, or leave it out",
}  # fmt: skip


@pytest.mark.parametrize("option", LINES)
def test_a_setting_that_cannot_be_is_one_line(place, option, capsys):
    code = main(["train", "sft", "--model", str(place / "model"), "--data",
                 str(place / "chats.jsonl"), "--out", str(place / "out"), "--dry-run",
                 *option])  # fmt: skip
    assert code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == f"polylect: {LINES[option]}"


def test_answers_to_a_prompt_are_bounded():
    for make in (Sampling, OnlineConfig, partial(EvalConfig, name="x", tasks=())):
        with pytest.raises(InputError, match="--num-samples is 1000000000") as caught:
            make(num_samples=10**9)
        assert caught.value.hint == "give 1 to 100000"


def test_a_training_that_cannot_be_probed_says_so(place):
    config = SftConfig(examples=ExamplesConfig(probe_tokens=10**9, batch_size=4))
    inputs = {"model": Files(place / "model"), "data": Files(place / "chats.jsonl")}
    artifact = execute_into(Call(sft, "unprobed", config, inputs), place / "unprobed")
    assert artifact.ledger.total("not probed") == 1


def test_shares_may_be_as_large_as_numbers_are(place, capsys):
    shares = "en=1e308,de=1e308,tr=1e308"
    assert main(["train", "sft", "--model", str(place / "model"), "--data",
                 str(place / "chats.jsonl"), "--out", str(place / "out"), "--dry-run",
                 "--shares", shares]) == 0  # fmt: skip


# Within peft, of transformers.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_of_gpt2_are_pefts_own(place):
    """GPT-2's layers hold their weights transposed; peft's loader gives the merged model."""
    import peft

    optim = OptimConfig(learning_rate=1e-2, schedule="linear", lora_rank=4)
    config = PreferenceConfig(
        examples=ExamplesConfig(epochs=4, batch_size=4, probes=0), optim=optim
    )
    inputs = {"model": Files(place / "model"), "data": Files(place / "pairs.jsonl")}
    execute_into(Call(preference, "lora", config, inputs), place / "lora")
    load = transformers.AutoModelForCausalLM.from_pretrained
    merged, base = load(place / "lora").eval(), load(place / "model").eval()
    ids = torch.tensor([[5, 9, 33, 60, 7, 2]])
    with torch.no_grad():
        before = base(ids).logits
        adapted = peft.PeftModel.from_pretrained(base, place / "lora" / "adapter").eval()
        assert float((adapted(ids).logits - merged(ids).logits).abs().max()) < 1e-4
        assert float((before - merged(ids).logits).abs().max()) > 1e-3


def test_a_tokenizer_with_more_ids_than_rows_is_refused_by_row(place):
    tokenizer = Tokenizer.load(place / "model")
    folder = write_model(place / "short", template=CHATML)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    num_rows = tokenizer.vocab_size - 1
    model.resize_token_embeddings(num_rows)
    model.save_pretrained(folder)
    inputs = {"model": Files(folder), "data": Files(place / "chats.jsonl")}
    with pytest.raises(
        InputError,
        match=rf"chats.jsonl:1: token {num_rows} \(<\|im_end\|>\) has no row in the"
        rf" model's embedding, which has {num_rows}",
    ):
        execute_into(Call(sft, "out", SftConfig(), inputs), place / "short-out")
    # Text without that token is learned.
    policy = open_policy(folder, ExamplesConfig(template="plain"), Ledger())
    assert policy.tokenizer.encode(["a tree"])


def test_commands_that_answer_and_score_name_a_token_without_a_row(place, capsys):
    """The tokenizer's last token, <|im_end|>, has no row: plain text is scored, a chat is not."""
    folder = place / "short"
    if not folder.is_dir():
        write_model(folder, template=CHATML)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(Tokenizer.load(folder).vocab_size - 1)
        model.save_pretrained(folder)
    prompts = write_lines(
        place / "prompts.jsonl", [{"id": "1", "language": "en", "prompt": "what do you see"}]
    )
    generate = ["generate", str(folder), "--prompts", str(prompts), "--out", str(place / "g"),
                "--max-new-tokens", "2"]  # fmt: skip
    for more in ([], ["--dry-run"]):
        assert main([*generate, *more]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert "prompts.jsonl:1: token 321 (<|im_end|>) has no row" in line
    assert main([*generate, "--template", "none"]) == 0
