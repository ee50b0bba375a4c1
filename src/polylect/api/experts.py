"""``experts.upcycle``, ``experts.extend``, ``experts.remove``, ``experts.export``."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from polylect.api.experts_options import (
    DomainOptions,
    ExportOptions,
    ExtendOptions,
    RemoveOptions,
    UpcycleOptions,
)
from polylect.api.models import default_threads
from polylect.api.notices import is_quiet, notice
from polylect.api.people import threads
from polylect.api.results import Plan, Result, check_room, is_there, out_folder
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.base import InputError, Ledger, read_json

if TYPE_CHECKING:
    import polars

    from polylect.checkpoints import Checkpoint, Lineage
    from polylect.experts import Domains, DomainText, Written
    from polylect.experts import Output as Writing

R = TypeVar("R", bound=Result)


class Mixture(Result):
    """A mixture of experts; it may be given wherever a checkpoint may."""

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """The handle of the mixture; nothing is loaded."""
        from polylect.checkpoints import Checkpoint

        return Checkpoint.open(self.path)

    @cached_property
    def ledger(self) -> Ledger:
        """Settings in which the models differ, files that were left, what was read of text."""
        return _ledger(self.path)

    def table(self) -> "polars.DataFrame":
        """A row per routed expert: its name, and what its domain's vector was made of."""
        import polars

        config = self.checkpoint.config
        domains = config.get("domains") or [{}] * len(config["expert_names"])
        rows = [
            {
                "expert": name,
                "texts": domain.get("num_texts", 0),
                "documents": domain.get("num_documents", 0),
                "languages": " ".join(domain.get("languages", [])),
                "source": domain.get("source", ""),
                "encoder": domain.get("encoder", ""),
            }
            for name, domain in zip(config["expert_names"], domains, strict=True)
        ]
        return polars.DataFrame(rows)

    def lines(self) -> list[str]:
        """The router, the experts with their domains, what was counted, and the folder."""
        config, num = self.checkpoint.config, self.checkpoint.num_parameters
        about = (
            f"{config['router_type']} router over {config['num_experts']} experts,"
            f" {config['num_experts_per_tok']} per token; {num:,} parameters"
        )
        head = ("expert", "texts", "languages", "source")
        rows = [[row[name] for name in head] for row in self.rows()]
        table = text_table(head, rows, "lrll")
        return [about, *table, *self.ledger.lines(), str(self.path)]


class Exported(Result):
    """A mixture in an architecture that others serve."""

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """The handle of the checkpoint; nothing is loaded."""
        from polylect.checkpoints import Checkpoint

        return Checkpoint.open(self.path)

    @cached_property
    def ledger(self) -> Ledger:
        """Files that were left."""
        return _ledger(self.path)

    def table(self) -> "polars.DataFrame":
        """One row: architecture, experts, experts per token, parameters."""
        import polars

        config = self.checkpoint.config
        row = {
            "architecture": config["architectures"][0],
            "experts": config["num_experts"],
            "experts_per_token": config["num_experts_per_tok"],
            "parameters": self.checkpoint.num_parameters,
        }
        return polars.DataFrame([row])

    def lines(self) -> list[str]:
        """What it is now, what was counted, and the folder."""
        row = self.rows()[0]
        about = f"{row['architecture']} with {row['experts']} experts, {row['experts_per_token']}"
        return [f"{about} per token", *self.ledger.lines(), str(self.path)]


