"""A small model with a tokenizer, and files of conversations and preferences that are easy."""

import json

import numpy as np
import tokenizers
import torch
import transformers

from polylect.models import blocks_of, family_classes
from polylect.text import train_bpe

GOOD = ("the red house is large", "a small tree stands here", "we walk to the sea")
BAD = ("no no no no", "xx yy zz", "bad bad answer")
ASK = ("what do you see", "tell me more", "and where do you go")
TAGS = ("en", "de", "tr")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


def write_model(
    folder, *, hidden=48, layers=2, seed=0, template="", kind="llama", specials=None, pad="<PAD>"
):
    """A random model and a tokenizer that was trained on the text of the cases.

    GPT-2 and OPT have a dropout of 0.1, Llama has none.
    """
    text = [f"{a} {b} {c}" for a, b, c in zip(GOOD, BAD, ASK, strict=True)]
    tokenizer = train_bpe({"en": text}, vocab_size=320)
    if specials is None:
        specials = CHATML_TOKENS if template else ()
    if specials:
        added = [tokenizers.AddedToken(special, special=True) for special in specials]
        tokenizer._backend.add_special_tokens(added)
    if template:
        tokenizer.config["chat_template"] = template
    tokenizer.config["pad_token"] = pad
    torch.manual_seed(seed)
    common = {
        "vocab_size": tokenizer.vocab_size, "tie_word_embeddings": True,
        "bos_token_id": tokenizer.bos_id, "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
    }  # fmt: skip
    if kind == "nexus":
        model = family_classes("llama")[2](family_classes("llama")[0](
            hidden_size=hidden, intermediate_size=hidden, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
            num_experts=5, domain_size=6, expert_names=[*"abcde"], **common,
        ))  # fmt: skip
        for block in blocks_of(model):
            block.router.domains.normal_()
            block.router.proj_out.weight.data.mul_(50)  # gates that are far from even
    elif kind == "gpt2":
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
            n_embd=hidden, n_layer=layers, n_head=4, n_positions=128, **common,
        ))  # fmt: skip
    elif kind == "opt":
        model = transformers.OPTForCausalLM(transformers.OPTConfig(
            hidden_size=hidden, ffn_dim=2 * hidden, num_hidden_layers=layers, dropout=0.1,
            attention_dropout=0.1, num_attention_heads=4, max_position_embeddings=128,
            word_embed_proj_dim=hidden, **common,
        ))  # fmt: skip
    else:
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
            hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, **common,
        ))  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def pair_rows(num, seed=0):
    random = np.random.default_rng(seed)
    return [
        {
            "prompt": f"{random.choice(ASK)} {random.integers(10)}", "chosen": random.choice(GOOD),
            "rejected": random.choice(BAD), "language": TAGS[i % 3],
        }
        for i in range(num)
    ]  # fmt: skip


def chat_rows(num, seed=0):
    return [
        {
            "messages": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["chosen"]},
                {"role": "user", "content": "and then"},
                {"role": "assistant", "content": row["rejected"]},
            ],
            "language": row["language"],
        }
        for row in pair_rows(num, seed)
    ]
