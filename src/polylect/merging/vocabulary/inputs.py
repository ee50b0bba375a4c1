"""The models of a merge by name: folders, or a base with an adapter; on one vocabulary if asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.merging.adapter import ADAPTER_CONFIG, apply_adapter, read_adapter
from polylect.merging.vocabulary.embeddings import align
from polylect.merging.vocabulary.prepared import split_adapter, unique_names

VOCABULARIES = ("same", "union")


def open_models(names: Sequence[Path], folder: Path | None) -> list[Checkpoint]:
    """The checkpoints of folders, and of bases with an adapter (``BASE+ADAPTER``).

    An adapter is merged into its base first; the result stays in ``folder/BASE+ADAPTER``.

    Args:
        names: of the models.
        folder: for what has to be written; None writes nothing and gives the base in its place,
            after the adapter was held against it.

    Raises:
        InputError: see ``Checkpoint.open``, ``read_adapter`` and ``apply_adapter``.
        StorageError: the disk is full or the folder cannot be written.
    """
    split = [split_adapter(str(name)) for name in names]
    short = [f"{one[0].resolve().name}+{one[1].resolve().name}" if one else "" for one in split]
    found = []
    for name, parts, label in zip(names, split, unique_names(short), strict=True):
        if parts is None:
            if (name / ADAPTER_CONFIG).is_file() and not (name / "config.json").is_file():
                raise InputError(
                    f"{name}: an adapter, not a model", f"name its base too: BASE+{name}"
                )
            found.append(Checkpoint.open(name))
            continue
        base = Checkpoint.open(parts[0])
        adapter = read_adapter(parts[1], base)
        found.append(base if folder is None else apply_adapter(base, adapter, folder / label))
    return found


def on_one_vocabulary(
    models: Mapping[str, Checkpoint], first: str, folder: Path | None
) -> tuple[dict[str, Checkpoint], Ledger]:
    """The models on the union of their vocabularies, and what was counted; see ``align``.

    Models whose tokenizers are the same already come back as they are.

    Args:
        models: checkpoints by label, in order.
        first: label of the model whose ids stay.
        folder: where they are written, with a report; None only plans: the tensors of what comes
            back cannot be read.

    Raises:
        InputError: see ``align``.
        StorageError: the disk is full or the folder cannot be written.
    """
    if len({one.tokenizer_digest for one in models.values()}) == 1:
        return dict(models), Ledger()
    aligned = align(models, first)
    return (aligned.plans() if folder is None else aligned.write(folder)), aligned.ledger