@verb("experts upcycle", UpcycleOptions, name="experts.upcycle")
def experts_upcycle(options: UpcycleOptions) -> Mixture | Plan:
    """Make one mixture of experts of a seed model and dense models that were trained from it.

    Returns a ``Mixture``, which may be given wherever a checkpoint may: ``.table()`` has a row per
    expert.

        pl.experts.upcycle(seed_model="base", experts=["de", "fr"], data=["de.jsonl", "fr.jsonl"])
    """
    from polylect.checkpoints import Checkpoint
    from polylect.experts import (
        UpcycleConfig,
        check_whose_text,
        domain_encoder,
        domain_records,
        prepare_upcycle,
        read_domain,
        upcycle,
    )

    domain, output = options.domain, options.output
    config = UpcycleConfig(
        router=options.router,
        top_k=options.experts_per_token,
        aux_loss=options.aux_loss,
        domain_texts=domain.domain_texts,
        seed=options.seed,
    )
    if options.data and len(options.data) != len(options.experts):
        raise InputError(
            f"--data: {len(options.data)} files for {len(options.experts)} experts",
            "give one of domain text for each, in order",
        )
    if output.out is not None:
        check_room(output.out, output)
    seed = Checkpoint.open(options.seed_model)
    experts = [Checkpoint.open(path) for path in options.experts]
    ready = prepare_upcycle(config, seed, experts, options.expert_names)
    if options.data:
        check_whose_text(list(ready.experts), options.data, list(ready.experts))
    if ready.needs_domains and not options.data:
        raise InputError(
            f"experts upcycle: --router {options.router} without --data",
            "give one file of domain text per expert, in order: --data A.jsonl B.jsonl",
        )
    _refuse_unused("upcycle", domain, uses_text=bool(options.data), sees=ready.needs_domains)
    ledger = Ledger()
    texts = [read_domain(path, domain.domain_texts, options.seed, ledger, domain.default_language)
             for path in options.data]  # fmt: skip
    encoder = domain_encoder(domain.encoder, options.seed_model) if ready.needs_domains else ""
    records = domain_records(texts, encoder)

    def make(out: Path, how: "Writing") -> "Written":
        domains = _embedded(texts, encoder, domain, out, how, ledger)
        return upcycle(config, seed, experts, out, domains=domains, ready=ready, ledger=ledger,
                       output=how)  # fmt: skip

    plan = [
        f"{options.router} router over {', '.join(ready.experts)}, seed {ready.seed_label}",
        *_text_lines(texts, encoder),
        *(ready.ledger + ledger).lines(),
    ]
    return _run("experts-upcycle", options, lambda: ready.lineage(records),
                lambda: ready.key(records), make, plan, Mixture)  # fmt: skip


@verb("experts extend", ExtendOptions, name="experts.extend")
def experts_extend(options: ExtendOptions) -> Mixture | Plan:
    """Append an expert to a mixture of experts; the old experts keep every bit.

    Returns a ``Mixture``, which may be given wherever a checkpoint may.

        pl.experts.extend("moe", expert="code", data="code.jsonl", out="moe-code")
    """
    from polylect.checkpoints import Checkpoint
    from polylect.experts import (
        ExtendConfig,
        check_whose_text,
        domain_records,
        extend,
        mixture_encoder,
        prepare_extension,
        read_domain,
    )

    domain, output = options.domain, options.output
    config = ExtendConfig(weight=options.expert_weight, router_rows=options.router_rows,
                          domain_texts=domain.domain_texts, seed=options.seed)  # fmt: skip
    if output.out is not None:
        check_room(output.out, output)
    mixture, expert = Checkpoint.open(options.model), Checkpoint.open(options.expert)
    ready = prepare_extension(config, mixture, expert, options.name)
    if options.data is not None:
        check_whose_text([ready.name], [options.data], ready.mixture.names)
    if ready.needs_domain and options.data is None:
        raise InputError(
            "experts extend: a nexus router needs the new domain's vector",
            "give text that the expert learned: --data FILE",
        )
    _refuse_unused("extend", domain, uses_text=options.data is not None, sees=ready.needs_domain)
    encoder = mixture_encoder(ready.mixture, domain.encoder) if ready.needs_domain else ""
    ledger = Ledger()
    texts = [] if options.data is None else [
        read_domain(options.data, domain.domain_texts, options.seed, ledger,
                    domain.default_language)
    ]  # fmt: skip
    record = next(iter(domain_records(texts, encoder)), None)

    def make(out: Path, how: "Writing") -> "Written":
        domains = _embedded(texts, encoder, domain, out, how, ledger)
        return extend(config, mixture, expert, out, domain=domains, ready=ready, ledger=ledger,
                      output=how)  # fmt: skip

    plan = [
        f"{ready.name} appended to {', '.join(ready.mixture.names)}",
        *_text_lines(texts, encoder),
        *(ready.ledger + ledger).lines(),
    ]
    return _run("experts-extend", options, lambda: ready.lineage(record),
                lambda: ready.key(record), make, plan, Mixture)  # fmt: skip


@verb("experts remove", RemoveOptions, name="experts.remove")
def experts_remove(options: RemoveOptions) -> Mixture | Plan:
    """Remove an expert from a mixture of experts; all that is left keeps every bit.

    Returns a ``Mixture``, which may be given wherever a checkpoint may.

        pl.experts.remove("moe", "code", out="moe-without-code")
    """
    from polylect.base import digest_of, plain
    from polylect.checkpoints import Checkpoint
    from polylect.experts import prepare_removal, remove

    if options.output.out is not None:
        check_room(options.output.out, options.output)
    mixture = Checkpoint.open(options.model)
    work = prepare_removal(mixture, options.name)
    return _run("experts-remove", options, work.lineage,
                lambda: digest_of(plain(work.lineage())),
                lambda out, how: remove(mixture, options.name, out, work=work, output=how),
                [work.title], Mixture)  # fmt: skip


