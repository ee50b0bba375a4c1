"""Quantising: every scheme of the multilingual study, calibration by language, the damage.

Importing this package imports no torch: what needs it is loaded when first named.
"""

from typing import TYPE_CHECKING, Any

from polylect.base import import_heavy
from polylect.quantize.config import (
    SCHEMES,
    CalibrationConfig,
    QuantizeConfig,
    Scheme,
    group_for,
    largest_divisor,
    scheme_named,
)
from polylect.quantize.verbs import quantize_checkpoint

if TYPE_CHECKING:
    from polylect.quantize.calibration import Calibration, read_calibration
    from polylect.quantize.damage import Damage
    from polylect.quantize.engine import Prepared, QuantizeResult, prepare, quantize

_HEAVY = {
    "Calibration": "calibration",
    "read_calibration": "calibration",
    "Damage": "damage",
    "Prepared": "engine",
    "QuantizeResult": "engine",
    "prepare": "engine",
    "quantize": "engine",
}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(import_heavy(f"polylect.quantize.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "SCHEMES",
    "Calibration",
    "CalibrationConfig",
    "Damage",
    "Prepared",
    "QuantizeConfig",
    "QuantizeResult",
    "Scheme",
    "group_for",
    "largest_divisor",
    "prepare",
    "quantize",
    "quantize_checkpoint",
    "read_calibration",
    "scheme_named",
]
