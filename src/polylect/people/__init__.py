"""People: what can be learned of users who disagree, whom it serves, and what it costs whom."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.people.consistency import Consistency
    from polylect.people.crowd import Crowd, Seen, Text, crowd_of
    from polylect.people.description import (
        MIN_OVERLAP,
        ONE_OTHER,
        Description,
        Figure,
        describe,
    )
    from polylect.people.facets import (
        ALL_PAIRS,
        Curves,
        Facet,
        Ranked,
        measure_facets,
        overtakes,
        pair_slices,
        pairs_needed,
    )
    from polylect.people.general import SECTIONS, STYLES, General, read_general
    from polylect.people.leaks import Leak, check_split, find_leaks
    from polylect.people.ngrams import NGRAMS, see_ngrams
    from polylect.people.persona import TRAITS, persona_crowd
    from polylect.people.protocol import Method, Model
    from polylect.people.ratings import Rating, crowd_of_ratings, read_ratings
    from polylect.people.readers import SCHEMAS, read_published, read_translation_scores
    from polylect.people.reading import read_crowd, read_texts
    from polylect.people.registry import METHODS, WITH_A_MODEL, find_method
    from polylect.people.rewards import PEOPLE, UNKNOWN_USER, PeopleSource, people_source
    from polylect.people.saved import Origin, load_model, read_origin, save_model
    from polylect.people.seeing import encoder_of, see
    from polylect.people.splits import SPLIT_KINDS, Split, split_crowd
    from polylect.people.study import ReadConfig, StudyConfig, Trials, read_rows, run_study
    from polylect.people.study_result import (
        Study,
        few_figures,
        hidden_figures,
        study_json,
        study_of,
    )
    from polylect.people.tax import Limited, Tax, limit_tax, measure_tax
    from polylect.people.trials import NUMBERS, Parts, Trial, divide, run_trial
    from polylect.people.verdicts import Verdict, method_verdicts
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