@verb("experts export", ExportOptions, name="experts.export")
def experts_export(options: ExportOptions) -> Exported | Plan:
    """Write a mixture of experts in an architecture that others serve, its logits equal.

    Returns an ``Exported``, which may be given wherever a checkpoint may.

        pl.experts.export("moe", out="moe-served")
    """
    from polylect.base import digest_of, plain
    from polylect.checkpoints import Checkpoint
    from polylect.experts import export, prepare_export

    if options.output.out is not None:
        check_room(options.output.out, options.output)
    mixture = Checkpoint.open(options.model)
    work = prepare_export(mixture)
    return _run("experts-export", options, work.lineage,
                lambda: digest_of(plain(work.lineage())),
                lambda out, how: export(mixture, out, work=work, output=how),
                [work.title], Exported)  # fmt: skip


def _run(
    command: str,
    options: UpcycleOptions | ExtendOptions | RemoveOptions | ExportOptions,
    lineage: "Callable[[], Lineage]",
    key: Callable[[], str],
    make: "Callable[[Path, Writing], Written]",
    plan: Sequence[str],
    result: Callable[[Path], R],
) -> R | Plan:
    """The result of a verb that writes a checkpoint; what is there already is not made again.

    Args:
        command: names the run's folder.
        options: threads, shards, where it goes.
        lineage: of the result, by which it is found again.
        key: digest of all that decides the result.
        make: writes it.
        plan: what a dry run says.
        result: reads the finished folder.
    """
    from polylect.experts import Output as Writing
    from polylect.runs import TaskReporter, display

    output, out = options.output, options.output.out
    if out is None and not output.dry_run:
        out = out_folder(output, command, key())
    if out is not None and is_there(out, output, lineage):
        return Plan([]) if output.dry_run else result(out)
    if output.dry_run or out is None:
        place = out or f"runs/{command}-KEY; KEY comes of the inputs' content, which is read then"
        return Plan([*plan, f"would write into {place}"])
    with display(silent=is_quiet()) as progress:
        written = make(
            out,
            Writing(
                num_threads=options.threads or default_threads(),
                max_shard_bytes=options.max_shard_bytes,
                replace=output.force,
                report=TaskReporter(command, progress.handle),
            ),
        )
    notice(", ".join(f"{name} {value:.2f} s" for name, value in written.seconds.items()))
    return result(out)


def _ledger(folder: Path) -> Ledger:
    from polylect.experts import RECORD

    return Ledger.from_json(read_json(folder / RECORD)["ledger"])


def _embedded(
    texts: "Sequence[DomainText]",
    encoder: str,
    domain: DomainOptions,
    out: Path,
    how: "Writing",
    ledger: Ledger,
) -> "Domains | None":
    """The domains of texts, their vectors cached beside the result; None without text."""
    from polylect.experts import find_domains

    if not texts:
        return None
    cache = domain.cache or out.with_name(f"{out.name}-vectors")
    with threads(how.num_threads, uses_torch=_uses_torch(encoder)):
        return find_domains(texts, encoder, cache=cache, ledger=ledger)


def _text_lines(texts: "Sequence[DomainText]", encoder: str) -> list[str]:
    lines = [
        f"  {text.source}: {len(text.texts):,} of {text.num_documents:,} texts,"
        f" {' '.join(text.languages) or 'no language told'}"
        for text in texts
    ]
    return [*lines, f"domain vectors: {encoder}"] if encoder else lines


def _uses_torch(encoder: str) -> bool:
    from polylect.engine import find_encoder

    return bool(encoder) and find_encoder(encoder).uses_torch


def _refuse_unused(command: str, options: DomainOptions, *, uses_text: bool, sees: bool) -> None:
    """Refuse options of text where none is read, and an encoder where no vector is used."""
    reasons: dict[str, tuple[str, str]] = {}
    if not sees:
        reasons |= for_each(("encoder", "cache"), "this router uses no domain vectors",
                            "leave it out")  # fmt: skip
    if not uses_text:
        reasons |= for_each(("encoder", "cache", "domain_texts", "default_language"),
                            "there is no --data", "--data FILE, or leave it out")  # fmt: skip
    refuse_without_effect(f"experts {command}", options, reasons)
