"""Extending: one more expert, appended to a mixture whose old experts stay as they are.

    φ_f = (1 − λ) · φ_moe + λ · φ_new,   λ = 1 / (n + 1)      every tensor outside of the experts

A Nexus router gets no new parameter: the new domain's vector is one more row of ``domains`` (Nexus,
section 2.3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, digest_of, plain
from polylect.checkpoints import Checkpoint, Lineage
from polylect.experts.config import ExtendConfig
from polylect.experts.domains import SAME, Domains, no_record
from polylect.experts.engine import EXPERTS_VERSION, Output, Work, Written, lineage_of, write
from polylect.experts.families import check_family, initializer_range
from polylect.experts.nexus_checkpoint import NexusCheckpoint
from polylect.experts.pieces import Piece, averaged, common, copied, drawn, given, joined
from polylect.experts.place_of_encoder import PLACE, write_place
from polylect.experts.tensor_names import check_dense, expert_name, is_expert_tensor, router_name
from polylect.experts.upcycling import JOINING, check_names, count_descent
from polylect.models import check_compatible, is_weight, output_specs


@dataclass(frozen=True)
class ReadyExtension:
    """An extension of which everything is checked that needs no tensor.

    Attributes:
        config: its settings.
        mixture: that grows.
        name: of the new expert.
        expert: a dense model.
        ledger: harmless differences.
        left_out: tensors of some models that the result does not have.
    """

    config: ExtendConfig
    mixture: NexusCheckpoint
    name: str
    expert: Checkpoint
    ledger: Ledger = field(compare=False)
    left_out: frozenset[str]

    @property
    def needs_domain(self) -> bool:
        """Whether the router reads a vector of the new domain."""
        return self.mixture.router == "nexus"

    def lineage(self, text: Mapping[str, Any] | None) -> Lineage:
        """The lineage of the result.

        Args:
            text: what decides the domain's vector; see ``Domains.records``.
        """
        return lineage_of("experts extend", self._settings(text), self._inputs())

    def key(self, text: Mapping[str, Any] | None) -> str:
        """Digest of all that decides the result."""
        return digest_of([EXPERTS_VERSION, plain(self.lineage(text))])

    def _settings(self, text: Mapping[str, Any] | None) -> dict[str, Any]:
        seed = seed_digest(self.mixture.checkpoint)
        return {
            **plain(self.config),
            "expert": self.name,
            "domain": None if text is None else dict(text),
            **({"seed_model": seed} if seed else {}),
        }

    def _inputs(self) -> dict[str, Checkpoint]:
        return {self.mixture.label: self.mixture.checkpoint, self.name: self.expert}

    def work(self, domains: Domains) -> Work:
        """What is written.

        Args:
            domains: that of the new expert alone.

        Raises:
            InputError: its vector is missing, of another width, or of another encoder.
        """
        mixture = self.mixture
        _check_domain(self, domains)
        record = domains.records[0] if domains.records else None
        records = [*(mixture.domains or [no_record() for _ in mixture.names]),
                   record or no_record()]  # fmt: skip
        old = mixture.checkpoint
        config = {
            **old.config,
            "num_experts": mixture.num_experts + 1,
            "expert_names": [*mixture.names, self.name],
            "domains": [dict(entry) for entry in records],
        }
        if self.config.aux_loss is not None:
            config["router_aux_loss_coef"] = self.config.aux_loss

        def also(folder: Path, final: Path) -> None:
            if domains.encoder:
                write_place(folder, domains.encoder, domains.encoder_digest, final)
            elif (old.path / PLACE).is_file():
                old.carry_beside(folder, without=set(old.beside.carried) - {PLACE})

        return Work(
            method="experts extend",
            settings=self._settings(record),
            inputs=self._inputs(),
            config=config,
            pieces=[*self._dense_pieces(), *self._expert_pieces(), *self._router_pieces(domains)],
            files_from=mixture.label,
            title=f"{self.name} appended to {', '.join(mixture.names)}",
            also=also,
            key=domains.digest,
        )

    def _dense_pieces(self) -> list[Piece]:
        mixture, label = self.mixture, self.mixture.label
        num, weight = mixture.num_experts, self.config.weight
        pieces = []
        for name, info in mixture.checkpoint.tensors.items():
            if name in self.left_out or is_expert_tensor(name):
                continue
            theirs = self.expert.tensors.get(name)
            if theirs is None or (weight == 0 and is_weight(info)):
                pieces.append(copied(name, info))
            elif not is_weight(info):
                pieces.append(common(name, [(label, info), (self.name, theirs)]))
            elif weight is None:
                parts = [(label, info, float(num)), (self.name, theirs, 1.0)]
                pieces.append(averaged(name, parts, num + 1))
            else:
                parts = [(label, info, 1 - weight), (self.name, theirs, weight)]
                pieces.append(averaged(name, parts))
        return pieces

    def _expert_pieces(self) -> list[Piece]:
        mixture = self.mixture
        routers = set(mixture.router_tensors())
        old = [copied(name, info) for name, info in mixture.checkpoint.tensors.items()
               if is_expert_tensor(name) and name not in routers]  # fmt: skip
        new = [copied(expert_name(name, mixture.num_experts), info)
               for name, info in self.expert.tensors.items() if is_expert_tensor(name)]  # fmt: skip
        return old + new

    def _router_pieces(self, domains: Domains) -> list[Piece]:
        """The routers' tensors; one of them has a row per expert."""
        mixture = self.mixture
        by_expert = {"nexus": "domains", "linear": "rows.weight", "mlp": "proj_out.weight"}
        growing = {
            router_name(layer, by_expert[mixture.router])
            for layer in range(mixture.num_layers)
            if mixture.router in by_expert
        }
        pieces = []
        for name, info in mixture.router_tensors().items():
            if name not in growing:
                pieces.append(copied(name, info))
                continue
            if domains.vectors is not None and mixture.router == "nexus":
                row = given(name, info.dtype, domains.vectors)
            else:
                row = self._drawn(name, info.dtype, (1, *info.shape[1:]), "row", self.name)
            if self.config.router_rows == "reset" and mixture.router != "nexus":
                shape = (mixture.num_experts + 1, *info.shape[1:])
                pieces.append(self._drawn(name, info.dtype, shape, "reset", str(shape[0])))
            else:
                pieces.append(joined(name, [copied(name, info), row]))
        return pieces

    def _drawn(self, name: str, dtype: str, shape: Sequence[int], *key: str) -> Piece:
        std = initializer_range(self.mixture.checkpoint.config)
        return drawn(name, dtype, shape, std, self.config.seed, *key)


