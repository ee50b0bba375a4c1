"""Tiny checkpoints and a server for ``same_figures.py make``, without polylect.

Checkpoints are written with numpy, safetensors and tokenizers alone, from fixed seeds; the server
answers by the digest of the question.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers as hf
from safetensors.numpy import save_file

SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<EOS>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
REPLIES = ("the red house is large", "a small tree stands here", "das Haus ist klein")


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def write_checkpoints(folder: Path, texts: Sequence[str]) -> None:
    """Three Llamas of one family, a fourth with fewer tokens, and a LoRA adapter of the first."""
    tokenizer = trained(texts, 500)
    base = weights(tokenizer.get_vocab_size(), seed=0)
    write_llama(folder / "llama-a", base, tokenizer)
    for seed, name in enumerate(("llama-b", "llama-c"), start=1):
        write_llama(folder / name, _moved(base, seed), tokenizer)
    fewer = trained(texts, 460)
    moved = _moved(base, seed=3)
    narrow = ("model.embed_tokens.weight", "lm_head.weight")
    cut = {name: moved[name][: fewer.get_vocab_size()] for name in narrow}
    write_llama(folder / "llama-fewer", moved | cut, fewer)
    write_adapter(folder / "adapter", base)


def trained(texts: Sequence[str], vocab_size: int) -> hf.Tokenizer:
    """A byte-level BPE tokenizer of some texts."""
    backend = hf.Tokenizer(hf.models.BPE())
    backend.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = hf.decoders.ByteLevel()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<PAD>", "<BOS>", "<EOS>"],
        initial_alphabet=sorted(hf.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer=trainer)
    return backend


def weights(vocab_size: int, seed: int) -> dict[str, np.ndarray]:
    """Random tensors of a Llama whose predictions differ visibly from token to token."""
    draw = np.random.default_rng(seed)
    hidden, inner = SHAPE["hidden_size"], SHAPE["intermediate_size"]
    narrow = hidden // SHAPE["num_attention_heads"] * SHAPE["num_key_value_heads"]
    shapes = {"model.embed_tokens.weight": (vocab_size, hidden)}
    for layer in range(SHAPE["num_hidden_layers"]):
        layers = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (narrow, hidden),
                  "self_attn.v_proj": (narrow, hidden), "self_attn.o_proj": (hidden, hidden),
                  "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
                  "mlp.down_proj": (hidden, inner)}  # fmt: skip
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in layers.items()}
    shapes["lm_head.weight"] = (vocab_size, hidden)
    made = {name: 0.12 * draw.standard_normal(shape) for name, shape in shapes.items()}
    norms = [f"model.layers.{layer}.{name}_layernorm.weight"
             for layer in range(SHAPE["num_hidden_layers"])
             for name in ("input", "post_attention")]  # fmt: skip
    made |= {name: 1 + 0.1 * draw.standard_normal(hidden) for name in [*norms, "model.norm.weight"]}
    return {name: tensor.astype(np.float32) for name, tensor in made.items()}


def _moved(base: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        name: tensor + (0.02 * draw.standard_normal(tensor.shape)).astype(np.float32)
        for name, tensor in base.items()
    }


def write_llama(folder: Path, tensors: Mapping[str, np.ndarray], tokenizer: hf.Tokenizer) -> None:
    """A checkpoint in Hugging Face layout."""
    folder.mkdir()
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    config = SHAPE | {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
        "attention_bias": False, "mlp_bias": False, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, "torch_dtype": "float32",
    }  # fmt: skip
    write_json(folder / "config.json", config)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<PAD>", "bos_token": "<BOS>", "eos_token": "<EOS>"}
    style = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}
    write_json(folder / "tokenizer_config.json", style | special)


def write_adapter(folder: Path, base: Mapping[str, np.ndarray]) -> None:
    """A LoRA adapter of rank 2 for the first projection of queries."""
    folder.mkdir()
    draw = np.random.default_rng(9)
    name = "model.layers.0.self_attn.q_proj"
    rows, columns = base[f"{name}.weight"].shape
    shapes = {"A": (2, columns), "B": (rows, 2)}
    tensors = {
        f"base_model.model.{name}.lora_{key}.weight": draw.standard_normal(shape).astype(np.float32)
        for key, shape in shapes.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    write_json(folder / "adapter_config.json", config)


def reply_to(text: str, seed: int) -> str:
    """An answer that depends on the question alone; to a judge's question a verdict it can read."""
    drawn = hashlib.sha256(f"{text}{seed}".encode()).digest()
    if "[[A>>B]]" in text:
        label = ("A>>B", "A>B", "A=B", "B>A", "none")[drawn[0] % 5]
        return f"I looked at both. [[{label}]]"
    if "Answer (A)" in text:
        side = ("Answer (A)", "Answer (B)", "TIE")[drawn[0] % 3]
        return f"Comparison: both are short.\nPreferred: {side}"
    if "ating" in text:
        return f"It is readable. Rating: [[{drawn[0] % 6}]]"
    return f"{REPLIES[drawn[0] % 3]} {drawn[1] % 10}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._send({"data": [{"id": "planted"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages = body.get("messages") or [{"content": body.get("prompt", "")}]
        text = "\n".join(message["content"] for message in messages)
        answer = reply_to(text, body.get("seed", 0))
        self._send(_completion(body, answer, len(text.split())))


def _completion(body: Mapping[str, Any], answer: str, asked: int) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    values = [{"token": word, "logprob": -0.25} for word in answer.split()]
    if "messages" in body:
        choice["message"] = {"role": "assistant", "content": answer}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": values}
    else:
        choice["text"] = answer
        if body.get("logprobs"):
            choice["logprobs"] = {"token_logprobs": [-0.5] * len(values)}
    usage = {"prompt_tokens": asked, "completion_tokens": len(values)}
    return {"choices": [choice], "usage": usage}


@contextmanager
def serving() -> Iterator[str]:
    """The address of an OpenAI-style server on loopback, while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
