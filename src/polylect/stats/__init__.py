"""Statistics: clustered errors, simultaneous intervals, proportions, exact tests, agreement."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.stats.agreement import cohen_kappa, krippendorff_alpha, weighted_kappa
    from polylect.stats.clustered import (
        cluster_bootstrap,
        cluster_interval,
        cluster_mean_and_se,
        student_half_width,
    )
    from polylect.stats.correlation import rank_correlation
    from polylect.stats.exact_tests import holm, mcnemar_exact
    from polylect.stats.proportions import (
        Proportion,
        mean_proportion,
        score_bounds,
        two_sided_z,
        wilson_interval,
    )
    from polylect.stats.shares import effective_numbers, share_interval, share_of_counts
    from polylect.stats.simultaneous import MIN_CLUSTERS, ClaimFamily, Widths, max_t
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
