"""Upcycling: a seed model and dense experts that were trained from it become one mixture.

Every tensor outside of the feed-forwards is the plain average of the experts'; the seed's
feed-forward becomes the shared one, the experts' become the routed ones (Nexus, section 2).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, digest_of, plain
from polylect.checkpoints import Checkpoint, Lineage
from polylect.experts.config import UpcycleConfig
from polylect.experts.domains import Domains, no_record
from polylect.experts.engine import EXPERTS_VERSION, Output, Work, Written, lineage_of, write
from polylect.experts.families import (
    check_family,
    initializer_range,
    mixture_config,
)
from polylect.experts.pieces import Piece, averaged, common, copied, drawn, given
from polylect.experts.place_of_encoder import write_place
from polylect.experts.tensor_names import (
    check_dense,
    expert_name,
    is_expert_tensor,
    num_layers,
    router_name,
    shared_name,
)
from polylect.models import (
    Joining,
    check_compatible,
    is_weight,
    mlp_router_size,
    output_specs,
)

JOINING = Joining("give")
NOT_SAID = "not said: that it was trained from the seed (its polylect.json names others)"


@dataclass(frozen=True)
class ReadyUpcycle:
    """An upcycle of which everything is checked that needs no tensor.

    Attributes:
        config: its settings.
        seed_label: of the seed, in errors and in the lineage.
        seed: the seed model.
        experts: dense experts by name, in order.
        ledger: harmless differences.
        left_out: tensors of some models that the result does not have.
    """

    config: UpcycleConfig
    seed_label: str
    seed: Checkpoint
    experts: Mapping[str, Checkpoint]
    ledger: Ledger = field(compare=False)
    left_out: frozenset[str]

    @property
    def needs_domains(self) -> bool:
        """Whether the router is made of domain vectors, or is as large as one that is."""
        return self.config.router in {"nexus", "mlp"}

    @property
    def num_layers(self) -> int:
        """Layers, each of which gets a block."""
        return num_layers(self.seed.tensors)

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.seed.tensors["model.embed_tokens.weight"].shape[1]

    def lineage(self, texts: Sequence[Mapping[str, Any]]) -> Lineage:
        """The lineage of the result.

        Args:
            texts: of each expert's domain, what decides its vector; see ``Domains.records``.
        """
        return lineage_of("experts upcycle", self._settings(texts), self._inputs())

    def key(self, texts: Sequence[Mapping[str, Any]]) -> str:
        """Digest of all that decides the result."""
        return digest_of([EXPERTS_VERSION, plain(self.lineage(texts))])

    def _settings(self, texts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            **plain(self.config),
            "experts": list(self.experts),
            "domains": [dict(text) for text in texts],
            "seed_model": self.seed.digest,
        }

    def _inputs(self) -> dict[str, Checkpoint]:
        return {self.seed_label: self.seed, **self.experts}

    def work(self, domains: Domains) -> Work:
        """What is written.

        Raises:
            InputError: the vectors are not one per expert.
        """
        names, records = list(self.experts), list(domains.records)
        _check_domains(self, domains)
        config = self.config
        width, num = self.width, len(names)
        router_size = mlp_router_size(width, num, domains.width) if config.router == "mlp" else 0
        return Work(
            method="experts upcycle",
            settings=self._settings(records),
            inputs=self._inputs(),
            config=mixture_config(
                self.seed.config,
                router=config.router,
                names=names,
                domains=records or [no_record() for _ in names],
                top_k=config.top_k,
                domain_size=domains.width if config.router == "nexus" else 0,
                router_size=router_size,
                aux_loss=config.aux_loss,
            ),
            pieces=[*self._dense_pieces(), *self._router_pieces(domains, router_size)],
            files_from=self.seed_label,
            title=f"{config.router} router over {', '.join(names)}",
            also=_place_writer(domains),
            key=domains.digest,
        )

    def _dense_pieces(self) -> list[Piece]:
        pieces: list[Piece] = []
        for name, info in self.seed.tensors.items():
            if name in self.left_out:
                continue
            experts = [(label, model.tensors[name]) for label, model in self.experts.items()]
            if is_expert_tensor(name):
                pieces.append(copied(shared_name(name), info))
                pieces += [copied(expert_name(name, i), e) for i, (_, e) in enumerate(experts)]
            elif is_weight(info):
                parts = [(label, expert, 1.0) for label, expert in experts]
                pieces.append(averaged(name, parts, len(parts)))
            else:
                pieces.append(common(name, [(self.seed_label, info), *experts]))
        return pieces

    def _router_pieces(self, domains: Domains, router_size: int) -> list[Piece]:
        config, num, width = self.config, len(self.experts), self.width
        dtype = self.seed.tensors["model.layers.0.mlp.up_proj.weight"].dtype
        std = initializer_range(self.seed.config)
        shapes: dict[str, tuple[int, int]] = {
            "nexus": {
                "proj_in.weight": (2 * width, domains.width),
                "proj_out.weight": (width, width),
            },
            "linear": {"rows.weight": (num, width)},
            "mlp": {
                "proj_in.weight": (2 * router_size, width),
                "proj_out.weight": (num, router_size),
            },
            "oracle": {},
        }[config.router]
        pieces = []
        for layer in range(self.num_layers):
            for part, shape in shapes.items():
                pieces.append(drawn(router_name(layer, part), dtype, shape, std, config.seed))
            if config.router == "nexus":
                assert domains.vectors is not None, "checked by _check_domains"
                pieces.append(given(router_name(layer, "domains"), "F32", domains.vectors))
        return pieces


def prepare_upcycle(
    config: UpcycleConfig,
    seed: Checkpoint,
    experts: Sequence[Checkpoint],
    names: Sequence[str] = (),
) -> ReadyUpcycle:
    """Check everything about an upcycle that needs no tensor.

    Args:
        config: its settings.
        seed: the model that the experts were trained from.
        experts: in order.
        names: of the experts; default: those of their folders.

    Raises:
        InputError: fewer than two experts; a name given twice; another family, shape, tokenizer,
            type, or a key of config.json that decides what weights compute; a quantized model;
            more experts per token than there are. Names the first.
    """
    labels = list(names) or [expert.path.resolve().name for expert in experts]
    if len(experts) < 2:
        raise InputError(
            f"--experts: {len(experts)} expert{'' if len(experts) == 1 else 's'}",
            "a router needs at least two: --experts A B",
        )
    if len(labels) != len(experts):
        raise InputError(
            f"--expert-names: {len(labels)} names for {len(experts)} experts", "give one for each"
        )
    check_names(labels)
    if config.top_k > len(experts):
        raise InputError(
            f"--experts-per-token is {config.top_k}, there are {len(experts)} experts",
            f"give {len(experts)} or less",
        )
    by_name = dict(zip(labels, experts, strict=True))
    label = seed.path.resolve().name
    label = f"{label} (seed)" if label in by_name else label
    models = {label: seed, **by_name}
    for name, model in models.items():
        check_family(name, model.config)
        if model.is_quantized:
            raise InputError(f"{name}: is quantized", "give the full-precision checkpoint")
        check_dense(name, model)
    ledger, left_out = check_compatible(models, label, label, JOINING)
    output_specs(models, None, left_out, JOINING)
    for name, expert in by_name.items():
        count_descent(ledger, name, expert, seed.digest if expert.lineage else "")
    return ReadyUpcycle(config, label, seed, by_name, ledger, left_out)


def upcycle(
    config: UpcycleConfig,
    seed: Checkpoint,
    experts: Sequence[Checkpoint],
    out: Path,
    *,
    domains: Domains | None = None,
    names: Sequence[str] = (),
    ready: ReadyUpcycle | None = None,
    ledger: Ledger | None = None,
    output: Output | None = None,
) -> Written:
    """Write the mixture of a seed and its experts at ``out``.

    Feed-forwards are copied to the bit. Every other tensor is averaged over the experts (not the
    seed) in float64, in their order, and rounded once. Router weights are normal numbers of
    standard deviation ``initializer_range``. The same inputs give the same bytes, whatever the
    threads and the shards of the inputs. Memory stays flat. The folder has the seed's tokenizer
    and other files, the licenses of all (``join_licenses``) and the seal.

    Args:
        config: its settings.
        seed: the model that the experts were trained from.
        experts: in order.
        out: a path that does not exist, or an empty folder, unless it is replaced.
        domains: see ``find_domains``; a linear or an oracle router may do without.
        names: of the experts; default: those of their folders.
        ready: of the same arguments, if they are checked already.
        ledger: what was counted of texts.
        output: threads, shards, progress.

    Raises:
        InputError: see ``prepare_upcycle``; vectors are missing or not one per expert; an element
            is NaN or infinite.
        StorageError: the disk is full or the folder cannot be written.
    """
    ready = ready or prepare_upcycle(config, seed, experts, names)
    work = ready.work(domains or Domains(None, ()))
    return write(work, out, ready.ledger + (ledger or Ledger()), output)


def check_names(names: Sequence[str], known: Sequence[str] = ()) -> None:
    """Refuse names of experts that are empty, given twice or taken.

    Raises:
        InputError: names the first.
    """
    for name, num in Counter(names).items():
        if not name.strip():
            raise InputError("--expert-names: an empty name", "give every expert a name")
        if num > 1:
            raise InputError(
                f"{num} experts are called {name!r}", "name each: --expert-names A B …, in order"
            )
        if name in known:
            raise InputError(f"an expert is called {name!r} already", "give another: --name NAME")


def count_descent(ledger: Ledger, name: str, expert: Checkpoint, seed_digest: str) -> None:
    """Count an expert whose lineage names other parents than the seed; it is used all the same."""
    if expert.lineage is None or not expert.lineage.parents or not seed_digest:
        return
    if seed_digest not in {parent.digest for parent in expert.lineage.parents}:
        ledger.count(NOT_SAID, 1, name)


def _check_domains(ready: ReadyUpcycle, domains: Domains) -> None:
    num = len(ready.experts)
    if ready.needs_domains and domains.vectors is None:
        raise InputError(
            f"--router {ready.config.router} without --data",
            "give one file of domain text per expert, in order: --data A.jsonl B.jsonl",
        )
    given_num = num if domains.vectors is None else len(domains.vectors)
    if given_num != num or len(domains.records) not in {0, num}:
        raise InputError(
            f"{given_num} domain vectors for {num} experts", "give one for each, in order"
        )


def _place_writer(domains: Domains) -> Any:
    def also(folder: Path, final: Path) -> None:
        if domains.encoder:
            write_place(folder, domains.encoder, domains.encoder_digest, final)

    return also
