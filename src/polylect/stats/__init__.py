"""Statistics: clustered errors, simultaneous intervals, proportions, exact tests, agreement."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.stats.agreement import kappa, krippendorff
    from polylect.stats.clustered import cluster_mean_and_se, student_half_width
    from polylect.stats.exact_tests import holm, mcnemar
    from polylect.stats.max_t import MIN_CLUSTERS, Family, Widths, simultaneous
    from polylect.stats.proportions import Share, mean_of, wilson
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
