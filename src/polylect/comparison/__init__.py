"""Who gained and who paid between two checkpoints: paired, worst-hurt language first."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.comparison.cells import pair
    from polylect.comparison.load import ScoredModel, read_sides, with_directions
    from polylect.comparison.metrics import Metrics, is_share, scale, unit
    from polylect.comparison.paired import GAINED, OPEN, PAID, Comparison, compare
    from polylect.comparison.sentences import about, claims, interval_of, name_of, value_of
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
