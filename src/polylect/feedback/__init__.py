"""Feedback: pools of answers, routes and preferences made of them; needs a trained reward."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.feedback.best_of_n import kept_groups, run_answers, run_ranked
    from polylect.feedback.checking import FORM, KEY, Checked, agreement_rows, read_form
    from polylect.feedback.config import AnswersConfig, RankedConfig
    from polylect.feedback.learned_router import (
        LearnedRouter,
        kl_loss,
        reward_distribution,
        train_router,
    )
    from polylect.feedback.pair_presets import PAIR_PRESETS, PairPreset, wanted_pairs
    from polylect.feedback.paired_answers import Pair
    from polylect.feedback.pairing import (
        HELD_OUT_INPUT,
        ORIGINS,
        PAIRS_ABOUT,
        PAIRS_FILE,
        pairs_of,
        preference_of,
        run_pairs,
        write_pairs,
    )
    from polylect.feedback.pool_config import (
        KINDS,
        ROUTERS,
        Kind,
        PairsConfig,
        PoolConfig,
        RouteConfig,
        Router,
        ScoreConfig,
        TeacherConfig,
    )
    from polylect.feedback.pool_files import (
        POOL,
        POOL_PROMPTS,
        REWARD,
        REWARD_ABOUT,
        REWARDS,
        TEACHERS,
        PoolRewards,
        by_prompt,
        is_answer,
        pool_file,
        read_pool,
        read_rewards,
        reward_folder,
        teachers_of,
        write_rewards,
    )
    from polylect.feedback.pooling import (
        CHOICES,
        CHOICES_INPUT,
        NOT_TOLD,
        REUSED_INPUT,
        TEACHER_INPUT,
        asked_of,
        identified,
        run_pool,
    )
    from polylect.feedback.route_figures import ALL_LANGUAGES
    from polylect.feedback.routers import (
        Trained,
        calibration_part,
        preferences_of,
        routed_rows,
        train_routers,
    )
    from polylect.feedback.routing import (
        CONVERSATIONS,
        GAINS,
        MATRIX,
        ROUTE,
        ROUTED,
        RouteInputs,
        check_judge,
        run_route,
    )
    from polylect.feedback.scoring import ScoreInputs, reward_digest, run_score, without_length
    from polylect.feedback.steps import answers, pairs, pool, ranked, route, score, translate
    from polylect.feedback.stored_teachers import models_in, stored_answers
    from polylect.feedback.translation.config import TranslateConfig
    from polylect.feedback.translation.find import TRANSLATOR_FORMS, find_translator
    from polylect.feedback.translation.gates import GATES, GatesConfig, failed_gates
    from polylect.feedback.translation.keeping import find_kept, not_kept
    from polylect.feedback.translation.protocol import (
        Traits,
        Translator,
        TranslatorSource,
        check_pairs,
    )
    from polylect.feedback.translation.running import (
        FAILED_TEXTS,
        TRANSLATED_ANSWERS,
        TRANSLATED_ROWS,
        TRANSLATION_COUNTS,
        TranslateInputs,
        check_translator,
        rows_by_pair,
    )
    from polylect.feedback.translation.served import INSTRUCTION
    from polylect.feedback.translation.translated_rows import read_any_rows, texts_of
    from polylect.feedback.translation.translating import Translated, translate_texts
    from polylect.feedback.translationese.classifier import fit_classifier, held_out
    from polylect.feedback.translationese.lexical import (
        function_words,
        lexical_density,
        moving_ttr,
        words_of,
    )
    from polylect.feedback.translationese.measuring import (
        SeenText,
        measure_translationese,
        read_texts,
    )
    from polylect.feedback.translationese.word_order import monotony
    from polylect.feedback.usable_answers import RouterTable, in_its_language, router_table
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
