"""Configuration of training; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from polylect.mixtures import Mixture


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and its schedule.

    Attributes:
        learning_rate: the peak.
        warmup: share of the steps over which the rate rises from 0, linearly.
        schedule: what follows: ``cosine`` or ``linear`` to ``floor``; ``cooldown`` stays at the
            peak, then falls linearly over the last ``cooldown`` share of the steps (warm-up,
            stable, decay); ``constant`` stays.
        floor: the last rate, as a share of the peak.
        cooldown: share of the steps that the cooldown takes.
        weight_decay: decoupled; on matrices only, never on norms or the embedding.
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        clip: largest norm of the gradient; 0 does not clip.
        lora_rank: rank of low-rank adapters beside every linear layer, which alone are trained
            then; 0 trains every parameter.
        lora_alpha: their scale is this over the rank; 0 is twice the rank.
    """

    learning_rate: float = 3e-3
    warmup: float = 0.05
    schedule: Literal["cosine", "cooldown", "constant", "linear"] = "cosine"
    floor: float = 0.1
    cooldown: float = 0.2
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    lora_rank: int = 0
    lora_alpha: int = 0


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """One language-model training.

    Attributes:
        mixture: what is read, in which order.
        optim: optimizer and schedule.
        batch_tokens: of one update, more or less by less than one run.
        micro_batch_tokens: tokens of one forward and backward pass, in one packed row; bounds the
            memory and does not change what is learned.
        context_tokens: longest run of tokens.
        save_every: updates between saved states.
        threads: torch's threads; part of the config since sums depend on it.
    """

    mixture: Mixture
    optim: OptimConfig = OptimConfig()
    batch_tokens: int = 4096
    micro_batch_tokens: int = 4096
    context_tokens: int = 256
    save_every: int = 25
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class ExampleStage:
    """A stretch of training on examples, mixed in one way.

    Attributes:
        part: its length, as a part of the whole training; the parts may sum to anything.
        temperature: of the parts: 1 follows the sizes of languages and their sources.
        shares: parts instead, by ``TAG``, ``TAG/SOURCE`` or ``*/SOURCE``; of several that name an
            example, ``TAG/SOURCE`` counts before ``TAG``, that before ``*/SOURCE``. What a name
            stands for is split by the temperature; what none names is left out.
    """

    part: float = 1.0
    temperature: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExamplesConfig:
    """Which examples are learned from, in which order, and how they are cut into updates.

    Attributes:
        epochs: how often as many examples as there are, over all stages; may be a fraction.
        stages: how the examples are mixed, one stage after the other.
        batch_size: conversations or pairs of one update.
        micro_batch_tokens: most tokens of one forward and backward pass; bounds the memory and does
            not change what is learned.
        context_tokens: longest sequence; None is the model's own limit.
        over_long: refuse a longer row, or drop and count it.
        template: how turns are written: ``own``, ``plain``, ``aya``, or a file in Jinja.
        default_language: of rows that name none.
        seed: of the order.
        save_every: updates between saved states.
        threads: torch's threads; part of the config since sums depend on it.
        precision: of matrix products: ``bfloat16`` by autocast over float32 weights, ``float32``,
            or ``auto``: bfloat16 on an accelerator that has it.
        recompute: compute a layer's activations again in the backward pass instead of keeping them:
            less memory, about a third more time, the same numbers.
        probes: how often the model answers prompts on the way, the last time at the end, to see in
            which language it answers and how far it went from the start; 0 never.
        probe_prompts: prompts of each language that it answers.
        probe_tokens: longest answer.
    """

    epochs: float = 1.0
    stages: tuple[ExampleStage, ...] = (ExampleStage(),)
    batch_size: int = 8
    micro_batch_tokens: int = 4096
    context_tokens: int | None = None
    over_long: Literal["refuse", "drop"] = "refuse"
    template: str = "own"
    default_language: str = ""
    seed: int = 0
    save_every: int = 50
    threads: int = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    recompute: bool = False
    probes: int = 1
    probe_prompts: int = 4
    probe_tokens: int = 48


FINETUNE_OPTIM = OptimConfig(
    learning_rate=0.0, warmup=0.1, floor=0.0, weight_decay=0.0, beta2=0.999
)


@dataclass(frozen=True, kw_only=True)
class SftConfig:
    """Fine-tuning on conversations.

    Attributes:
        examples: what is learned from.
        optim: optimizer and schedule.
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = FINETUNE_OPTIM


Objective = Literal[
    "dpo", "robust-dpo", "ipo", "ipo-mean", "simpo", "slic", "kto", "srpo", "copg",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """Training on preferences.

    Attributes:
        examples: what is learned from.
        optim: optimizer and schedule.
        objective: which; see ``polylect.training.objectives``.
        beta: strength of the tie to the reference (SimPO: scale of the mean log-probability); None
            is the objective's own default.
        label_smoothing: probability that a preference is wrong (DPO's kinds and SRPO).
        alpha: share of the improver's loss (SRPO).
        margin: SimPO's γ.
        sft_weight: of the preferred answer's loss per token, added to any objective.
        self_refine_prompt: what the network is asked when it is to improve an answer (SRPO).
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = FINETUNE_OPTIM
    objective: Objective = "dpo"
    beta: float | None = None
    label_smoothing: float = 0.0
    alpha: float = 0.5
    margin: float = 1.0
    sft_weight: float = 0.0
    self_refine_prompt: str = "Improve the answer above. Reply with the improved answer only."


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Training of a reward model on preferences (Bradley–Terry).

    Attributes:
        examples: what is learned from.
        optim: optimizer and schedule.
        reward_centering: weight of (r_w + r_l)², which keeps rewards near zero.
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = FINETUNE_OPTIM
    reward_centering: float = 0.0


OnlineObjective = Literal["rloo", "copg", "dpo", "ipo", "srpo", "best-of-n"]


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """Training on the model's own answers, in rounds: generate, score, update.

    Attributes:
        examples: prompts; ``batch_size`` of them make an update.
        optim: optimizer and schedule.
        objective: ``rloo`` and ``copg`` learn from all answers to a prompt, ``dpo``, ``ipo`` and
            ``srpo`` from the best and the worst, ``best-of-n`` from the best alone.
        beta: strength of the tie to the reference; None is the objective's default (RLOO 0.05,
            the others 0.1).
        num_samples: answers per prompt.
        sampling_temperature: of the answers.
        max_new_tokens: longest answer.
        prompts_per_round: prompts answered by one state of the model; 0 is all of an epoch, so
            that every epoch is a round.
        reference: the model at the ``start`` of the training, or at the start of the ``round``.
        gate: an answer in another language than its prompt's is worth less than any other.
        alpha: as for ``PreferenceConfig``.
        self_refine_prompt: as for ``PreferenceConfig``.
        sft_weight: as for ``PreferenceConfig``.
        memory_mib: bound on the keys and values of answers that grow side by side.
    """

    examples: ExamplesConfig = ExamplesConfig()
    optim: OptimConfig = FINETUNE_OPTIM
    objective: OnlineObjective = "copg"
    beta: float | None = None
    num_samples: int = 4
    sampling_temperature: float = 1.0
    max_new_tokens: int = 128
    prompts_per_round: int = 0
    reference: Literal["start", "round"] = "start"
    gate: bool = True
    alpha: float = 0.5
    self_refine_prompt: str = PreferenceConfig.self_refine_prompt
    sft_weight: float = 0.0
    memory_mib: int = 2048
