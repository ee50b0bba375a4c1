"""SRPO where text is no token prefix: merged borders, rewritten answers, no room, no row."""

import json

import numpy as np
import pytest
import torch
import transformers
from align_cases import CHATML, chat_rows, pair_rows, write_lines, write_model

from polylect.base import InputError, Ledger
from polylect.recipes import find_reward
from polylect.rows import read_conversations, read_preferences, read_prompts
from polylect.runs import Call, Files, execute_into
from polylect.text import APART
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    encode_prompts,
    online,
    open_policy,
    read_groups,
)
from polylect.training.encode import ANEW, REWRITTEN, encode_conversations, encode_preferences
from polylect.training.online_gradients import (
    NO_ROOM,
    gradients,
    is_learned,
    pair_of,
    with_reference,
)
from polylect.training.packing import SELF_IMPROVING, pack_pairs, sequence_log_probabilities
from polylect.training.rewards import ModelReward, rewardable
from polylect.training.samples import Group

# Qwen3's way: the last turn has a block for a thought, earlier ones have none.
THINKING = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and"
    " loop.index0 > ns.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}"
)
IMPROVE = "Improve it."


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("improvement")
    write_model(folder / "chatty", template=CHATML)
    write_model(folder / "thinking", template=THINKING)
    write_model(folder / "gpt2", template=CHATML, kind="gpt2")
    write_lines(folder / "pairs.jsonl", pair_rows(6))
    write_lines(folder / "chats.jsonl", chat_rows(6))
    return folder


def pairs_of(place, model, rows, refine=IMPROVE):
    policy, ledger = open_policy(place / model, ExamplesConfig(), Ledger()), Ledger()
    file = write_lines(place / "rows.jsonl", rows)
    pairs = encode_preferences(read_preferences(file), policy.style, 128, "refuse", ledger, refine)
    return policy, pairs, ledger


@torch.no_grad()
def alone(model, ids, num):
    logits = model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0, :-1].double()
    targets = torch.from_numpy(ids[1:].astype(np.int64))
    return float(logits.log_softmax(dim=1)[torch.arange(len(ids) - 1), targets][-num:].sum())


@pytest.mark.parametrize("model", ["chatty", "thinking"])
@pytest.mark.parametrize("begin", ["", "\n", "\n\n", " "])
def test_srpo_learns_wherever_dpo_does_and_reads_what_the_template_writes(place, model, begin):
    rows = [row | {"chosen": begin + row["chosen"]} for row in pair_rows(2)]
    policy, pairs, ledger = pairs_of(place, model, rows)
    assert ledger.total(ANEW) == (4 if model == "thinking" else 0)
    assert not ledger.total("dropped")
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / model).eval()
    decode = policy.tokenizer.decode
    with torch.no_grad():
        batch = pack_pairs(pairs, SELF_IMPROVING)
        values = sequence_log_probabilities(policy.load().eval(), batch, 12).view(2, 6)
    assert batch.num_tokens == sum(pair.num_tokens for pair in pairs)
    for row, pair, packed in zip(rows, pairs, values.tolist(), strict=True):
        answers = (pair.chosen, pair.rejected)
        expected = [alone(plain, np.concatenate([pair.prompt, ids]), len(ids)) for ids in answers]
        for context, before, text in zip(
            pair.refine, answers, (row["chosen"], row["rejected"]), strict=True
        ):
            shared = {"answer": [pair.prompt, before], "prompt": [pair.prompt], "nothing": []}
            whole = np.concatenate([*shared[context.shared], context.ids])
            assert decode(whole) == (
                f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n{text}"
                f"<|im_end|>\n<|im_start|>user\n{IMPROVE}<|im_end|>\n<|im_start|>assistant\n"
            )
            expected += [alone(plain, np.concatenate([whole, ids]), len(ids)) for ids in answers]
        assert packed == pytest.approx(expected, abs=1e-4, rel=1e-5)


