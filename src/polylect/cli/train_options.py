"""The options of ``polylect train``, and which kinds and objectives use them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from polylect.cli.fields import Switch

PAIRS = ("dpo", "robust-dpo", "ipo", "ipo-mean", "simpo", "slic", "kto", "srpo", "copg")
ONLINE = ("rloo", "copg", "dpo", "ipo", "srpo", "best-of-n")
_Objective = Literal[
    "dpo", "robust-dpo", "ipo", "ipo-mean", "simpo", "slic", "kto", "srpo", "copg", "rloo",
    "best-of-n",
]  # fmt: skip

KINDS = {
    "objective": ("preference", "online"),
    "beta": ("preference", "online"),
    "label_smoothing": ("preference",),
    "alpha": ("preference", "online"),
    "margin": ("preference",),
    "sft_weight": ("preference", "online"),
    "self_refine_prompt": ("preference", "online"),
    "held_out": ("preference", "reward"),
    "reward_centering": ("reward",),
    "reward": ("online",),
    "num_samples": ("online",),
    "sampling_temperature": ("online",),
    "max_new_tokens": ("online",),
    "prompts_per_round": ("online",),
    "reference": ("online",),
    "gate": ("online",),
    "memory_mib": ("online",),
    "probes": ("sft", "preference"),
    "probe_prompts": ("sft", "preference"),
    "probe_tokens": ("sft", "preference"),
}
"""Which kinds of training use an option that not all use."""

OBJECTIVES = {
    "label_smoothing": ("dpo", "robust-dpo", "srpo"),
    "alpha": ("srpo",),
    "self_refine_prompt": ("srpo",),
    "margin": ("simpo",),
    "sft_weight": PAIRS,
}
"""Which objectives use an option that not all use."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a checkpoint: on conversations (sft), on preferences (preference), into a reward model
    (reward), or on its own answers (online).

    Conversations are JSON lines with messages (role, content) and language; preferences have
    prompt, chosen, rejected, language, and may have chosen_score and rejected_score; prompts have
    prompt (or messages) and language. TRL's forms are read too. Killed anywhere, the same command
    goes on where it was, to the same bytes.
    """

    kind: tyro.conf.Positional[Literal["sft", "preference", "reward", "online"]]
    """What is learned from."""
    model: Path
    """The checkpoint to begin with: a folder in Hugging Face layout."""
    data: Path
    """JSON lines or Parquet."""
    out: Path
    """Folder for the trained checkpoint, metrics.jsonl and the page."""
    objective: _Objective | None = None
    """Of preference (dpo) and online (copg)."""
    reward: str | None = None
    """Of online: a folder of polylect train reward, FILE.py:function, or language."""
    held_out: Path | None = None
    """Preferences that are not learned from: what the trained model makes of them is written."""
    learning_rate: float | None = None
    """The peak. Default: 2e-5 (sft), 1e-6 (preference, online) or 1e-5 (reward) at 8 billion
    parameters, more for smaller."""
    epochs: float = 1.0
    """How often as many examples as there are; may be a fraction."""
    batch_size: int = 8
    """Conversations, pairs or prompts of one update."""
    micro_batch_tokens: int = 4096
    """Most tokens of one pass: bounds the memory, does not change what is learned."""
    context_tokens: int | None = None
    """Longest sequence. Default: the model's own limit."""
    over_long: Literal["refuse", "drop"] = "refuse"
    """A longer row: refuse it, or leave it out and count it."""
    template: str = "own"
    """How turns are written: own (the checkpoint's), plain, aya, or a file in Jinja."""
    language: str = ""
    """Tag of rows that name no language."""
    temperature: float = 1.0
    """Of the languages' parts of an epoch: 1 follows their sizes, more evens them out."""
    shares: str = ""
    """Parts by language, source or both instead, as de=2,hi/wiki=1,*/code=1."""
    mixture: Path | None = None
    """Stages instead: a JSON list of part, temperature and shares, one after the other."""
    schedule: Literal["cosine", "cooldown", "constant", "linear"] = "linear"
    """How the rate falls after the warm-up."""
    warmup: float = 0.1
    """Share of the updates over which the rate rises."""
    lora_rank: int = 0
    """Train low-rank adapters of this rank only; 0 trains every parameter."""
    lora_alpha: int = 0
    """Scale of the adapters times their rank. Default: twice the rank."""
    beta: float | None = None
    """Tie to the reference. Default: 0.1; SimPO: 2; RLOO: 0.05."""
    label_smoothing: float | None = None
    """Probability that a preference is wrong (dpo, robust-dpo, srpo). Default: 0."""
    alpha: float | None = None
    """Share of the improver's loss (srpo). Default: 0.5."""
    margin: float | None = None
    """SimPO's. Default: 1."""
    sft_weight: float | None = None
    """Of the preferred answer's own loss, added to an objective of pairs. Default: 0."""
    self_refine_prompt: str | None = None
    """What the model is asked when it is to improve an answer (srpo)."""
    reward_centering: float | None = None
    """Weight of what keeps a reward model's numbers near zero. Default: 0."""
    num_samples: int | None = None
    """Answers to every prompt (online). Default: 4."""
    sampling_temperature: float | None = None
    """Of the answers (online). Default: 1."""
    max_new_tokens: int | None = None
    """Longest answer (online). Default: 128."""
    prompts_per_round: int | None = None
    """Prompts that one state of the model answers (online). Default: all, a round per epoch."""
    reference: Literal["start", "round"] | None = None
    """What online training is tied to: the model at the start, or each round's. Default: start."""
    gate: Literal["language", "none"] | None = None
    """Put answers in another language than the prompt's last (online). Default: language."""
    memory_mib: int | None = None
    """Bound on what answers that grow side by side keep (online). Default: 2048."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; auto takes bfloat16 on an accelerator only."""
    recompute: Switch = False
    """Compute activations again in the backward pass: less memory, more time, the same numbers."""
    probes: int | None = None
    """How often the model answers prompts on the way (sft, preference). Default: once, at the
    end."""
    probe_prompts: int | None = None
    """Prompts of each language that it answers then. Default: 4."""
    probe_tokens: int | None = None
    """Longest answer then. Default: 48."""
    seed: int = 0
    """Of the order of examples, of samples and of adapters."""
    save_every: int = 50
    """Updates between saved states."""
    threads: int = 1
    """Of the processor; the bytes of the result depend on it."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Send the metrics there too."""
    force: Switch = False
    """Replace what --out holds, once the new training is complete."""
    dry_run: Switch = False
    """Say what would be trained, and write nothing."""
