"""Errors, languages, digests, seeds, strict decoding, atomic files and the ledger."""

from polylect.base.decode import decode, did_you_mean, nearest
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
    read_json,
    read_text,
    remove_folder,
    sync,
    write_json,
    write_text,
)
from polylect.base.heavy import import_heavy, no_collection
from polylect.base.languages import (
    CODE,
    LANGUAGES,
    OTHER_LANGUAGES,
    Language,
    find_language,
    language,
)
from polylect.base.ledger import Ledger
from polylect.base.memory import give_back
from polylect.base.seeds import derive_seed, generator

__all__ = [
    "CODE",
    "LANGUAGES",
    "OTHER_LANGUAGES",
    "InputError",
    "Language",
    "Ledger",
    "PolylectError",
    "StorageError",
    "UndecidableError",
    "atomic_file",
    "canonical_json",
    "decode",
    "derive_seed",
    "did_you_mean",
    "digest_bytes",
    "digest_file",
    "digest_folder",
    "digest_of",
    "file_digests",
    "find_language",
    "generator",
    "give_back",
    "import_heavy",
    "json_value",
    "language",
    "nearest",
    "no_collection",
    "plain",
    "read_json",
    "read_text",
    "remove_folder",
    "storage_error",
    "sync",
    "write_json",
    "write_text",
]