def test_a_merged_border_is_encoded_apart_and_counted(place):
    rows = [row | {"chosen": "\n" + row["chosen"]} for row in pair_rows(3)]
    tokenizer = json.loads((place / "chatty/tokenizer.json").read_text())
    # SmolLM2's vocabulary has a token of two line ends.
    tokenizer["model"]["merges"].insert(0, ["Ċ", "Ċ"])
    tokenizer["model"]["vocab"]["ĊĊ"] = tokenizer["model"]["vocab"].pop("ÿ")
    write_model(place / "merging", template=CHATML)
    (place / "merging/tokenizer.json").write_text(json.dumps(tokenizer))
    for refine in (None, IMPROVE):
        policy, pairs, ledger = pairs_of(place, "merging", rows, refine)
        assert ledger.total(APART) == 3
        assert [policy.tokenizer.decode(pair.chosen) for pair in pairs] == [
            f"{row['chosen']}<|im_end|>" for row in rows
        ]


def test_multi_turn_conversations_of_a_thinking_template_learn_their_last_turn(place):
    policy, ledger = open_policy(place / "thinking", ExamplesConfig(), Ledger()), Ledger()
    rows = read_conversations(place / "chats.jsonl")
    for turns in ("all", "last"):
        ledger = Ledger()
        encoded = encode_conversations(rows, policy.style, 128, "refuse", ledger, turns)
        assert ledger.total(REWRITTEN) == (6 if turns == "all" else 0)
        assert [policy.tokenizer.decode(row.ids[row.trained]) for row in encoded] == [
            f"<think>\n\n</think>\n\n{row.messages[-1].content}<|im_end|>" for row in rows
        ]
    prompt = [{"role": turn.role, "content": turn.content} for turn in rows[0].messages[:3]]
    pair = {"prompt": prompt, "chosen": "a tree", "rejected": "no", "language": "en"}
    for refine in (None, IMPROVE):
        _, (tokens,), _ = pairs_of(place, "thinking", [pair], refine)
        assert policy.tokenizer.decode(tokens.chosen) == "<think>\n\n</think>\n\na tree<|im_end|>"


def sampled(policy, prompts, texts, stopped):
    groups = []
    for number, (row, _) in enumerate(prompts):
        ids = [policy.style.answer(row.messages, text).answer.tolist() for text in texts]
        ids = [x if how == "end" else x[:-1] for x, how in zip(ids, stopped, strict=True)]
        groups.append(Group(0, number, row.language, (), texts, tuple(map(tuple, ids)), stopped,
                            (1.0, 0.0), (True, True), (-1.0, -2.0)))  # fmt: skip
    return groups


@pytest.mark.parametrize("model", ["chatty", "thinking"])
def test_a_truncated_answer_is_ended_before_it_is_to_be_improved(place, model):
    policy = open_policy(place / model, ExamplesConfig(), Ledger())
    config = OnlineConfig(objective="srpo", max_new_tokens=8, self_refine_prompt=IMPROVE)
    prompts = encode_prompts(
        read_prompts(place / "pairs.jsonl"), policy.style, 128, 8, "refuse", Ledger(), IMPROVE
    )
    for stopped in (("end", "end"), ("end", "length"), ("length", "end")):
        (group, *_) = sampled(policy, prompts, ("a tree", "\nno"), stopped)
        pair = pair_of(group, prompts, policy, config)
        for context, answer, text in zip(
            pair.refine, (pair.chosen, pair.rejected), group.answers, strict=True
        ):
            shared = {"answer": [pair.prompt, answer], "prompt": [pair.prompt], "nothing": []}
            whole = policy.tokenizer.decode(np.concatenate([*shared[context.shared], context.ids]))
            assert whole.endswith(
                f"assistant\n{text}<|im_end|>\n<|im_start|>user\n{IMPROVE}<|im_end|>\n"
                "<|im_start|>assistant\n"
            )


def test_gpt2s_positions_bound_the_context(place):
    policy = open_policy(place / "gpt2", ExamplesConfig(), Ledger())
    assert policy.context_tokens == 128
    with pytest.raises(InputError, match="--context-tokens is 129, the model takes 128"):
        open_policy(place / "gpt2", ExamplesConfig(context_tokens=129), Ledger())


