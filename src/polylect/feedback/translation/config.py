"""Configuration of translating rows; never imports torch."""

from dataclasses import dataclass, field

from polylect.base import check_settings
from polylect.feedback.translation.gates import GatesConfig


@dataclass(frozen=True, kw_only=True)
class TranslateConfig:
    """Which rows become what.

    Attributes:
        to: languages that every row is translated to; one that is in the language already is left
            out there.
        source: language of the rows that are translated; empty for all.
        default_language: of rows that name none.
        keep_failed: keep rows of which a text fails a gate, marked ``failed``.
        gates: what a translation must pass.
    """

    to: tuple[str, ...]
    source: str = ""
    default_language: str = ""
    keep_failed: bool = False
    gates: GatesConfig = field(default_factory=GatesConfig)

    def __post_init__(self) -> None:
        check_settings(self)
