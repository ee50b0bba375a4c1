"""Upcycling, extending and removing as steps of a run."""

from collections.abc import Sequence
from pathlib import Path

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.experts.config import ExtendConfig, UpcycleConfig
from polylect.experts.domains import Domains, find_domains, read_domain
from polylect.experts.engine import Output, Written
from polylect.experts.extending import extend
from polylect.experts.removing import remove
from polylect.experts.upcycling import upcycle
from polylect.runs import StepContext, StepInputs, step


@step(version=2, uses_languages=True)
def upcycle_experts(config: UpcycleConfig, inputs: StepInputs, context: StepContext) -> None:
    """A mixture; inputs ``seed``, ``expert NAME`` and ``data NAME`` of each expert, in order.

    Domain vectors are means of the seed's hidden states, or of an input ``encoder`` (a checkpoint).
    """
    experts = {name.removeprefix("expert "): artifact.path for name, artifact in inputs.items()
               if name.startswith("expert ")}  # fmt: skip
    data = [inputs[f"data {name}"].path for name in experts if f"data {name}" in inputs]
    ledger = Ledger()
    reads_vectors = config.router in {"nexus", "mlp"}  # the second is as large as the first
    domains = _domains(config, inputs, data, ledger, reads_vectors)
    written = upcycle(
        config,
        Checkpoint.open(inputs["seed"].path),
        [Checkpoint.open(path) for path in experts.values()],
        context.out,
        domains=domains,
        names=list(experts),
        ledger=ledger,
        output=_output(context),
    )
    _count(written, context)


@step(version=2, uses_languages=True)
def extend_experts(config: ExtendConfig, inputs: StepInputs, context: StepContext) -> None:
    """A mixture with one expert more; inputs ``mixture``, ``expert NAME``, ``data NAME``, ``seed``.

    The domain's vector is the mean of the seed's hidden states, or of an input ``encoder``.
    """
    name = next(name for name in inputs if name.startswith("expert ")).removeprefix("expert ")
    ledger = Ledger()
    data = [inputs[f"data {name}"].path] if f"data {name}" in inputs else []
    mixture = Checkpoint.open(inputs["mixture"].path)
    reads_vectors = mixture.config.get("router_type") == "nexus"
    written = extend(
        config,
        mixture,
        Checkpoint.open(inputs[f"expert {name}"].path),
        context.out,
        domain=_domains(config, inputs, data, ledger, reads_vectors),
        name=name,
        ledger=ledger,
        output=_output(context),
    )
    _count(written, context)


@step(version=1)
def remove_expert(config: str, inputs: StepInputs, context: StepContext) -> None:
    """A mixture without the expert that the config names; input ``mixture``."""
    mixture = Checkpoint.open(inputs["mixture"].path)
    _count(remove(mixture, config, context.out, output=_output(context)), context)


def _domains(
    config: UpcycleConfig | ExtendConfig,
    inputs: StepInputs,
    data: Sequence[Path],
    ledger: Ledger,
    reads_vectors: bool,
) -> Domains | None:
    if not data:
        return None
    texts = [read_domain(path, config.domain_texts, config.seed, ledger) for path in data]
    if not reads_vectors:
        return find_domains(texts, "", ledger=ledger)
    encoder = inputs.get("encoder", inputs.get("seed"))
    assert encoder is not None, "a step with data has an input 'seed' or 'encoder'"
    return find_domains(texts, f"hidden:{encoder.path}", ledger=ledger)


def _output(context: StepContext) -> Output:
    # The finished step is a sibling of its unfinished folder.
    return Output(final=context.out.parent, report=context.report)


def _count(written: Written, context: StepContext) -> None:
    for event, where, num in written.ledger.rows():
        context.ledger.count(event, num, where)