def test_online_srpo_leaves_room_for_the_improved_answer(place):
    policy = open_policy(place / "gpt2", ExamplesConfig(), Ledger())
    rows = read_prompts(place / "pairs.jsonl")
    ledger = Ledger()
    with pytest.raises(InputError, match=r"all 6 rows with an answer.* are longer than 128 tokens"):
        encode_prompts(rows, policy.style, 128, 40, "drop", ledger, IMPROVE * 5)
    assert ledger.total("dropped") == 6
    prompts = encode_prompts(rows, policy.style, 128, 8, "refuse", Ledger(), IMPROVE)
    config = OnlineConfig(objective="srpo", max_new_tokens=8, self_refine_prompt=IMPROVE)
    texts, stopped = ("a tree", "no"), ("end", "end")
    groups = sampled(policy, prompts, texts, stopped)
    model = policy.load()
    learned = with_reference(model, groups, prompts, policy, config, Ledger())
    assert all(is_learned(group, config) for group in learned)
    assert np.isfinite(gradients(model, learned, prompts, policy, config)["loss"])
    # An answer that comes out longer as text than as it was sampled is not learned from.
    ledger = Ledger()
    groups = sampled(policy, prompts, ("Q" * 60, "no"), stopped)
    short = with_reference(model, groups, prompts, policy, config, ledger)
    assert ledger.total(NO_ROOM) == len(groups)
    assert not any(is_learned(group, config) for group in short)
    assert gradients(model, short, prompts, policy, config)["loss"] == 0


def test_a_row_that_the_template_refuses_leaves_the_others(place):
    strict = CHATML.replace("{% for", NO_SYSTEM + "{% for", 1)
    write_model(place / "strict", template=strict)
    policy = open_policy(place / "strict", ExamplesConfig(), Ledger())
    system = {"role": "system", "content": "be kind"}
    chats = chat_rows(6)
    for number in (1, 4):
        chats[number]["messages"].insert(0, system)
    ledger = Ledger()
    rows = read_conversations(write_lines(place / "some.jsonl", chats))
    assert len(encode_conversations(rows, policy.style, 128, "refuse", ledger)) == 4
    assert ledger.lines() == [
        "2 dropped: the chat template cannot be used (System role not supported)"
        " (de; some.jsonl:2, 5)"
    ]
    with pytest.raises(InputError, match=r"some.jsonl:2: .*\(and 1 more rows cannot be used\)"):
        encode_conversations([rows[1], rows[4]], policy.style, 128, "refuse", Ledger())


def test_a_prompt_that_the_rewards_template_refuses_leaves_the_others(place):
    strict = CHATML.replace("{% for", NO_SYSTEM + "{% for", 1)
    write_model(place / "reward", template=strict)
    judge = open_policy(place / "reward", ExamplesConfig(), Ledger())
    reward = ModelReward(judge.load(), judge.style, 100)
    policy = open_policy(place / "chatty", ExamplesConfig(), Ledger())
    rows = [{"prompt": "what do you see", "language": "de"}] * 3
    rows[1] = rows[1] | {"system": "be kind"}
    prompts = encode_prompts(
        read_prompts(write_lines(place / "asked.jsonl", rows)), policy.style, 128, 8, "refuse",
        Ledger(),
    )  # fmt: skip
    ledger = Ledger()
    assert [row.place[-1] for row, _ in rewardable(reward, prompts, ledger)] == ["1", "3"]
    assert ledger.lines() == [
        "1 dropped: the chat template cannot be used (System role not supported)"
        " (de; asked.jsonl:2)"
    ]
    with pytest.raises(InputError, match=r"asked\.jsonl:2: .*System role not supported"):
        rewardable(reward, prompts[1:2], Ledger())


@pytest.mark.parametrize("model", ["gpt2", "thinking", "merging"])
def test_online_srpo_goes_through_with_every_template(place, model):
    if model == "merging":
        test_a_merged_border_is_encoded_apart_and_counted(place)
    (place / "letters.py").write_text(
        "def letters(messages, answer, language):\n    return float(len(answer.encode()))\n"
    )
    rows = [{"prompt": row["prompt"], "language": "en"} for row in pair_rows(3)]
    inputs = {
        "model": Files(place / model), "data": Files(write_lines(place / "p.jsonl", rows)),
        "reward": find_reward(str(place / "letters.py") + ":letters"),
    }  # fmt: skip
    config = OnlineConfig(
        objective="srpo", num_samples=2, max_new_tokens=9, gate=False, self_refine_prompt=IMPROVE,
        examples=ExamplesConfig(batch_size=2),
    )  # fmt: skip
    artifact = execute_into(Call(online, "out", config, inputs), place / f"online-{model}")
    groups = read_groups(artifact.path / "samples.parquet")
    assert [len(group.improved) for group in groups] == [4] * 3
