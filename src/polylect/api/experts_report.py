"""``experts.report``: where the tokens go in a mixture, what it weighs, who gained and who paid."""

import textwrap
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.experts_report_options import ReportOptions
from polylect.api.people import threads
from polylect.api.results import Plan, Result, run_call, settings_of
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import InputError, Ledger, one_blas_thread, read_json, write_json

if TYPE_CHECKING:
    import polars

    from polylect.checkpoints import Checkpoint
    from polylect.experts import ReportDomain, ReportSource, ReportText
    from polylect.rows import ScoreTable
    from polylect.runs import StepContext

_SCORES, _LEVEL, _CONTEXT = "scores.parquet", 0.95, 512
_AGAINST = "against"


class ExpertsReport(Result):
    """Where the tokens go in a mixture of experts, and whom it serves."""

    @cached_property
    def content(self) -> dict[str, Any]:
        """All figures, as plain values."""
        from polylect.report import REPORT

        return read_json(self.path / REPORT)

    @property
    def routing(self) -> "polars.DataFrame":
        """A row per document, block and expert: its choices and gates."""
        import polars

        from polylect.report import ROUTING

        return polars.read_parquet(self.path / ROUTING)

    @property
    def scores(self) -> "polars.DataFrame":
        """The mixture's score table: a row per document."""
        import polars

        return polars.read_parquet(self.path / _SCORES)

    def table(self) -> "polars.DataFrame":
        """A row per domain and expert: its share; the own expert's with an interval."""
        import polars

        return polars.DataFrame(self.content["shares"], infer_schema_length=None)

    def lines(self) -> list[str]:
        """Shares by domain, experts nobody uses, sizes, speed, verdicts, and what was counted."""
        from polylect.report import report_sentences
        from polylect.runs import VOLATILE

        content = self.content
        own = {row["domain"]: row for row in content["own"]}
        values: dict[str, dict[str, float]] = {}
        for row in content["shares"]:
            values.setdefault(row["domain"], {})[row["expert"]] = row["share"]
        shown = content["experts"][:8]
        rows = []
        for name, shares in values.items():
            row = own.get(name)
            interval = f"{row['lower']:.1%} to {row['upper']:.1%}" if row else ""
            rows.append([name, *(f"{shares[expert]:.1%}" for expert in shown),
                         row["expert"] if row else "–", interval])  # fmt: skip
        head = ["domain", *shown, "own", "95 %"]
        about = f"{content['router']} router; share of each expert in a domain's tokens"
        if len(shown) < len(content["experts"]):
            about += f" (the first {len(shown)} of {len(content['experts'])} experts)"
        if content["router"] == "oracle":
            about += "; by construction: the oracle goes by the text's language"
        speed = read_json(self.path / VOLATILE).get("tokens_per_second")
        lines = [about, *text_table(head, rows, "l" + "r" * len(shown) + "lr")]
        # What the table says already is left out.
        for sentence in report_sentences(content)[
            int(bool(own) or content["router"] == "oracle") :
        ]:
            lines += textwrap.wrap(sentence, 100)
        if speed:
            num = content["settings"]["threads"]
            lines.append(f"{speed:,.0f} tokens a second (threads: {num})")
        return [*lines, *self.ledger.lines(), str(self.page)]


@verb("experts report", ReportOptions, name="experts.report")
def experts_report(options: ReportOptions) -> ExpertsReport | Plan:
    """Report on a mixture of experts: where tokens go, what it weighs, who gained and who paid.

    Returns an ``ExpertsReport``: ``.table()`` has a row per domain and expert, ``.content`` all
    figures, ``.scores`` the score table.

        pl.experts.report("moe", data={"de": "de.jsonl"}, against={"seed": "base"}).page
    """
    from polylect.checkpoints import Checkpoint
    from polylect.experts import check_mixture, report_sources
    from polylect.runs import Call, Files, Step

    if not options.data:
        raise InputError("experts report: no text", "give held-out text: --data FILE …")
    mixture = Checkpoint.open(options.model)
    check_mixture(mixture, str(options.model))
    name = options.model.resolve().name
    others = {label: Checkpoint.open(path) for label, path in options.against.items()}
    _check_names(name, others)
    _check_tokenizers(options.model, others)
    context_tokens = _context(options, [mixture, *others.values()])
    experts = [str(expert) for expert in mixture.config["expert_names"]]
    sources = report_sources(options.data, experts)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        with one_blas_thread(), threads(options.threads, uses_torch=True):
            _write(options, name, {name: mixture} | others, sources, context_tokens, context)

    settings = settings_of(options, ["model", "data", "against", "context_tokens"]) | {
        "name": name, "against": list(others), "context_tokens": context_tokens,
        "domains": [[source.name, source.expert] for source in sources],
    }  # fmt: skip
    files = {"model": Files(options.model)}
    files |= {f"data {number}": Files(source.path) for number, source in enumerate(sources)}
    files |= {f"against {label}": Files(path) for label, path in options.against.items()}
    step = Step("polylect experts report", 2, write, uses_languages=True)
    call = Call(step, "experts-report", settings, files)

    def plan(out: Path) -> list[str]:
        from polylect.experts import read_report_texts

        ledger = Ledger()
        domains, texts = read_report_texts(
            sources, mixture.config.get("domains") or [], num_texts=options.texts,
            seed=options.seed, ledger=ledger, default_language=options.default_language,
        )  # fmt: skip
        lines = [_domain_line(domain, experts) for domain in domains]
        models = ", ".join([name, *others])
        lines.append(f"would read {len(texts):,} texts with {models}")
        return [*lines, *ledger.lines(), f"would write into {out}"]

    return run_call(call, options.output, "experts-report", ExpertsReport, plan)


