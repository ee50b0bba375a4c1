"""The text of a plan's streams: read, tokenized once for all runs, and the plan fitted to it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from polylect.base import CODE, InputError, check_known
from polylect.mixtures import (
    AdjacentSource,
    CatalogSource,
    CollectConfig,
    FolderSource,
    MarkupSource,
    Plan,
    Sizes,
    StandardLibrary,
    SyntheticPrograms,
    TextSource,
    TokenizeConfig,
    TokenizerConfig,
    TokenStore,
    collect_text,
    most_tokens,
    plan_ledger,
    plan_notes,
    tokenize_text,
    train_tokenizer,
)
from polylect.models import shape_for
from polylect.recipes.mixtures.options import TOKENS, CodeConfig, MixtureConfig
from polylect.rows import Split
from polylect.runs import Artifact, Run

TOKENS_PER_STEP = 1024
"""Tokens per update, as in the other recipes."""

Plans = Callable[[int, Sizes], Sequence[Plan]]
"""A recipe's own plans, from the tokens of a full run and the text at hand."""


@dataclass(frozen=True)
class Prepared:
    """What is known before any training.

    Attributes:
        corpus: from ``collect_text``.
        tokens: from ``tokenize_text``.
        plans: that are trained, as the options change them.
        sizes: tokens of the text at hand, by language and source.
        notes: what was made of the defaults and of the user's plan, for the terminal.
    """

    corpus: Artifact
    tokens: Artifact
    plans: tuple[Plan, ...]
    sizes: dict[tuple[str, str], int]
    notes: tuple[str, ...]


def prepare(run: Run, config: MixtureConfig, sources: Sequence[TextSource]) -> "_Texts":
    """Read the text, train the tokenizer, and tokenize."""
    corpus = run.step(
        collect_text,
        "text",
        CollectConfig(
            languages=_with_code(config, sources),
            identifier=config.identifier,
            seed=config.seed,
        ),
        {source.name: source for source in sources},
    )
    tokenizer = run.step(
        train_tokenizer,
        "tokenizer",
        TokenizerConfig(vocab_size=config.vocab_size, temperature=config.language_temperature),
        {"corpus": corpus},
    )
    tokens = run.step(
        tokenize_text, "tokens", TokenizeConfig(), {"corpus": corpus, "tokenizer": tokenizer}
    )
    return _Texts(corpus, tokens, TokenStore(tokens.path, Split.TRAIN).sizes())


def _with_code(config: MixtureConfig, sources: Sequence[TextSource]) -> tuple[str, ...]:
    """The languages asked for, and code, where a source besides the text is read."""
    if not config.languages or CODE.tag in config.languages or len(sources) == 1:
        return config.languages
    return (*config.languages, CODE.tag)


@dataclass(frozen=True)
class _Texts:
    corpus: Artifact
    tokens: Artifact
    sizes: dict[tuple[str, str], int]

    def fitted(self, config: MixtureConfig, own: Plans, users: Plan | None = None) -> Prepared:
        """The plans for this text: the user's, or the recipe's with as many tokens as it gives.

        Raises:
            InputError: a stream without text, more tokens than text and epoch caps give, or a model
                too small for its vocabulary.
        """
        notes: list[str] = []
        if users is not None:
            plans = [changed(users, config)]
            notes += plan_notes(users)
            if config.tokens:
                plans = [replace(plan, tokens=config.tokens) for plan in plans]
        else:
            tokens = config.tokens or self._default(config, own, notes)
            plans = [changed(plan, config) for plan in own(tokens, self.sizes)]
        vocab_size = TokenStore(self.tokens.path, Split.TRAIN).tokenizer().vocab_size
        for plan in plans:
            plan_ledger(plan, self.sizes)
            for scale in plan.scales:
                shape_for(max(1, round(plan.num_parameters * scale)), vocab_size)
        return Prepared(self.corpus, self.tokens, tuple(plans), self.sizes, tuple(notes))

    def _default(self, config: MixtureConfig, own: Plans, notes: list[str]) -> int:
        """The default tokens, or as many as the text gives."""
        plans = [changed(plan, config) for plan in own(TOKENS, self.sizes)]
        fits = min(most_tokens(plan, self.sizes) / plan.tokens for plan in plans)
        if fits >= 1:
            return TOKENS
        most = int(TOKENS * fits)
        tokens = max(most // TOKENS_PER_STEP * TOKENS_PER_STEP, min(most, TOKENS_PER_STEP), 1)
        notes.append(
            f"--tokens {tokens:,} in place of {TOKENS:,}: the text gives no more within its epochs"
        )
        return tokens


def changed(plan: Plan, config: MixtureConfig) -> Plan:
    """A plan with what the options say in place of its own."""
    num_seeds = config.seeds or len(plan.seeds)
    seeds = tuple(range(config.seed, config.seed + num_seeds))
    return replace(
        plan,
        budget=config.budget or plan.budget,
        scales=config.scales or plan.scales,
        num_parameters=config.num_parameters or plan.num_parameters,
        learning_rate=config.learning_rate or plan.learning_rate,
        max_epochs=config.max_epochs or plan.max_epochs,
        seeds=seeds if config.seeds or config.seed else plan.seeds,
        stop_at_width=config.stop_at_width or plan.stop_at_width,
        most_tokens=config.most_tokens or plan.most_tokens,
    )


def text_source(config: MixtureConfig) -> TextSource:
    """Text in natural languages: the user's, or the sample text."""
    if config.text is None:
        return CatalogSource()
    return FolderSource(config.text, name="text", identifier=config.identifier)


def code_sources(config: CodeConfig, users: Plan | None) -> list[TextSource]:
    """Text, and the kinds of code that the plans name: all of them where the plan is our own.

    Args:
        config: where the user's own text lies.
        users: the user's plan.

    Raises:
        InputError: the user's plan names another source of code.
    """
    code = CODE.tag
    of_code: dict[str, Callable[[], TextSource]] = {
        "web": partial(FolderSource, config.web, code, "web") if config.web else StandardLibrary,
        "markup": partial(MarkupSource, config.markup),
        "adjacent": partial(AdjacentSource, config.adjacent),
        "synthetic": partial(FolderSource, config.synthetic_code, code, "synthetic")
        if config.synthetic_code
        else partial(SyntheticPrograms, num_problems=config.problems, seed=config.seed),
    }  # fmt: skip
    wanted = _named_sources(users, config.plan, of_code) if users else set(of_code)
    return [text_source(config), *(make() for name, make in of_code.items() if name in wanted)]


def _named_sources(plan: Plan, where: str, of_code: Collection[str]) -> set[str]:
    """The sources that the streams of code of a user's plan name; all of them for ``*``."""
    aliases = {"stdlib": "web", "text": "", "catalogues": ""}
    wanted: set[str] = set()
    for name, stream in plan.streams.items():
        if CODE.tag not in stream.languages:
            continue
        for source in stream.sources:
            known = (*of_code, *aliases, "*")
            check_known(source, known, f"{where}: stream {name!r}: no source {source!r}")
            wanted |= set(of_code) if source == "*" else {aliases.get(source, source)}
    return wanted


def natural_stream(plans: Sequence[Plan]) -> str:
    """The stream that stands for text in natural languages: ``text``, or the first that adds none.

    Raises:
        InputError: every stream is code.
    """
    streams = {name: stream for plan in plans for name, stream in plan.streams.items()}
    if "text" in streams:
        return "text"
    for name, stream in streams.items():
        if not stream.is_added:
            return name
    raise InputError("the plan has no stream of text", "add one, e.g. [streams.text]")
