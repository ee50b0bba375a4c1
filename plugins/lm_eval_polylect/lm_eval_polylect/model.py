"""polylect's engine as a model of lm-evaluation-harness."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import CUT, Engine, EngineConfig, Likelihood, Scores, TokenRequest
from polylect.rows import Message
from polylect.runs import Silent
from polylect.text import ChatTemplate

_log = logging.getLogger(__name__)


@register_model("polylect")
class PolylectLM(LM):
    """A local checkpoint, scored with shared prefixes; it does not generate."""

    def __init__(
        self,
        pretrained: str,
        dtype: str = "float32",
        device: str | None = None,
        threads: int = 1,
        memory_mib: int = 256,
        max_length: int | None = None,
        add_bos_token: bool | None = None,
        cache: str | None = None,
        border: str = "lm-eval",
        batch_size: Any = None,
        max_batch_size: Any = None,
    ) -> None:
        """Load a checkpoint.

        Args:
            pretrained: its folder.
            dtype: of weights and activations.
            device: ``cpu``, ``cuda``, or ``auto``.
            threads: torch's threads.
            memory_mib: bound on what scoring holds besides the weights.
            max_length: longest input; None is the model's own limit.
            add_bos_token: begin every text with BOS; None follows the tokenizer.
            cache: folder of the response cache; None keeps nothing.
            border: rule for a token that spans context and continuation: the harness's own, or
                ``context``.
            batch_size: of no influence: passes are planned from the memory bound.
            max_batch_size: as ``batch_size``.

        Raises:
            InputError: the checkpoint cannot be loaded.
        """
        super().__init__()
        self._checkpoint = Checkpoint.open(Path(pretrained))
        config = EngineConfig(
            dtype=dtype, device=(device or "auto").split(":")[0], threads=threads,
            memory_mib=memory_mib, max_tokens=max_length, over_long="cut", add_bos=add_bos_token,
            border=border,
        )  # fmt: skip
        ledger = Ledger()
        self._engine = Engine.open(self._checkpoint, config, Path(cache) if cache else None, ledger)
        self._tell(ledger)
        self._chat: ChatTemplate | None = None

    @property
    def tokenizer_name(self) -> str:
        """What the harness's cache of requests calls the tokenizer."""
        return self._checkpoint.tokenizer_digest or "none"

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The checkpoint's own template, for the harness's log; a named one is not supported."""
        if isinstance(chat_template, str):
            raise InputError(f"chat template {chat_template!r}", "--apply_chat_template alone")
        return "" if chat_template is False else "the checkpoint's"

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A chat as text; what follows is scored as the assistant's answer."""
        if self._chat is None:
            self._chat = ChatTemplate.load(self._checkpoint.path)
        if not add_generation_prompt:
            raise InputError("a prefilled answer is not supported", "a task without gen_prefix")
        return self._chat.render([Message(**turn) for turn in chat_history])

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Log-likelihood in nats of every continuation, and whether it is greedy decoding's."""
        ledger = Ledger()
        asked = [Likelihood(*one.args, chat=self._chat is not None) for one in requests]
        scores = self._engine.score(asked, Silent(), ledger)
        self._tell(ledger)
        found = list(zip(scores.log_likelihood.tolist(), scores.greedy.tolist(), strict=True))
        for one, answer in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", one.args, answer)
        return found

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-likelihood in nats of every whole text, in windows as the harness cuts them."""
        texts = [one.args[0] for one in requests]
        tokenizer, most = self._engine.tokenizer, self._engine.max_tokens
        windows: list[TokenRequest] = []
        owner: list[int] = []
        for number, ids in enumerate(tokenizer.encode(texts)):
            for window in windows_of(ids, tokenizer.bos_id, most):
                windows.append(window)
                owner.append(number)
        scores: Scores = self._engine.answer(self._engine.prepare_tokens(windows), Silent())
        total = np.bincount(owner, scores.log_likelihood, len(texts))
        for one, value in zip(requests, total.tolist(), strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", one.args, value)
        return total.tolist()

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Nothing: polylect generates by a command of its own.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{len(requests)} requests ask to generate; this plugin scores likelihoods",
            "--model hf for this task, or a task of likelihoods",
        )

    def get_model_info(self) -> dict[str, Any]:
        """What the harness's log says of the model: the digest of its weights, the settings."""
        return {
            "model_digest": self._checkpoint.digest,
            "polylect_engine": json.dumps(self._engine.settings, sort_keys=True),
        }

    def _tell(self, ledger: Ledger) -> None:
        for event, num in ledger.by_event().items():
            if event == CUT:
                _log.warning("%d contexts were cut from the left to fit the model", num)
            else:
                _log.warning("%s: %d", event, num)


def windows_of(ids: Sequence[int], prefix_id: int, most: int) -> list[TokenRequest]:
    """A text in windows of at most ``most`` tokens, each token predicted once.

    The first window begins with the prefix token; the last one sees as much as the model takes.
    """
    found = []
    text = np.asarray(ids, np.int32)
    for start in range(0, len(text), most):
        end = min(start + most, len(text))
        before = text[max(0, end - most - 1) : start]
        context = before if start else np.array([prefix_id], np.int32)
        found.append(TokenRequest(context, text[start:end]))
    return found
