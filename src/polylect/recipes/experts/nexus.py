"""Recipe ``nexus``: dense experts upcycled into a mixture, one more appended later (2408.15901).

The lifecycle's text, tokenizer, base and experts → a mixture per router → training on all domains →
the expert that was held back appended → tuning → scores, routing → findings → page. Copy this file,
change it, and run it with ``polylect run FILE.py:nexus``.
"""

from collections.abc import Callable

from polylect.base import InputError
from polylect.mixtures import language_lines
from polylect.recipes.experts.chains import (
    Chain,
    Ready,
    base_calls,
    expert_calls,
    grown_calls,
    grown_names,
    init_calls,
    last_calls,
    mixture_calls,
    routed_names,
    score_calls,
    scored_names,
    tuned_calls,
)
from polylect.recipes.experts.findings import NexusFindingsConfig, find_nexus
from polylect.recipes.experts.mixing import domains_of, trainings_of
from polylect.recipes.experts.options import NexusConfig
from polylect.recipes.experts.steps import DomainTextConfig, domain_text
from polylect.recipes.pretraining.budgets import notes_of
from polylect.recipes.pretraining.lifecycle import build_config, prepare
from polylect.runs import Artifact, Call, Run


def nexus(run: Run, config: NexusConfig) -> None:
    """Experts in one model whose router reads what each was trained on, and one appended later.

    Examples:
        polylect run nexus --dry-run
        polylect run nexus --routers nexus linear mlp --baselines
        polylect run nexus --languages de,el,hi,ja,code --baselines --seeds 3
    """
    ready = get_ready(run, config)
    run.announce(*steps_ahead(ready, config))
    chains = train_chains(run, config, ready)
    scored = score_chains(run, config, ready, chains)
    run.step(find_nexus, "findings", findings_config(config, ready), scored)
    draw(run)


def get_ready(run: Run, config: NexusConfig) -> Ready:
    """Read the text, and configure every training."""
    prepared = prepare(run, config)
    domains = domains_of(prepared, config)
    if config.baselines and config.ensemble_experts > len(domains.previous):
        num = len(domains.previous)
        raise InputError(
            f"--ensemble-experts {config.ensemble_experts}: {num} experts are upcycled",
            f"--ensemble-experts {num}",
        )
    trainings = trainings_of(run, config, prepared, domains)
    texts = run.step(
        domain_text,
        "domains",
        DomainTextConfig(domains=domains.all),
        {"corpus": prepared.corpus},
    )
    return Ready(prepared, domains, trainings, texts)


def train_chains(run: Run, config: NexusConfig, ready: Ready) -> list[Chain]:
    """Every checkpoint of every seed; what does not depend on one another runs side by side."""
    chains = [
        Chain(seed, "" if seed == config.seed else f"-seed{seed}") for seed in config.trained_seeds
    ]
    stages: list[Callable[[NexusConfig, Ready, Chain], dict[str, Call]]] = [
        init_calls, base_calls, expert_calls, mixture_calls, tuned_calls, grown_calls, last_calls,
    ]  # fmt: skip
    for stage in stages:
        calls = [(chain, stage(config, ready, chain)) for chain in chains]
        made = iter(run.steps([call for _, named in calls for call in named.values()]))
        for chain, named in calls:
            chain.models |= {name: next(made) for name in named}
    return chains


def score_chains(
    run: Run, config: NexusConfig, ready: Ready, chains: list[Chain]
) -> dict[str, Artifact]:
    """The scores and the routing of every model and seed, by ``SEED LABEL``."""
    calls = [(chain, score_calls(config, ready, chain)) for chain in chains]
    made = iter(run.steps([call for _, named in calls for call in named.values()]))
    return {f"{chain.seed} {name}": next(made) for chain, named in calls for name in named}