def _check_names(name: str, others: "Mapping[str, Checkpoint]") -> None:
    for label in others:
        if label == name:
            raise InputError(f"--against {label}: the mixture itself is called so",
                             f"give another name: --against other-{label}=DIR")  # fmt: skip
        if "/" in label or "\\" in label or label in {".", ".."}:
            raise InputError(f"--against {label!r}: a name that cannot be a folder's",
                             "give a plain one: --against seed=DIR")  # fmt: skip


def _check_tokenizers(mixture: Path, others: "Mapping[str, Checkpoint]") -> None:
    """Refuse a model with another tokenizer; one without any is read with the mixture's."""
    from polylect.text import Tokenizer

    tokenizer = Tokenizer.load(mixture)
    for label, checkpoint in others.items():
        is_other = (
            checkpoint.tokenizer_digest
            and Tokenizer.load(checkpoint.path).digest != tokenizer.digest
        )
        if is_other:
            raise InputError(
                f"--against {label}={checkpoint.path}: another tokenizer than the mixture's",
                "give a model of the mixture's family: its seed, a merge, a dense model",
            )


def _context(options: ReportOptions, models: "list[Checkpoint]") -> int:
    """Tokens read at once, which every model takes."""
    from polylect.engine import stated_limit

    limits = [limit for model in models if (limit := stated_limit(model.config))]
    most = min(limits, default=options.context_tokens or _CONTEXT)
    if options.context_tokens is not None and options.context_tokens > most:
        raise InputError(f"--context-tokens is {options.context_tokens}, a model takes {most}",
                         f"--context-tokens {most}, or leave it out")  # fmt: skip
    return options.context_tokens or min(_CONTEXT, most)


def _domain_line(domain: "ReportDomain", experts: list[str]) -> str:
    own = "no own expert" if domain.expert is None else f"own expert {experts[domain.expert]}"
    return (
        f"  {domain.name}: {domain.num_texts:,} of {domain.num_documents:,} texts of"
        f" {domain.source}, {own}, {' '.join(domain.languages) or 'no language told'}"
    )


def _write(
    options: ReportOptions,
    name: str,
    models: "Mapping[str, Checkpoint]",
    sources: "list[ReportSource]",
    context_tokens: int,
    context: "StepContext",
) -> None:
    """All files of the report; the first of the models is the mixture."""
    from polylect.experts import (
        geometry,
        own_shares,
        read_report_texts,
        sizes,
        training_cost,
        use_of_experts,
    )
    from polylect.models import is_oracle, load_model, router_rows
    from polylect.report import REPORT, ROUTING, write_experts_page
    from polylect.runs import VOLATILE
    from polylect.text import Tokenizer

    out, ledger, mixture = context.out, context.ledger, models[name]
    experts = [str(expert) for expert in mixture.config["expert_names"]]
    domains, texts = read_report_texts(
        sources, mixture.config.get("domains") or [], num_texts=options.texts, seed=options.seed,
        ledger=ledger, default_language=options.default_language,
    )  # fmt: skip
    tokenizer = Tokenizer.load(mixture.path)
    model = load_model(mixture, ledger=ledger)
    routing = _routing(model, tokenizer, texts, context_tokens, context)
    routing.write_parquet(out / ROUTING, compression="zstd")
    lie = geometry(*router_rows(model), experts)
    begin = time.monotonic()
    tables = {name: _bits(model, tokenizer, texts, name, context_tokens, context)}
    seconds = time.monotonic() - begin
    num_tokens = int(routing.unique(["domain", "language", "document"])["tokens"].sum())
    write_json(context.work / VOLATILE, {"tokens_per_second": round(num_tokens / seconds, 1)})
    is_exact = is_oracle(model)
    del model
    for label, checkpoint in list(models.items())[1:]:
        other = load_model(checkpoint, ledger=ledger)
        tables[label] = _bits(other, tokenizer, texts, label, context_tokens, None)
        del other
    compared = _compare(tables, name, options.seed, out)
    content = {
        "model": name,
        "router": mixture.config["router_type"],
        "top_k": mixture.config["num_experts_per_tok"],
        "num_blocks": int(routing["block"].n_unique()),
        "experts": experts,
        "domains": _domains(domains, experts, routing),
        "own": [row | {"expert": experts[row["expert"]]}
                for row in own_shares(routing, domains, texts, _LEVEL, is_exact=is_exact)],
        "use": use_of_experts(routing, experts),
        "geometry": lie,
        "sizes": sizes(mixture),
        "training": {label: training_cost(model) for label, model in models.items()},
        "comparisons": compared,
        "settings": {
            "texts": options.texts, "context_tokens": context_tokens, "seed": options.seed,
            "threads": options.threads, "default_language": options.default_language,
        },
        "ledger": ledger.to_json(),
    }  # fmt: skip
    content["shares"] = _shares(content, routing)
    write_json(out / REPORT, content)
    write_experts_page(out)


