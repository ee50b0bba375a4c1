"""The prompts of a file, checked before anything is spent on them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from polylect.base import InputError, Ledger, did_you_mean
from polylect.base import language as language_of
from polylect.rows import Prompt, decode_row, read_dicts

IGNORED = "ignored: column"
_KNOWN = tuple(one.name for one in dataclasses.fields(Prompt))
_NEEDED = ("id", "language", "prompt")


def read_prompts(path: Path, ledger: Ledger) -> list[Prompt]:
    """The prompts of JSON lines or Parquet, in the order of the file.

    A row has ``id``, ``language`` and ``prompt``, and may have ``system``, ``category`` and
    ``origin``. Further columns are counted in the ledger and not read. Aliases of a language
    become its tag.

    Raises:
        InputError: no prompt, a row that does not fit, or a prompt that is there twice in one
            language; names file and line.
    """
    found: list[Prompt] = []
    seen: dict[tuple[str, str], str] = {}
    for where, data in read_dicts(path):
        known = {name: data[name] for name in _KNOWN if data.get(name) is not None}
        for name in data.keys() - set(_KNOWN):
            ledger.count(IGNORED, 1, name)
        _check_needed(where, data)
        if isinstance(known["id"], int) and not isinstance(known["id"], bool):
            known["id"] = str(known["id"])
        one = decode_row(Prompt, known, where)
        one = dataclasses.replace(one, language=language_of(one.language, where).tag)
        earlier = seen.setdefault((one.id, one.language), where)
        if earlier != where:
            raise InputError(
                f"{where}: prompt {one.id!r} in {one.language} is there already ({earlier})",
                "give every prompt an id of its own",
            )
        found.append(one)
    if not found:
        raise InputError(f"{path}: no prompt", "a line is an object with id, language and prompt")
    return found


def _check_needed(where: str, data: dict[str, object]) -> None:
    for name in _NEEDED:
        if data.get(name) is None:
            others = [one for one in data if one not in _KNOWN]
            hint = did_you_mean(name, others) or f"there are {', '.join(map(str, data)) or 'none'}"
            raise InputError(f"{where}: {name!r} is missing", hint)


def first_of_each(prompts: Sequence[Prompt], limit: int | None) -> list[Prompt]:
    """The first ``limit`` prompts of every language; all where there is no limit."""
    if limit is None:
        return list(prompts)
    counts: dict[str, int] = {}
    found = []
    for one in prompts:
        counts[one.language] = counts.get(one.language, 0) + 1
        if counts[one.language] <= limit:
            found.append(one)
    return found
