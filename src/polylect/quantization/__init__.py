"""Quantization: every scheme of the multilingual study, calibration by language, the damage."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.quantization.calibration import Calibration, read_calibration
    from polylect.quantization.config import (
        RECORD,
        SCHEMES,
        SHARES,
        CalibrationConfig,
        QuantizeConfig,
        Scheme,
        automatic_group,
        group_for,
        scheme_named,
    )
    from polylect.quantization.damage import Damage
    from polylect.quantization.engine import (
        QUANTIZE_VERSION,
        Prepared,
        check_variants,
        lineage_of,
        prepare,
        quantize,
    )
    from polylect.quantization.plan import refuse_quantized
    from polylect.quantization.steps import quantize_checkpoint
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
