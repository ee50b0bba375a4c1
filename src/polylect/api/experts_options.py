"""The options of the verbs about mixtures of experts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.base import Count, NonNegative, Seed, Share, Threads, check_settings

_Folder = Annotated[Path, Mark(metavar="DIR")]


@dataclass(frozen=True, kw_only=True)
class DomainOptions:
    """How the text of a domain becomes its vector."""

    encoder: str = ""
    """What sees the texts: hidden:CHECKPOINT (mean hidden states; hidden:DIR#layer=6),
    sentence:FOLDER-or-PACKAGE, vectors:FILE (made elsewhere), hashed ngrams,
    function:FILE.py:NAME. Default: hidden states of the seed model; the encoder of the mixture."""
    domain_texts: Count = 1000
    """Most texts of a domain that its vector is the mean of; which, depends on --seed and on what
    they say."""
    default_language: str = ""
    """Language tag of all text without one. Default: it is identified."""
    cache: Path | None = None
    """Folder of the cache of vectors. Default: OUT-vectors, beside --out."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class UpcycleOptions:
    """Make one mixture of experts of a seed model and dense models that were trained from it.

    The seed's feed-forwards become the shared expert, those of the experts the routed ones, copied
    to the bit; every other tensor is the average of the experts' (Nexus). Writes a checkpoint in
    Hugging Face layout, which 'polylect train' trains further; memory stays flat.

    Examples:
        polylect experts upcycle --seed-model S --experts de fr --data de.jsonl fr.jsonl
        polylect experts upcycle --seed-model S --experts de fr --router linear --out moe
        polylect experts upcycle --seed-model S --experts de fr code --data d f c --encoder ngrams
    """

    seed_model: _Folder
    """The model that the experts were trained from: a folder in Hugging Face layout."""
    experts: Annotated[tuple[Path, ...], Mark(metavar="DIR ...")]
    """Dense experts, at least two, in order."""
    data: tuple[Path, ...] = ()
    """File or folder of text that an expert learned, one per expert in order: plain text, JSON
    lines or Parquet with text and language. A linear and an oracle router can do without."""
    expert_names: tuple[str, ...] = ()
    """Names of the experts, in order. Default: those of their folders."""
    router: Literal["nexus", "linear", "mlp", "oracle"] = "nexus"
    """nexus: rows computed from domain vectors. linear: a free row per expert. mlp: two layers with
    as many parameters as nexus. oracle: the expert is given with each token's domain."""
    experts_per_token: Count = 1
    """Routed experts per token."""
    aux_loss: NonNegative = 0.05
    """Coefficient of the load-balancing loss, which training reads in config.json."""
    domain: Group[DomainOptions] = field(default_factory=DomainOptions)
    seed: Seed = 0
    """Seed of the router's first weights, and of the texts that are drawn."""
    threads: Threads | None = None
    """CPU threads. An encoder's vectors depend on them by their rounding, nothing else does.
    Default: OMP_NUM_THREADS, or all cores."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class ExtendOptions:
    """Append an expert to a mixture of experts; the old experts keep every bit.

    A nexus router gets no new parameter, only the vector of the new domain. Every tensor outside of
    the experts becomes (1 − λ) · the mixture's + λ · the expert's, λ = 1/(n+1). Train it on some of
    the new text afterwards.

    Examples:
        polylect experts extend moe --expert code --data code.jsonl --out moe-code
        polylect experts extend moe --expert code --data code.jsonl --expert-weight 0
        polylect experts extend moe --expert law --data law/ --router-rows reset --out moe-law
    """

    model: Positional[_Folder]
    """A folder in Hugging Face layout: the mixture of experts, trained or not."""
    expert: _Folder
    """The dense model to append, of the mixture's family and seed."""
    data: Path | None = None
    """File or folder of text that the expert learned; only a linear, mlp or oracle router can do
    without."""
    name: str = ""
    """Name of the expert. Default: that of its folder."""
    expert_weight: Share | None = None
    """Weight λ of the expert in the average outside of the experts; 0 leaves the mixture's.
    Default: 1/(n+1)."""
    router_rows: Literal["append", "reset"] = "append"
    """Rows of a linear or mlp router: append one, or draw all anew."""
    domain: Group[DomainOptions] = field(default_factory=DomainOptions)
    seed: Seed = 0
    """Seed of new rows of the router, and of the texts that are drawn."""
    threads: Threads | None = None
    """CPU threads. An encoder's vectors depend on them by their rounding, nothing else does.
    Default: OMP_NUM_THREADS, or all cores."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class RemoveOptions:
    """Remove an expert from a mixture of experts; all that is left keeps every bit.

    Examples:
        polylect experts remove moe code --out moe-without-code
        polylect experts remove runs/moe de
        polylect experts remove moe code --max-shard-bytes 2000000000 --out small
    """

    model: Positional[_Folder]
    """A folder in Hugging Face layout: the mixture of experts."""
    name: Positional[Annotated[str, Mark(metavar="NAME")]]
    """Name of the expert."""
    threads: Threads | None = None
    """CPU threads. Default: OMP_NUM_THREADS, or all cores."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Write a mixture of experts in an architecture that others serve, its logits equal.

    Llama, Mistral without a sliding window and Qwen 2 become qwen2_moe, the router folded into its
    rows; Cohere 2 becomes cohere2_moe where every expert is taken. Others are refused, with the
    reason.

    Examples:
        polylect experts export moe --out moe-served
        polylect experts export runs/moe
        polylect experts export moe --threads 2 --out served
    """

    model: Positional[_Folder]
    """A folder in Hugging Face layout: the mixture of experts."""
    threads: Threads | None = None
    """CPU threads. Default: OMP_NUM_THREADS, or all cores."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class ClustersOptions:
    """Divide text without labels into domains: spherical k-means on the vectors of its texts.

    Writes cluster-1.jsonl …, each to train an expert on and to give as its --data, and
    clusters.parquet. The largest cluster is the first.

    Examples:
        polylect experts clusters texts --num 4 --out clusters
        polylect experts clusters web.jsonl wiki.jsonl --num 6 --encoder hidden:base
        polylect experts clusters crawl/ --num 8 --encoder ngrams --seed 1
    """

    data: Annotated[Positional[tuple[Path, ...]], Mark(metavar="DATA ...")]
    """File or folder of text, or several: plain text, JSON lines or Parquet with text and
    language."""
    num: Count = 4
    """Number of clusters."""
    encoder: str = "ngrams"
    """What sees the texts: hashed ngrams, hidden:CHECKPOINT (mean hidden states;
    hidden:DIR#layer=6), sentence:FOLDER-or-PACKAGE, vectors:FILE, function:FILE.py:NAME."""
    restarts: Count = 8
    """Starts, of which the best is kept."""
    seed: Seed = 0
    """Seed of the starts."""
    default_language: str = ""
    """Language tag of all text without one. Default: it is identified."""
    cache: Path | None = None
    """Folder of the cache of vectors. Default: OUT-vectors, beside --out."""
    threads: Threads = 1
    """CPU threads of the encoder; the bytes of the result depend on it."""
    output: Group[Output] = field(default_factory=Output)
