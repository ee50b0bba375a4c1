"""Tokenizers, language identification, packing and fertility."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.text.borders import (
        APART,
        RESPELLED,
        CutText,
        cut_at_borders,
        cut_like_lm_eval,
    )
    from polylect.text.chat import ChatTemplate, template_input
    from polylect.text.chrf import chrf_metric, sentence_chrf
    from polylect.text.duplicates import SIMILARITY, duplicate_groups, near_duplicates
    from polylect.text.identifiers import (
        DEFAULT_IDENTIFIER,
        TextIdentifier,
        identifier_tells,
        is_same,
        open_identifier,
    )
    from polylect.text.identify import (
        Guess,
        check_identifier,
        chinese_script,
        identify_all,
        known_tags,
        most_probable,
        tag_of_label,
    )
    from polylect.text.normal_form import normalized
    from polylect.text.packing import Segment, TokenBatch, pack, pack_rows, split_document
    from polylect.text.prefixes import Node, path_of, prefix_tree, sort_sequences
    from polylect.text.recall import Recall, measured
    from polylect.text.scripts import in_its_script, letter_script, written_script
    from polylect.text.sentences import split_sentences
    from polylect.text.special_tokens import PARSED, SPELLED, SpecialTokens, count_special
    from polylect.text.templated import (
        LearnedTurns,
        RenderedAnswer,
        RenderedChat,
        Templated,
        spells_special,
        up_to_learned,
    )
    from polylect.text.tokenizer import Tokenizer, no_row, train_bpe
    from polylect.text.tokenizer_conversion import convert_tokenizer
    from polylect.text.tokenizer_fertility import fertility
    from polylect.text.turns import (
        ALTERED,
        Continued,
        Style,
        has_template,
        style_or_plain,
        template_of,
    )
    from polylect.text.words import (
        SCRIPTS_IN_CHARACTERS,
        SCRIPTS_WITH_DICTIONARY,
        split_words,
        words_rule,
    )
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