def prepare_extension(
    config: ExtendConfig, mixture: Checkpoint, expert: Checkpoint, name: str = ""
) -> ReadyExtension:
    """Check everything about an extension that needs no tensor.

    Args:
        config: its settings.
        mixture: made by ``upcycle``, trained or not.
        expert: a dense model of the mixture's family.
        name: of the expert; default: that of its folder.

    Raises:
        InputError: the mixture is a dense model or broken; the expert's name is taken; family,
            shapes, tokenizer, types or a key of config.json that decides what weights compute
            differ; a quantized model; rows of a router that has none. Names the first.
    """
    grown = NexusCheckpoint.of(mixture, mixture.path.resolve().name)
    name = name or expert.path.resolve().name
    check_names([name], [*grown.names])
    if grown.label == name:
        raise InputError(f"the expert is called {name!r}, as the mixture", "--name NAME")
    if config.router_rows == "reset" and grown.router in {"nexus", "oracle"}:
        raise InputError(
            f"--router-rows reset: the {grown.router} router has no row of its own for an expert",
            "leave it out",
        )
    check_family(name, expert.config)
    if expert.is_quantized:
        raise InputError(f"{name}: is quantized", "give the full-precision checkpoint")
    check_dense(name, expert)
    models = {grown.label: grown.dense_view(), name: expert}
    ledger, left_out = check_compatible(models, grown.label, grown.label, JOINING)
    output_specs(models, None, left_out, JOINING)
    count_descent(ledger, name, expert, seed_digest(mixture))
    return ReadyExtension(config, grown, name, expert, ledger, left_out)


