"""Errors, languages, digests, seeds, strict decoding, atomic files and the ledger."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.base.confusable_names import count_look_alikes, look_alike_lines, look_alikes
    from polylect.base.decoding import as_key, check_known, decode, did_you_mean, nearest
    from polylect.base.digests import (
        canonical_json,
        digest_bytes,
        digest_file,
        digest_folder,
        digest_of,
        file_digests,
        json_value,
        plain,
    )
    from polylect.base.errors import (
        InputError,
        PolylectError,
        StorageError,
        UndecidableError,
        storage_error,
    )
    from polylect.base.files import (
        atomic_file,
        is_pointer,
        not_utf8,
        read_json,
        read_text,
        refuse_pointer,
        remove_folder,
        sync,
        write_json,
        write_text,
    )
    from polylect.base.heavy import gc_paused, import_heavy, import_optional
    from polylect.base.json_text import check_leaf, parse_json, whole_text
    from polylect.base.key_values import parse_numbers, parse_pairs
    from polylect.base.language_names import (
        NO_CLASS,
        UNKNOWN,
        UNKNOWN_SCRIPT,
        class_of,
        english_name,
        family_of,
        is_registered,
        likely_script,
        parts_of,
        scripts_of,
    )
    from polylect.base.language_tags import standard_tag
    from polylect.base.languages import (
        CODE,
        LANGUAGES,
        Language,
        canonical_tag,
        described,
        fallback_tags,
        find_language,
        language,
        nearest_tag,
        reading_notes,
    )
    from polylect.base.languages_file import path_of_languages, use_languages_file
    from polylect.base.ledger import Ledger
    from polylect.base.memory import release_memory
    from polylect.base.nouns import numbered
    from polylect.base.ranges import (
        ANY,
        Count,
        CountOrZero,
        Finite,
        NamesFunction,
        NonNegative,
        NumSamples,
        Positive,
        Range,
        Seed,
        Share,
        Threads,
        Verbatim,
        check_once,
        check_settings,
        check_value,
        named_functions,
        range_of,
    )
    from polylect.base.renamed import FORMER_NAMES, current_names
    from polylect.base.seeds import derive_seed, generator
    from polylect.base.threads import one_blas_thread
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
