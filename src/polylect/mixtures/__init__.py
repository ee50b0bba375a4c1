"""Text sources, filters and splits, staged mixtures, tokens on disk, and the loader."""

from polylect.mixtures.catalogues import CatalogueSource
from polylect.mixtures.config import CollectConfig, OverlapConfig, TokenizerConfig
from polylect.mixtures.debian import DebianDocs
from polylect.mixtures.folder import FolderSource
from polylect.mixtures.loader import Loader, make_loader
from polylect.mixtures.mixture import Mixture, Share, Stage, interleave, plan, uniform_shares
from polylect.mixtures.overlap import overlap
from polylect.mixtures.sources import TextSource
from polylect.mixtures.stdlib import StandardLibrary
from polylect.mixtures.tokens import TokeniseConfig, TokenStore, tokenise_text, write_tokens
from polylect.mixtures.verbs import check_overlap, collect_text, train_tokenizer

__all__ = [
    "CatalogueSource",
    "CollectConfig",
    "DebianDocs",
    "FolderSource",
    "Loader",
    "Mixture",
    "OverlapConfig",
    "Share",
    "Stage",
    "StandardLibrary",
    "TextSource",
    "TokenStore",
    "TokeniseConfig",
    "TokenizerConfig",
    "check_overlap",
    "collect_text",
    "interleave",
    "make_loader",
    "overlap",
    "plan",
    "tokenise_text",
    "train_tokenizer",
    "uniform_shares",
    "write_tokens",
]
