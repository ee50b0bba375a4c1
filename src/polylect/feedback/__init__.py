"""Feedback: preferences made from scored answers; needs a trained reward."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.feedback.best_of_n import run_answers, run_ranked
    from polylect.feedback.config import AnswersConfig, RankedConfig
    from polylect.feedback.steps import answers, ranked, translate
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
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
