"""Languages that a user describes in a file: names, script, direction, family and resource class.

The file is named once, by ``--languages-file`` or in the environment, so that every process of a
run reads the same.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from polylect.base.decoding import decode
from polylect.base.errors import InputError
from polylect.base.files import read_json
from polylect.base.language_tags import standard_tag

ENVIRONMENT = "POLYLECT_LANGUAGES"
"""Environment variable with the path of the file."""


@dataclass(frozen=True, kw_only=True)
class StatedLanguage:
    """What a user states of a language; None is what is known anyway."""

    name: str | None = None
    """English name."""
    endonym: str | None = None
    """What its speakers call it."""
    script: str | None = None
    """ISO 15924 code."""
    direction: Literal["ltr", "rtl"] | None = None
    """Where a line begins."""
    family: str | None = None
    """Top-level family."""
    resource_class: int | None = None
    """Class of Joshi et al. 2020, 0 to 5."""

    def __post_init__(self) -> None:
        if self.resource_class is not None and not 0 <= self.resource_class <= 5:
            raise ValueError(f"resource_class is {self.resource_class}: give 0 to 5")
        for field in ("name", "endonym", "script", "family"):
            value = getattr(self, field)
            if value is not None and not value.strip():
                raise ValueError(f"{field} is empty")
        if self.script is not None and not (
            len(self.script) == 4 and self.script.isascii() and self.script.isalpha()
        ):
            raise ValueError(f"script is {self.script!r}: give an ISO 15924 code such as Latn")


def use_languages_file(path: Path | None) -> None:
    """Read languages from a file from now on, in this process and those that it starts.

    Raises:
        InputError: the file is missing, or a line of it is wrong.
    """
    if path is None:
        os.environ.pop(ENVIRONMENT, None)
        return
    _read(path.resolve())
    os.environ[ENVIRONMENT] = str(path.resolve())


def path_of_languages() -> Path | None:
    """The user's file of languages; None without one."""
    path = os.environ.get(ENVIRONMENT)
    return Path(path) if path else None


def stated_languages() -> Mapping[str, StatedLanguage]:
    """What the user's file says, by canonical tag; empty without a file.

    Raises:
        InputError: the file is missing, or a line of it is wrong.
    """
    path = os.environ.get(ENVIRONMENT)
    return _read(Path(path)) if path else {}


def tag_of_name(name: str) -> str | None:
    """The tag of a language that the user's file calls so."""
    wanted = name.strip().casefold()
    for tag, stated in stated_languages().items():
        if wanted in {(stated.name or "").casefold(), (stated.endonym or "").casefold()} - {""}:
            return tag
    return None


@lru_cache(maxsize=8)
def _read(path: Path) -> dict[str, StatedLanguage]:
    data = read_json(path)
    if not isinstance(data, dict):
        raise InputError(
            f"{path}: not an object of tags",
            '{"x-mine": {"name": "Mine", "script": "Latn"}}',
        )
    result: dict[str, StatedLanguage] = {}
    for text, fields in data.items():
        tag = standard_tag(text)
        if tag is None:
            raise InputError(f"{path}: {text!r} is no tag of a language", "such as cy or x-mine")
        if tag in result:
            raise InputError(f"{path}: {text!r} is there twice (as {tag})", "keep one of them")
        result[tag] = decode(StatedLanguage, fields, f"{path}: {text}")
    return result
