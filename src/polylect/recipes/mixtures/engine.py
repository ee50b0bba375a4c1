"""Trains plans: a tree of stages, each trained once, and every run scored.

A stage is a step whose key is its own mixture, those before it, and its parent's weights: what two
runs or two plans share is trained once, and a run that was killed goes on. A continued stage begins
with its parent's weights and goes on in the text; its rates, and the moments of its optimizer,
begin anew (docs/decisions/0014-mixtures.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from polylect.base import derive_seed
from polylect.engine import EngineConfig
from polylect.evals import BitsConfig, EvalConfig, score_tasks
from polylect.mixtures import LAST_RATE, PlannedRun, Training, planned_runs, trainings_of
from polylect.models import BuildConfig, build
from polylect.recipes.mixtures.options import MixtureConfig
from polylect.recipes.mixtures.steps import StreamBitsConfig, score_streams
from polylect.recipes.mixtures.texts import TOKENS_PER_STEP, Prepared
from polylect.rows import Split
from polylect.runs import Artifact, Call, Run
from polylect.training import OptimConfig, PretrainConfig, pretrain

WARMUP = 0.05
"""Share of the steps of every stage that warm up; cooldowns, and linear decays, end at zero."""

_MOST_NAMED = 5  # streams in the name of a folder


@dataclass(frozen=True)
class Sweep:
    """All runs of some plans, as trainings.

    Attributes:
        ready: text and plans.
        runs: every run, by content: a run that two plans have is there under both names.
        num_parameters: of the models by scale.
    """

    ready: Prepared
    runs: tuple[PlannedRun, ...]
    num_parameters: Mapping[float, int]

    @cached_property
    def trainings(self) -> tuple[Training, ...]:
        """Every stage once, parents before children."""
        return tuple(trainings_of(self.runs))

    @cached_property
    def labels(self) -> dict[str, str]:
        """The step of each training, by its key."""
        return {training.key: label_of(training) for training in self.trainings}

    @cached_property
    def chains(self) -> dict[str, tuple[str, ...]]:
        """Labels of the steps of each run, in order, by its name."""
        chains: dict[str, list[str]] = {run.name: [] for run in self.runs}
        for training in self.trainings:
            for name in training.runs:
                chains[name].append(self.labels[training.key])
        return {name: tuple(labels) for name, labels in chains.items()}

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs, in order."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    def of_seeds(self, seeds: Sequence[int]) -> "Sweep":
        """The runs of some seeds."""
        runs = tuple(run for run in self.runs if run.seed in seeds)
        return Sweep(self.ready, runs, self.num_parameters)

    @property
    def scored(self) -> tuple[str, ...]:
        """Labels of the trainings that end a run, in order."""
        return tuple(dict.fromkeys(self.chains[run.name][-1] for run in self.runs))

    @property
    def tokens(self) -> int:
        """Tokens that all trainings read."""
        return sum(training.stage.stage.tokens for training in self.trainings)


def sweep_of(ready: Prepared) -> Sweep:
    """The runs of all plans; a run's name is its own in all of them."""
    runs = [run for plan in ready.plans for run in planned_runs(plan, ready.sizes)]
    sizes = {
        scale: max(1, round(plan.num_parameters * scale))
        for plan in ready.plans
        for scale in plan.scales
    }
    assert len({run.name for run in runs}) == len(runs), "two plans have runs of one name"
    return Sweep(ready, tuple(runs), sizes)


def label_of(training: Training) -> str:
    """What a training's step is called: its kind, its mix in per cent, its seed, its content.

    The name is the same whichever plans are trained, so that no other choice trains it again.
    """
    parts = [f"{name}{100 * part:.3g}" for name, part in training.stage.mix.items()]
    more = [f"and{len(parts) - _MOST_NAMED}"] if len(parts) > _MOST_NAMED else []
    mix = "-".join([*parts[:_MOST_NAMED], *more])
    return f"{training.stage.kind}-{mix}-seed{training.seed}-{training.key[:8]}"


def train_config(training: Training, config: MixtureConfig) -> PretrainConfig:
    """How one stage is trained."""
    stage = training.stage
    return PretrainConfig(
        mixture=training.mixture,
        first_stage=training.depth,
        optim=OptimConfig(
            learning_rate=stage.learning_rate,
            schedule=stage.schedule,
            warmup=WARMUP,
            min_lr_ratio=LAST_RATE if stage.schedule == "cosine" else 0.0,
        ),
        batch_tokens=TOKENS_PER_STEP,
        micro_batch_tokens=TOKENS_PER_STEP,
        save_every=100,
        threads=config.threads,
    )


