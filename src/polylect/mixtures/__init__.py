"""Text sources, filters and splits, staged mixtures, tokens on disk, and the loader."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.mixtures.adjacent import AdjacentSource
    from polylect.mixtures.asked import EveryLanguage
    from polylect.mixtures.catalogs import SAMPLE_PACKAGES, CatalogSource, catalog_tag
    from polylect.mixtures.collect import SeemsOther, read_text, seems_other
    from polylect.mixtures.config import CollectConfig, OverlapConfig, TokenizerConfig
    from polylect.mixtures.contamination import overlap
    from polylect.mixtures.debian import DebianDocs
    from polylect.mixtures.fit_content import content_of_fit, left_out_table, price_table
    from polylect.mixtures.fitted import FittedRuns, TableConfig, fit_runs, held_out_errors
    from polylect.mixtures.folder import UNASKED, UNTOLD, FolderSource, language_lines
    from polylect.mixtures.instructing import TEMPLATED, instruct
    from polylect.mixtures.law_forms import SMOOTH, Law, LawName, features_of
    from polylect.mixtures.laws import deal_folds, fit_law, predict_left_out
    from polylect.mixtures.loader import make_loader
    from polylect.mixtures.markup import MarkupSource
    from polylect.mixtures.mixture import Mixture, Share, Stage, interleave, plan, uniform_shares
    from polylect.mixtures.no_effect import NoEffect, shares_matter
    from polylect.mixtures.plan_files import read_plan
    from polylect.mixtures.plan_remarks import plan_notes
    from polylect.mixtures.plan_sizes import read_sizes, text_sizes
    from polylect.mixtures.plan_tree import (
        Training,
        most_tokens,
        plan_ledger,
        tokens_saved,
        trainings_of,
    )
    from polylect.mixtures.plans import (
        LAST_RATE,
        Cooldown,
        Plan,
        PlannedRun,
        PlannedStage,
        RunStage,
        Sizes,
        Stream,
        planned_runs,
        stream_cells,
    )
    from polylect.mixtures.recommendation import FitConfig, LawErrors, Recommendation, recommend
    from polylect.mixtures.resampled import Interval
    from polylect.mixtures.run_table import (
        RUNS_FILE,
        RunTable,
        as_run_table,
        read_run_table,
        write_run_table,
    )
    from polylect.mixtures.scaling import largest_scale_error
    from polylect.mixtures.share_space import ShareSpace, candidates, space_around
    from polylect.mixtures.sources import TextSource
    from polylect.mixtures.stdlib import StandardLibrary
    from polylect.mixtures.steps import check_overlap, collect_text, train_tokenizer
    from polylect.mixtures.synthetic import SyntheticPrograms
    from polylect.mixtures.templates import (
        Template,
        TemplateSet,
        read_template_set,
        shipped_sets,
    )
    from polylect.mixtures.tokens import TokenizeConfig, TokenStore, tokenize_text, write_tokens
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
