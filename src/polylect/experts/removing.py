"""Removing an expert: its tensors and its row go, later experts move up; nothing else changes."""

from pathlib import Path

from polylect.base import InputError, Ledger, check_known
from polylect.checkpoints import Checkpoint
from polylect.experts.engine import Output, Work, Written, write
from polylect.experts.extending import seed_digest
from polylect.experts.nexus_checkpoint import NexusCheckpoint
from polylect.experts.pieces import Piece, copied, joined
from polylect.experts.place_of_encoder import PLACE
from polylect.experts.tensor_names import renumbered, routed_number, router_name

LOWERED = "lowered: experts per token, to those that are left"
KEPT = "kept: the average outside of the experts, which the removed expert is a part of"


def prepare_removal(mixture: Checkpoint, name: str) -> Work:
    """What is left of a mixture without an expert; reads no tensor.

    Raises:
        InputError: a dense model or a broken mixture, no expert of that name, or the last one.
    """
    whole = NexusCheckpoint.of(mixture, mixture.path.resolve().name)
    check_known(name, whole.names, f"{whole.label}: no expert {name!r}", "its experts are")
    if whole.num_experts == 1:
        raise InputError(
            f"{whole.label}: {name!r} is its last routed expert",
            "a mixture needs one; the dense model is the seed that it was made of",
        )
    number = whole.names.index(name)
    left = [i for i in range(whole.num_experts) if i != number]
    config = {
        **mixture.config,
        "num_experts": len(left),
        "num_experts_per_tok": min(whole.top_k, len(left)),
        "expert_names": [whole.names[i] for i in left],
        "domains": [dict(whole.domains[i]) for i in left if whole.domains],
    }
    seed = seed_digest(mixture)

    def also(folder: Path, final: Path) -> None:
        if (mixture.path / PLACE).is_file():
            mixture.carry_beside(folder, without=set(mixture.beside.carried) - {PLACE})

    return Work(
        method="experts remove",
        settings={"expert": name, **({"seed_model": seed} if seed else {})},
        inputs={whole.label: mixture},
        config=config,
        pieces=_pieces(whole, number),
        files_from=whole.label,
        title=f"{name} removed from {', '.join(whole.names)}",
        also=also,
    )


def remove(
    mixture: Checkpoint,
    name: str,
    out: Path,
    *,
    work: Work | None = None,
    output: Output | None = None,
) -> Written:
    """Write a mixture without one of its experts at ``out``.

    All that is left keeps every bit. Removing the expert that was appended last gives the routed
    part (experts and router) that was there before, where its router's rows were not drawn anew;
    the average outside of the experts stays as it is, and that is counted.

    Args:
        mixture: made by ``upcycle`` or ``extend``, trained or not.
        name: of the expert.
        out: a path that does not exist, or an empty folder, unless it is replaced.
        work: of ``prepare_removal``, if it is there already.
        output: threads, shards, progress.

    Raises:
        InputError: see ``prepare_removal``.
        StorageError: the disk is full or the folder cannot be written.
    """
    work = work or prepare_removal(mixture, name)
    return write(work, out, removal_counts(mixture, work), output)


def removal_counts(mixture: Checkpoint, work: Work) -> Ledger:
    """What a removal changes besides, or leaves."""
    ledger = Ledger()
    before, after = (c.get("num_experts_per_tok", 1) for c in (mixture.config, work.config))
    ledger.count(LOWERED, before - after)
    ledger.count(KEPT, 1, str(work.settings["expert"]))
    mixture.beside.count_left(ledger)
    return ledger


def _pieces(whole: NexusCheckpoint, number: int) -> list[Piece]:
    by_expert = {"nexus": "domains", "linear": "rows.weight", "mlp": "proj_out.weight"}
    shrinking = {
        router_name(layer, by_expert[whole.router])
        for layer in range(whole.num_layers)
        if whole.router in by_expert
    }
    pieces = []
    for name, info in whole.checkpoint.tensors.items():
        expert = routed_number(name)
        if name in shrinking:
            parts = [copied(name, info, 0, number), copied(name, info, number + 1, info.shape[0])]
            pieces.append(joined(name, parts))
        elif expert is None:
            pieces.append(copied(name, info))
        elif expert != number:
            pieces.append(copied(renumbered(name, expert - (expert > number)), info))
    return pieces
