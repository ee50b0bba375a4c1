"""The options of the verbs about mixtures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from polylect.api.fields import Group, Mark, Output, Positional, Switch
from polylect.base import Positive, Range, Seed

_Laws = tuple[Literal["linear", "quadratic", "log-linear", "log-root", "boosted"], ...]


@dataclass(frozen=True, kw_only=True)
class MixturePlanOptions:
    """The exact tokens of every run, stage, stream and language, before anything is trained.

    A plan is a table in TOML or a Python file with a function plan(). It is refused where it cannot
    be: a stream without text, or more passes over a text than its epochs allow. Say how much text
    there is with --sizes or with --text and --tokenizer. Writes ledger.parquet, plan.json and
    index.html.

    Examples:
        polylect mixture plan code.toml --sizes tokens.csv
        polylect mixture plan code.toml --sizes runs/pretrain --out plan
        polylect mixture plan sweep.py:wide --text corpus --tokenizer model
    """

    plan: Positional[Annotated[str, Mark(metavar="FILE")]]
    """A plan: FILE.toml, FILE.py or FILE.py:function."""
    sizes: Path | None = None
    """Tokens of text by language and source: a folder of tokens, the run that made one, or a table
    with columns language, source, tokens (CSV, JSON lines, Parquet; TOML: [de] books = 40_000)."""
    text: Path | None = None
    """Folder or file of your own text; its tokens are counted with --tokenizer."""
    tokenizer: Path | None = None
    """Folder with a tokenizer or a model, or tokenizer.json; of --text."""
    default_language: str = ""
    """Language tag of all text without one. Default: it is identified."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class MixtureFitOptions:
    """Fit laws to trained runs: the mixture that they recommend, and what it does to each language.

    Laws are compared on mixtures left out, with all their seeds. A change is recommended where
    shares explain losses better than chance, and where the gain is separable from none; else the
    reference stays. Writes fit.json, left_out.parquet, prices.parquet and index.html.

    Examples:
        polylect mixture fit runs/code
        polylect mixture fit runs.csv --rule worst --reference text=0.9 code=0.1
        polylect mixture fit runs/code --allowed code=0.05..0.4 --at-scale 4
    """

    runs: Annotated[Path, Mark(positional=True, takes_tables=True)]
    """Trained runs: the folder of a finished recipe of mixtures, or a table in CSV, JSON lines or
    Parquet with columns share:STREAM and loss:CELL; RegMix's table of mixtures with --losses."""
    losses: Path | None = None
    """RegMix's table of losses, joined with its table of mixtures by index."""
    rule: Literal["average", "worst", "nobody-pays"] = "average"
    """Best average gain over all languages; best gain of the worst-off one; or best average among
    mixtures that cost no language anything."""
    laws: _Laws = ("linear", "quadratic", "log-linear", "log-root")
    """Laws to compare; boosted is RegMix's, of polylect[fit]. The one with the smallest error on
    mixtures left out is used."""
    reference: Annotated[tuple[str, ...], Mark(metavar="STREAM=SHARE ... or NAME")] = ()
    """Reference that a change is measured from: the share of each stream, the name of a run or
    variant, or mean. Default: the mixture of the first run."""
    allowed: Annotated[Mapping[str, str], Mark(metavar="STREAM=LOW..HIGH")] = field(
        default_factory=dict
    )
    """Smallest and largest share of a stream. Default: those of any run: nothing is recommended
    that no run came near."""
    cells: tuple[str, ...] = ()
    """Languages or kinds of text whose losses count, each alike. Default: all."""
    by_stage: Switch = False
    """Recommend a share of every stream in every stage; the stages keep their lengths."""
    only_scale: Positive | None = None
    """The scale whose runs are fitted. Default: the largest of those with the most mixtures."""
    at_scale: Positive | None = None
    """Scale to recommend for, which need not have been run, by a fit over all scales; three are
    needed."""
    held_out_runs: Path | None = None
    """Runs that are not fitted: every law's errors on them are reported."""
    held_out_losses: Path | None = None
    """RegMix's table of losses of --held-out-runs."""
    p_value: Annotated[float, Range(above=0, below=1)] = 0.05
    """Largest p-value of no effect of shares at which a change is recommended."""
    resamples: Annotated[int, Range(20)] = 200
    """Bootstrap resamples of the mixtures, for intervals; 20 at least, of a boosted fit no more."""
    folds: Annotated[int, Range(2, float("inf"))] | None = None
    """Parts in which mixtures are left out. Default: each alone up to 128 mixtures, else 64; ten
    with a boosted fit."""
    seed: Seed = 0
    """Seed of folds, permutations, resamples and candidates."""
    output: Group[Output] = field(default_factory=Output)