def findings_config(config: NexusConfig, ready: Ready) -> NexusFindingsConfig:
    """What the findings have to know."""
    return NexusFindingsConfig(
        seeds=config.trained_seeds,
        previous=ready.domains.previous,
        anchors=ready.domains.anchors,
        appended=ready.domains.appended,
        appended_languages=ready.domains.languages,
        models=tuple(scored_names(config)),
        routed=tuple(routed_names(config)),
        upcycle_tokens=ready.trainings.upcycle.mixture.tokens,
        extend_tokens=ready.trainings.extend.mixture.tokens,
        seed=config.seed,
    )


def steps_ahead(ready: Ready, config: NexusConfig) -> list[dict[str, float]]:
    """The steps after the text is read, with what each costs in tokens that a model reads."""
    prepared, trainings = ready.prepared, ready.trainings
    languages = len(prepared.languages)
    scored = languages * config.bytes_per_language / 4  # bytes of a token, about
    tokens = {name: 3.0 * training.mixture.tokens for name, training in prepared.experts.items()}
    if config.baselines:
        tokens |= {name: 3.0 * part.mixture.tokens for name, part in trainings.rivals.items()}
    # A routed expert beside the shared one: half as much again.
    upcycle = dict.fromkeys(config.routers, 4.5 * trainings.upcycle.mixture.tokens)
    grown = dict.fromkeys(grown_names(config), 4.5 * trainings.extend.mixture.tokens)
    if config.baselines:
        grown["rival-total-extended"] = 3.0 * trainings.extend.mixture.tokens
    made = [f"upcycle-{router}" for router in config.routers]
    made += ["merge", "merge-seed"] if config.baselines else []
    scores = {f"test-{name}": scored for name in scored_names(config)}
    scores |= {f"route-{name}": scored for name in routed_names(config)}
    stages = [
        {"init": 1000.0},
        {"base": 3.0 * prepared.base.mixture.tokens},
        tokens,
        dict.fromkeys(made, 1000.0),
        upcycle,
        {f"append-{name}": 1000.0 for name in grown_names(config)},
        grown,
        scores,
    ]
    suffixes = ["" if seed == config.seed else f"-seed{seed}" for seed in config.trained_seeds]
    batches = [
        {name + suffix: cost for suffix in suffixes for name, cost in stage.items()}
        for stage in stages
    ]
    return [*batches, {"findings": 1000.0}]


def nexus_plan(run: Run, config: NexusConfig) -> str:
    """Tokens per language and training, updates, memory, time; reads the text, trains nothing."""
    from polylect.recipes.pretraining.estimate import forecast

    ready = get_ready(run, config)
    trainings = {"base": ready.prepared.base} | ready.prepared.experts
    trainings |= dict.fromkeys(config.routers, ready.trainings.upcycle)
    trainings |= dict.fromkeys(grown_names(config), ready.trainings.extend)
    if config.baselines:
        trainings |= ready.trainings.rivals
        trainings["rival-total-extended"] = ready.trainings.extend_rival
    num_seeds = len(config.trained_seeds)
    table = forecast(
        ready.prepared.tokens,
        build_config(config),
        trainings,
        len(scored_names(config)) + len(routed_names(config)),
        config.bytes_per_language,
        run.num_workers,
        num_seeds=num_seeds,
        costs=dict.fromkeys([*config.routers, *grown_names(config)], MIXTURE_COST),
    )
    domains = ready.domains
    notes = [
        f"domains: {', '.join(domains.previous)}; appended later: {domains.appended}",
        f"tuned on {ready.trainings.extend.mixture.tokens:,} tokens after appending, 1 of"
        f" {ready.trainings.upcycle.mixture.tokens / ready.trainings.extend.mixture.tokens:.4g}",
        *language_lines(ready.prepared.corpus.ledger),
        *notes_of(ready.prepared.budgets),
        *notes_of(ready.trainings.budgets),
    ]
    return "\n".join([table, *notes])


MIXTURE_COST = 1.5
"""So much longer than a dense model's token one of a mixture takes (measured at this size)."""


def draw(run: Run) -> None:
    """Write the page and the summary, and finish the run."""
    from polylect.report import write_nexus_page, write_nexus_summary

    run.finish(["index.html", "summary.txt"])
    write_nexus_summary(run.path, "summary.txt")
    write_nexus_page(run.path, "index.html")
