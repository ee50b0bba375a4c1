"""Which domains a mixture of experts has, and on which text it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polylect.base import CODE, InputError, UndecidableError, derive_seed, did_you_mean
from polylect.mixtures import Mixture, Share, Stage, TokenStore
from polylect.recipes.experts.options import EXTEND_RATIO, UPCYCLE_TOKENS, NexusConfig
from polylect.recipes.pretraining.budgets import Budget, BudgetsConfig, fit_budgets, tokens_of
from polylect.recipes.pretraining.language_clusters import anchors_in
from polylect.recipes.pretraining.lifecycle import TOKENS_PER_STEP, Prepared
from polylect.rows import Split
from polylect.runs import Artifact, Run
from polylect.training import OptimConfig, PretrainConfig

ANCHORS = "anchors"
"""The domain of the languages that every expert is trained on; it has no expert."""


@dataclass(frozen=True)
class Domains:
    """The domains of a run.

    Attributes:
        previous: languages of each domain whose expert is upcycled, by name.
        appended: name of the domain whose expert is appended later.
        languages: of the appended domain.
        anchors: languages that all experts know.
    """

    previous: Mapping[str, tuple[str, ...]]
    appended: str
    languages: tuple[str, ...]
    anchors: tuple[str, ...]

    @property
    def all(self) -> dict[str, tuple[str, ...]]:
        """Languages of every domain that has an expert sooner or later."""
        return {**self.previous, self.appended: self.languages}

    @property
    def mixed(self) -> dict[str, tuple[str, ...]]:
        """Languages of the domains that the first mixture is trained on."""
        return {**self.previous, **({ANCHORS: self.anchors} if self.anchors else {})}


def domains_of(ready: Prepared, config: NexusConfig) -> Domains:
    """The clusters of a lifecycle, one of them held back.

    Raises:
        InputError: no cluster has the name that was given; an oracle with anchors.
        UndecidableError: fewer than three clusters.
    """
    clusters = dict(ready.clusters)
    if len(clusters) < 3:
        raise UndecidableError(
            f"{len(clusters)} experts ({', '.join(clusters)}): two are needed for a router, and one"
            " more to append",
            "add text in languages of another cluster: polylect languages",
        )
    name = config.appended or (CODE.tag if CODE.tag in clusters else list(clusters)[-1])
    if name not in clusters:
        raise InputError(
            f"--appended {name}: no such expert",
            did_you_mean(name, clusters) or f"known are {', '.join(clusters)}",
        )
    anchors = anchors_in(ready.languages, config.anchors)
    if "oracle" in config.routers and anchors:
        raise InputError(
            f"--routers oracle: {' '.join(anchors)} are learned by every expert, so that they tell"
            " none from another",
            "leave them out of --languages, or leave the oracle out",
        )
    languages = clusters.pop(name)
    return Domains(clusters, name, languages, anchors)


def shares_by_domain(
    domains: Mapping[str, tuple[str, ...]],
    parts: Mapping[str, float],
    sizes: Mapping[str, int],
    config: NexusConfig,
) -> tuple[Share, ...]:
    """A fixed share for every language: its domain's, split by temperature within the domain.

    Args:
        domains: languages by domain.
        parts: the share of every domain; they sum to 1.
        sizes: tokens at hand by language.
        config: temperature and most epochs.
    """
    shares = []
    for name, tags in domains.items():
        weights = {tag: sizes[tag] ** (1 / config.language_temperature) for tag in tags}
        total = sum(weights.values())
        shares += [
            Share(
                language=tag,
                part=parts[name] * weights[tag] / total,
                max_epochs=config.max_epochs,
            )
            for tag in tags
        ]
    return tuple(shares)


def domain_parts(
    domains: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int], sampling: str
) -> dict[str, float]:
    """The share of every domain: equal, or by its tokens."""
    held = {name: sum(sizes[tag] for tag in tags) for name, tags in domains.items()}
    if sampling == "equal":
        return dict.fromkeys(domains, 1 / len(domains))
    return {name: num / sum(held.values()) for name, num in held.items()}


@dataclass(frozen=True)
class Trainings:
    """The trainings after the experts', of the first seed.

    Attributes:
        upcycle: of a mixture of experts.
        extend: after an expert was appended.
        rivals: dense models that read as much, by name.
        extend_oracle: of a mixture whose router is told the domain, as ``extend``.
        extend_rival: of the dense rival, as ``extend``.
        budgets: how many tokens, and what said so.
    """

    upcycle: PretrainConfig
    extend: PretrainConfig
    rivals: Mapping[str, PretrainConfig]
    extend_oracle: PretrainConfig
    extend_rival: PretrainConfig
    budgets: Artifact


def trainings_of(run: Run, config: NexusConfig, ready: Prepared, domains: Domains) -> Trainings:
    """Configure the trainings of the mixtures and of their dense rivals."""
    sizes: dict[str, int] = {}
    for (tag, _), num in TokenStore(ready.tokens.path, Split.TRAIN).sizes().items():
        sizes[tag] = sizes.get(tag, 0) + num
    mixed = domains.mixed
    parts = domain_parts(mixed, sizes, config.sampling)
    shares = shares_by_domain(mixed, parts, sizes, config)
    halves = {name: 0.5 / len(mixed) for name in mixed} | {domains.appended: 0.5}
    grown = shares_by_domain(mixed | {domains.appended: domains.languages}, halves, sizes, config)
    budget = Budget(
        option="upcycle-tokens",
        tokens=config.upcycle_tokens,
        default=UPCYCLE_TOKENS,
        trainings={"the mixture": shares},
    )
    budgets = run.step(
        fit_budgets,
        "upcycle-budgets",
        BudgetsConfig(budgets=(budget,), multiple=TOKENS_PER_STEP),
        {"tokens": ready.tokens},
    )
    tokens = tokens_of(budgets, "upcycle-tokens")
    extend_tokens = config.extend_tokens or max(1, tokens // EXTEND_RATIO)
    expert_tokens = next(iter(ready.experts.values())).mixture.tokens
    total = tokens + expert_tokens * len(domains.previous)
    # What the experts read and then the mixture: each of them may read its text so often.
    twice = tuple(replace(share, max_epochs=2 * share.max_epochs) for share in shares)

    def training(
        shares: tuple[Share, ...], tokens: int, rate: float, batch: int, name: str,
        freeze: tuple[str, ...] = (), router_lr_ratio: float = 1.0, experts_per_token: int = 0,
    ) -> PretrainConfig:  # fmt: skip
        return PretrainConfig(
            mixture=Mixture(
                stages=(Stage(tokens=tokens, shares=shares),),
                seed=derive_seed(config.seed, "order", name),
            ),
            optim=OptimConfig(
                learning_rate=rate,
                warmup=0.1,
                schedule="cooldown",
                cooldown=1.0,
                freeze=freeze,
                router_lr_ratio=router_lr_ratio,
            ),
            experts_per_token=experts_per_token,
            batch_tokens=batch,
            micro_batch_tokens=batch,
            threads=config.threads,
        )

    batch, dense = config.extend_batch_tokens, config.expert_learning_rate
    experts = config.extend_experts_per_token
    experts = len(domains.all) if experts is None else experts
    step, rate = TOKENS_PER_STEP, config.upcycle_learning_rate
    return Trainings(
        upcycle=training(shares, tokens, rate, step, "upcycle", config.freeze),
        extend=training(
            grown,
            extend_tokens,
            config.extend_learning_rate,
            batch,
            "extend",
            config.freeze,
            config.extend_router_lr_ratio,
            experts,
        ),
        extend_oracle=training(
            grown, extend_tokens, config.extend_learning_rate, batch, "extend", config.freeze
        ),
        rivals={
            "rival-total": training(twice, total, dense, step, "rival-total"),
            "rival": training(shares, tokens, dense, step, "rival"),
        },
        extend_rival=training(grown, extend_tokens, config.extend_learning_rate, batch, "extend"),
        budgets=budgets,
    )


def of_seed(training: PretrainConfig, seed: int, name: str) -> PretrainConfig:
    """The training in the order of another seed.

    Args:
        training: of any seed.
        seed: the other.
        name: of the training, by which its order is drawn.
    """
    order = derive_seed(seed, "order", name)
    return replace(training, mixture=replace(training.mixture, seed=order))
