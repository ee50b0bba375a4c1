"""The input models of a merge: folders or bases with adapters, on one vocabulary if needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint, files_beside
from polylect.merging.lora import apply_adapter
from polylect.merging.lora_reading import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter
from polylect.merging.names import unique_names
from polylect.merging.vocabulary.embeddings import align, stated_rows
from polylect.models import encode_alike
from polylect.runs import Files

VOCABULARIES = ("same", "union")


def open_models(
    names: Sequence[Path], folder: Path | None, ledger: Ledger | None = None
) -> list[Checkpoint]:
    """Open folders, and bases with an adapter (``BASE+ADAPTER``), as checkpoints.

    An adapter is merged into its base; the result stays in ``folder/BASE+ADAPTER``.

    Args:
        names: names of the models.
        folder: where merged adapters are written; None writes nothing and gives the base instead,
            after checking the adapter.
        ledger: names files beside an adapter, which are left.

    Raises:
        InputError: see ``Checkpoint.open``, ``read_adapter`` and ``apply_adapter``.
        StorageError: the disk is full or the folder cannot be written.
    """
    split = [_split_adapter(str(name)) for name in names]
    labels = unique_names(
        ["+".join(part.resolve().name for part in parts) if parts else "" for parts in split]
    )
    models = []
    for name, parts, label in zip(names, split, labels, strict=True):
        if parts is None:
            if (name / ADAPTER_CONFIG).is_file() and not (name / "config.json").is_file():
                raise InputError(
                    f"{name}: an adapter, not a model", f"give its base too: BASE+{name}"
                )
            models.append(Checkpoint.open(name))
            continue
        base = Checkpoint.open(parts[0])
        adapter = read_adapter(parts[1], base)
        if ledger is not None:
            _count_left(base, parts[1], label, ledger, applied=folder is not None)
        models.append(base if folder is None else apply_adapter(base, adapter, folder / label))
    return models


def input_digests(names: Sequence[Path]) -> list[list[str]]:
    """The digests of folders, and of bases with an adapter that of both; reads all weights."""
    digests = []
    for name in names:
        base, *adapter = _split_adapter(str(name)) or (name,)
        digests.append([Checkpoint.open(base).digest, *(Files(part).digest for part in adapter)])
    return digests


def unify_vocabularies(
    models: Mapping[str, Checkpoint], first: str, folder: Path | None
) -> tuple[dict[str, Checkpoint], Ledger]:
    """The models on the union of their vocabularies, and a ledger; see ``align``.

    Models that encode alike and have as many rows are returned unchanged.

    Args:
        models: checkpoints by label, in order.
        first: label of the model whose token ids are kept.
        folder: where the models and a report are written; None only plans: the tensors of the
            result cannot be read.

    Raises:
        InputError: see ``align``.
        StorageError: the disk is full or the folder cannot be written.
    """
    mine = models[first]
    if all(
        encode_alike(first, mine, label, model) and stated_rows(model) == stated_rows(mine)
        for label, model in models.items()
    ):
        return dict(models), Ledger()
    aligned = align(models, first)
    return (aligned.plans() if folder is None else aligned.write(folder)), aligned.ledger


def _count_left(
    base: Checkpoint, adapter: Path, label: str, ledger: Ledger, *, applied: bool
) -> None:
    """Name the files beside an adapter, and those beside its base once it is written anew."""
    if applied:
        base.beside.count_left(ledger, label)
    others = files_beside(adapter, {ADAPTER_CONFIG, ADAPTER_WEIGHTS})
    for name in (*others.carried, *others.left):
        ledger.count("left: a file beside the adapter", 1, f"{adapter.name}: {name}")


def _split_adapter(name: str) -> tuple[Path, Path] | None:
    """Folders of base and adapter of ``BASE+ADAPTER``; None for the name of a folder."""
    if "+" not in name or Path(name).is_dir():
        return None
    # A folder's name may contain a plus too.
    pluses = [index for index, character in enumerate(name) if character == "+"]
    existing = [index for index in pluses if Path(name[:index]).is_dir()]
    index = (existing or pluses)[-1]
    return Path(name[:index]), Path(name[index + 1 :])