def extend(
    config: ExtendConfig,
    mixture: Checkpoint,
    expert: Checkpoint,
    out: Path,
    *,
    domain: Domains | None = None,
    name: str = "",
    ready: ReadyExtension | None = None,
    ledger: Ledger | None = None,
    output: Output | None = None,
) -> Written:
    """Write a mixture with one expert more at ``out``; its old experts keep every bit.

    Every tensor outside of the experts becomes (1 − λ) · the mixture's + λ · the expert's, in
    float64 and rounded once. A Nexus router keeps its parameters and gets the new domain's vector;
    a linear or MLP router gets a row, or all its rows are drawn anew. Memory stays flat.

    Does not train: the new expert is routed to by its domain's vector alone until it is tuned.

    Args:
        config: its settings.
        mixture: made by ``upcycle``, trained or not.
        expert: a dense model of the mixture's family.
        out: a path that does not exist, or an empty folder, unless it is replaced.
        domain: that of the new expert (see ``find_domains`` of one text).
        name: of the expert; default: that of its folder.
        ready: of the same arguments, if they are checked already.
        ledger: what was counted of texts.
        output: threads, shards, progress.

    Raises:
        InputError: see ``prepare_extension``; the domain's vector is missing, of another width or
            of another encoder; an element is NaN or infinite.
        StorageError: the disk is full or the folder cannot be written.
    """
    ready = ready or prepare_extension(config, mixture, expert, name)
    work = ready.work(domain or Domains(None, ()))
    return write(work, out, ready.ledger + (ledger or Ledger()), output)


def seed_digest(mixture: Checkpoint) -> str:
    """Digest of the seed that a mixture was made of, where its lineage says it."""
    settings = mixture.lineage.settings if mixture.lineage else {}
    digest = settings.get("seed_model")
    return digest if isinstance(digest, str) else ""


def check_encoder(mixture: NexusCheckpoint, encoder: str, digest: str) -> None:
    """Refuse a domain vector of another encoder than the mixture's.

    Raises:
        InputError: names both.
    """
    known = next((x for x in mixture.domains if x.get("encoder_digest")), None)
    if mixture.router == "nexus" and known and digest != known["encoder_digest"]:
        raise InputError(
            f"--encoder {encoder}: the domains of {mixture.label} have vectors of another"
            f" encoder, {known.get('encoder')} ({str(known['encoder_digest'])[:12]})",
            f"give that one: --encoder {known.get('encoder')}",
        )


def _check_domain(ready: ReadyExtension, domains: Domains) -> None:
    mixture = ready.mixture
    if not ready.needs_domain:
        return
    if domains.vectors is None:
        raise InputError(
            f"{mixture.label}: its router reads domain vectors, and there is none of {ready.name}",
            "give text that the expert learned: --data FILE",
        )
    if domains.vectors.shape[0] != 1:
        raise InputError(f"{len(domains.vectors)} domain vectors for one expert", "give one")
    if domains.width != mixture.domain_size:
        raise InputError(
            f"{ready.name}: the vector of its domain has {domains.width} numbers, the router of"
            f" {mixture.label} takes {mixture.domain_size}",
            "give the encoder of the mixture's own domains: --encoder",
        )
    check_encoder(mixture, domains.encoder, domains.encoder_digest)
    digest = domains.records[0].get("digest") if domains.records else None
    if digest and digest in [record.get("digest") for record in mixture.domains]:
        ready.ledger.count(SAME, 1, ready.name)