def build_config(sweep: Sweep, scale: float, seed: int) -> BuildConfig:
    """The model that a run of a scale and seed begins with."""
    return BuildConfig(num_parameters=sweep.num_parameters[scale], seed=derive_seed(seed, "init"))


def train(run: Run, sweep: Sweep, config: MixtureConfig) -> dict[str, Artifact]:
    """Every checkpoint by its label; trainings that do not depend on one another side by side."""
    tokens = {"tokens": sweep.ready.tokens}
    starts = list(dict.fromkeys((run.scale, run.seed) for run in sweep.runs))
    built = run.steps(
        [
            Call(build, _init_label(scale, seed), build_config(sweep, scale, seed), tokens)
            for scale, seed in starts
        ]
    )
    first = dict(zip(starts, built, strict=True))
    made: dict[str, Artifact] = {}
    for level in levels(sweep):
        calls = [
            Call(
                pretrain,
                sweep.labels[training.key],
                train_config(training, config),
                tokens
                | {"model": made[sweep.labels[training.parent]] if training.parent
                   else first[training.scale, training.seed]},
            )
            for training in level
        ]  # fmt: skip
        made |= dict(zip((call.label for call in calls), run.steps(calls), strict=True))
    return made


def levels(sweep: Sweep) -> Iterator[list[Training]]:
    """Trainings of equal depth, the longest first, so that workers finish together."""
    for depth in range(max(training.depth for training in sweep.trainings) + 1):
        level = [training for training in sweep.trainings if training.depth == depth]
        yield sorted(level, key=lambda training: -training.stage.stage.tokens * training.scale)


def score(
    run: Run, sweep: Sweep, made: Mapping[str, Artifact], config: MixtureConfig
) -> dict[str, Artifact]:
    """The scores of every run's last checkpoint: ``bits LABEL``, and ``tasks LABEL``."""
    labels = sweep.scored
    bits = run.steps(
        [
            Call(
                score_streams,
                f"bits-{label}",
                bits_config(label, config),
                {"model": made[label], "tokens": sweep.ready.tokens},
            )
            for label in labels
        ]
    )
    scores = {f"bits {label}": table for label, table in zip(labels, bits, strict=True)}
    if not config.tasks:
        return scores
    done = run.steps(
        [
            Call(score_tasks, f"tasks-{label}", task_config(label, sweep, config),
                 {"model": made[label]})
            for label in labels
        ]
    )  # fmt: skip
    return scores | {f"tasks {label}": table for label, table in zip(labels, done, strict=True)}


def bits_config(label: str, config: MixtureConfig) -> StreamBitsConfig:
    """How held-out text is scored."""
    return StreamBitsConfig(
        bits=BitsConfig(
            name=label,
            split=Split.TEST,
            bytes_per_language=config.bytes_per_language,
            threads=config.threads,
        )
    )


def task_config(label: str, sweep: Sweep, config: MixtureConfig) -> EvalConfig:
    """How tasks are evaluated: in the languages of the text that they have; long items are cut."""
    languages = sorted({tag for tag, _ in sweep.ready.sizes})
    return EvalConfig(
        name=label,
        tasks=config.tasks,
        languages=tuple(languages),
        limit=config.task_limit,
        data=config.datasets,
        engine=EngineConfig(threads=config.threads, over_long="cut"),  # the models are small
    )


def steps_ahead(sweep: Sweep, config: MixtureConfig) -> list[dict[str, float]]:
    """The steps after the text is read, with what each costs in tokens that a model reads."""
    starts = dict.fromkeys((run.scale, run.seed) for run in sweep.runs)
    scored = len(sweep.ready.sizes) * config.bytes_per_language / 4  # bytes of a token, about
    batches = [
        {_init_label(scale, seed): 1000.0 for scale, seed in starts},
        *(
            {
                sweep.labels[training.key]: 3.0 * training.stage.stage.tokens * training.scale
                for training in level
            }
            for level in levels(sweep)
        ),
        {f"bits-{label}": scored for label in sweep.scored},
    ]
    if config.tasks:
        batches.append({f"tasks-{label}": scored for label in sweep.scored})
    return batches


def _init_label(scale: float, seed: int) -> str:
    return f"init-x{scale:g}-seed{seed}"