def _routing(
    model: Any, tokenizer: Any, texts: "list[ReportText]", tokens: int, context: "StepContext"
) -> "polars.DataFrame":
    from polylect.engine import RoutedText, routing_table

    rows = [RoutedText(row.text, row.language, row.domain, row.item) for row in texts]
    return routing_table(model, tokenizer, rows, context_tokens=tokens, report=context.report)


def _bits(
    model: Any,
    tokenizer: Any,
    texts: "list[ReportText]",
    name: str,
    tokens: int,
    context: "StepContext | None",
) -> "ScoreTable":
    """Bits per byte; the first model's splits are counted, which are all models'."""
    import polars

    from polylect.evals import bits_of_texts

    frame = polars.DataFrame([asdict(row) for row in texts]).rename({"domain": "group"})
    report, ledger = (context.report, context.ledger) if context else (None, None)
    return bits_of_texts(model, tokenizer, frame, name, context_tokens=tokens, report=report,
                         ledger=ledger)  # fmt: skip


def _compare(
    tables: "Mapping[str, ScoreTable]", name: str, seed: int, out: Path
) -> list[dict[str, Any]]:
    """Each other model as the baseline of the mixture, with a page of its own."""
    from polylect.comparison import ScoredModel, compare_many
    from polylect.report import write_comparison

    tables[name].write(out / _SCORES)
    others = [label for label in tables if label != name]
    compared = compare_many(tables, [(label, name, "") for label in others], seed=seed)
    rows = []
    for label, pair in zip(others, compared, strict=True):
        folder = out / _AGAINST / label
        folder.mkdir(parents=True)
        tables[label].write(folder / _SCORES)
        sides = (
            ScoredModel(folder, label, tables[label], "scores"),
            ScoredModel(out, name, tables[name], "scores"),
        )
        write_comparison(folder / "index.html", pair.comparison, sides)
        plain = pair.comparison.to_json()
        rows.append(pair.described() | {"folder": f"{_AGAINST}/{label}"}
                    | {key: plain[key] for key in ("languages", "groups")})  # fmt: skip
    return rows


def _domains(
    domains: "list[ReportDomain]", experts: list[str], routing: "polars.DataFrame"
) -> list[dict[str, Any]]:
    import polars

    documents = routing.unique(["domain", "language", "document"])
    rows = []
    for domain in domains:
        tokens = documents.filter(polars.col("domain") == domain.name)["tokens"].sum()
        own = None if domain.expert is None else experts[domain.expert]
        rows.append(asdict(domain) | {"expert": own, "languages": list(domain.languages),
                                      "tokens": int(tokens)})  # fmt: skip
    return rows


def _shares(content: Mapping[str, Any], routing: "polars.DataFrame") -> list[dict[str, Any]]:
    """A row per domain and expert, in the order of the report."""
    import polars

    from polylect.experts import shares

    table, experts = shares(routing, ["domain"]), content["experts"]
    own = {row["domain"]: row for row in content["own"]}
    rows = []
    for domain in content["domains"]:
        for row in table.filter(polars.col("domain") == domain["name"]).iter_rows(named=True):
            expert = experts[row["expert"]]
            bounds = own.get(domain["name"]) if expert == domain["expert"] else None
            rows.append({
                "domain": domain["name"], "expert": expert, "own": expert == domain["expert"],
                "share": row["share"], "gate_share": row["gate_share"],
                "lower": bounds["lower"] if bounds else None,
                "upper": bounds["upper"] if bounds else None,
                "texts": domain["num_texts"], "tokens": domain["tokens"],
            })  # fmt: skip
    return rows
