"""Experts: dense specialists upcycled into a mixture of experts, which grows by one command."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.experts.clustering import (
        ClusterConfig,
        Clusters,
        cluster_texts,
        find_clusters,
        write_clusters,
    )
    from polylect.experts.config import ExtendConfig, RouterRows, UpcycleConfig
    from polylect.experts.domains import (
        Domains,
        DomainText,
        domain_encoder,
        domain_records,
        embed_domain,
        find_domains,
        mixture_encoder,
        read_domain,
    )
    from polylect.experts.engine import RECORD, Output, Written
    from polylect.experts.exporting import EXPORTED_BY, export, prepare_export
    from polylect.experts.extending import ReadyExtension, extend, prepare_extension
    from polylect.experts.nexus_checkpoint import NexusCheckpoint
    from polylect.experts.place_of_encoder import PLACE
    from polylect.experts.removing import prepare_removal, remove
    from polylect.experts.report_figures import (
        check_mixture,
        geometry,
        own_shares,
        sizes,
        training_cost,
        use_of_experts,
    )
    from polylect.experts.report_texts import (
        ReportDomain,
        ReportSource,
        ReportText,
        check_whose_text,
        read_report_texts,
        report_sources,
    )
    from polylect.experts.routing import own_counts, shares, unused_experts
    from polylect.experts.steps import extend_experts, remove_expert, upcycle_experts
    from polylect.experts.upcycling import ReadyUpcycle, prepare_upcycle, upcycle
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
