"""The steps of one seed of the recipe ``nexus``: trainings, mixtures, scores and routing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from polylect.base import derive_seed
from polylect.evals import BitsConfig, score_bits
from polylect.experts import ExtendConfig, UpcycleConfig, extend_experts, upcycle_experts
from polylect.merging import LinearConfig, merge_checkpoints
from polylect.models import build
from polylect.recipes.experts.ensembles import EXPERT, EnsembleConfig, score_ensemble
from polylect.recipes.experts.mixing import Domains, Trainings, of_seed
from polylect.recipes.experts.options import ROUTER_ROWS, NexusConfig, grown_name
from polylect.recipes.experts.steps import LanguageBitsConfig, RouteConfig, route, score_languages
from polylect.recipes.pretraining.lifecycle import Prepared, build_config
from polylect.rows import Split
from polylect.runs import Artifact, Call, FileInput, Files, Step
from polylect.training import PretrainConfig, pretrain


@dataclass(frozen=True)
class Ready:
    """What is known before any training."""

    prepared: Prepared
    domains: Domains
    trainings: Trainings
    texts: Artifact

    def text_of(self, name: str) -> FileInput:
        """The training text of a domain."""
        return Files(self.texts.path / f"{name}.jsonl")


@dataclass
class Chain:
    """The checkpoints of one seed, by name."""

    seed: int
    suffix: str
    models: dict[str, Artifact] = field(default_factory=dict)


Parts = tuple[Step, object, Mapping[str, FileInput]]
"""A step, its settings and its inputs; a label makes it a call."""


def init_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """The initial weights."""
    settings = build_config(replace(config, seed=chain.seed))
    return _named(chain, {"init": (build, settings, {"tokens": ready.prepared.tokens})})


def base_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """The base, which is the seed of the mixtures."""
    training = of_seed(ready.prepared.base, chain.seed, "base")
    return _named(chain, {"base": _trained(ready, training, chain.models["init"])})


def expert_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """The dense experts, and the dense rivals of the mixtures."""
    base, trainings = chain.models["base"], ready.prepared.experts
    calls = {
        name: _trained(ready, of_seed(training, chain.seed, name.removeprefix("expert-")), base)
        for name, training in trainings.items()
    }
    if config.baselines:
        rivals = {
            name: _trained(ready, of_seed(training, chain.seed, name), base)
            for name, training in ready.trainings.rivals.items()
        }
        calls = rivals | calls  # the longest first, so that the workers finish together
    return _named(chain, calls)


def mixture_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """The mixtures, not trained yet, and the merges."""
    base = chain.models["base"]
    experts = {name: chain.models[f"expert-{name}"] for name in ready.domains.previous}
    inputs: dict[str, FileInput] = {"seed": base}
    inputs |= {f"{EXPERT}{name}": model for name, model in experts.items()}
    inputs |= {f"data {name}": ready.text_of(name) for name in experts}
    calls: dict[str, Parts] = {
        f"upcycle-{router}": (
            upcycle_experts,
            UpcycleConfig(
                router=router,  # pyrefly: ignore
                top_k=config.experts_per_token,
                domain_texts=config.domain_texts,
                aux_loss=config.aux_loss,
                seed=derive_seed(chain.seed, "router"),
            ),
            inputs,
        )
        for router in config.routers
    }
    if config.baselines:
        merged = {f"expert-{name}": model for name, model in experts.items()}
        calls["merge"] = (merge_checkpoints, LinearConfig(), merged)
        calls["merge-seed"] = (merge_checkpoints, LinearConfig(), merged | {"base": base})
    return _named(chain, calls)


def tuned_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """The mixtures, trained on all their domains."""
    training = of_seed(ready.trainings.upcycle, chain.seed, "upcycle")
    return _named(
        chain,
        {
            router: _trained(ready, training, chain.models[f"upcycle-{router}"])
            for router in config.routers
        },
    )


def grown_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """The mixtures with the expert that was held back, not tuned yet."""
    name = ready.domains.appended
    return _named(
        chain,
        {
            f"append-{grown_name(router, rows)}": (
                extend_experts,
                ExtendConfig(
                    router_rows=rows,
                    domain_texts=config.domain_texts,
                    aux_loss=config.extend_aux_loss,
                    seed=derive_seed(chain.seed, "router"),
                ),
                {
                    "mixture": chain.models[router],
                    "seed": chain.models["base"],
                    f"{EXPERT}{name}": chain.models[f"expert-{name}"],
                    f"data {name}": ready.text_of(name),
                },
            )
            for router in config.routers
            for rows in ROUTER_ROWS[router]
        },
    )


def last_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """The grown mixtures, tuned, and the dense rival, tuned on the same text."""
    training = of_seed(ready.trainings.extend, chain.seed, "extend")
    oracle_training = of_seed(ready.trainings.extend_oracle, chain.seed, "extend")
    calls = {
        name: _trained(
            ready,
            oracle_training if name == "oracle-extended" else training,
            chain.models[f"append-{name}"],
        )
        for name in grown_names(config)
    }
    if config.baselines:
        dense = of_seed(ready.trainings.extend_rival, chain.seed, "extend")
        calls["rival-total-extended"] = _trained(ready, dense, chain.models["rival-total"])
    return _named(chain, calls)


def grown_names(config: NexusConfig) -> list[str]:
    """Names of the mixtures that an expert was appended to."""
    return [grown_name(router, rows) for router in config.routers for rows in ROUTER_ROWS[router]]


def score_calls(config: NexusConfig, ready: Ready, chain: Chain) -> dict[str, Call]:
    """Bits per byte of every model of a seed, and the routing of every mixture."""
    tokens, corpus = ready.prepared.tokens, ready.prepared.corpus
    calls: dict[str, Parts] = {}
    for name in scored_names(config):
        bits = BitsConfig(
            name=name, split=Split.TEST, bytes_per_language=config.bytes_per_language,
            threads=config.threads,
        )  # fmt: skip
        if name in ENSEMBLES:
            members = ready.domains.all if name == "ensemble-extended" else ready.domains.previous
            settings = EnsembleConfig(bits=bits, top_k=config.ensemble_experts)
            inputs: dict[str, FileInput] = {"tokens": tokens}
            inputs |= {EXPERT + member: chain.models[f"expert-{member}"] for member in members}
            calls[f"test-{name}"] = (score_ensemble, settings, inputs)
            continue
        inputs = {"model": chain.models[name], "tokens": tokens}
        if name == "oracle":
            known = tuple(tag for tags in ready.domains.previous.values() for tag in tags)
            settings = LanguageBitsConfig(bits=bits, languages=known)
            calls[f"test-{name}"] = (score_languages, settings, inputs)
        else:
            calls[f"test-{name}"] = (score_bits, bits, inputs)
    routing = RouteConfig(
        domains=ready.domains.all, bytes_per_language=config.bytes_per_language,
        threads=config.threads,
    )  # fmt: skip
    for name in routed_names(config):
        inputs = {"model": chain.models[name], "tokens": tokens, "corpus": corpus}
        calls[f"route-{name}"] = (route, routing, inputs)
    return _named(chain, calls)


ENSEMBLES = ("ensemble", "ensemble-extended")


def scored_names(config: NexusConfig) -> list[str]:
    """Names of the models that are scored, the dense ones first."""
    rivals = ["merge", "merge-seed", "rival", "rival-total", "rival-total-extended", *ENSEMBLES]
    return ["base", *(rivals if config.baselines else []), *config.routers, *grown_names(config)]


def routed_names(config: NexusConfig) -> list[str]:
    """Names of the mixtures whose router decides anything, before, untuned and after."""
    routers = [router for router in config.routers if router != "oracle"]
    grown = [name for name in grown_names(config) if not name.startswith("oracle")]
    return [*routers, *[f"append-{name}" for name in grown], *grown]


def _named(chain: Chain, calls: Mapping[str, Parts]) -> dict[str, Call]:
    return {
        name: Call(step, name + chain.suffix, settings, inputs)
        for name, (step, settings, inputs) in calls.items()
    }


def _trained(ready: Ready, training: PretrainConfig, model: Artifact) -> Parts:
    return pretrain, training, {"tokens": ready.prepared.tokens, "model": model}
