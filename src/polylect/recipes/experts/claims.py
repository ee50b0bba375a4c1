"""The paper's claims and its reviewers' questions as comparisons of two models, and their answers.

Changes are gains: fewer bits per byte, in per cent of the first model's, a mean over languages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.recipes.intervals import Interval, line_of, ratio_interval

TEXTS = ("previous", "appended")
"""Which text a claim is about: that of the domains of the first mixture, or the appended one's."""


@dataclass(frozen=True)
class Claim:
    """A claim that one model beats another.

    Attributes:
        question: in words.
        before: the model that is compared with.
        after: the model that the claim is about.
        text: one of ``TEXTS``.
        paper: what the paper says; empty where nobody did.
        claimed: 1: better; -1: worse; 0: nobody says.
        asked_by: who asked.
    """

    question: str
    before: str
    after: str
    text: str
    paper: str = ""
    claimed: int = 1
    asked_by: str = "paper"


CLAIMS = (
    Claim("does the Nexus router beat the linear router?", "linear", "nexus", "previous",
          "+2.1 % (abstract), +3.2 % (table)"),
    Claim("does it beat the seed model?", "base", "nexus", "previous", "+5.8 %"),
    Claim("does it beat the dense merge of experts and seed?", "merge-seed", "nexus", "previous",
          "+8.5 % (table)"),
    Claim("does it beat the dense merge of the experts alone?", "merge", "nexus", "previous",
          claimed=0, asked_by="reviewers"),
    Claim("does it beat an MLP router of as many parameters?", "mlp", "nexus", "previous",
          claimed=0, asked_by="reviewers"),
    Claim("does it beat the oracle, which is told the domain?", "oracle", "nexus", "previous",
          claimed=0, asked_by="reviewers"),
    Claim("does it beat the top-k ensemble of the dense experts?", "ensemble", "nexus", "previous",
          claimed=0, asked_by="reviewers"),
    Claim("does it beat a dense model on the same mixture?", "rival", "nexus", "previous",
          claimed=0, asked_by="reviewers"),
    Claim("does it beat a dense model on as many tokens as experts and mixture together?",
          "rival-total", "nexus", "previous", claimed=0, asked_by="reviewers"),
    Claim("an expert appended: does Nexus beat the linear router drawn anew, on the new domain?",
          "linear-reset-extended", "nexus-extended", "appended", "+18.8 %"),
    Claim("an expert appended: and a linear router with a row appended?",
          "linear-append-extended", "nexus-extended", "appended", claimed=0, asked_by="reviewers"),
    Claim("an expert appended: and an MLP router with a row appended?",
          "mlp-append-extended", "nexus-extended", "appended", claimed=0, asked_by="reviewers"),
    Claim("an expert appended: and an MLP router drawn anew?",
          "mlp-reset-extended", "nexus-extended", "appended", claimed=0, asked_by="reviewers"),
    Claim("an expert appended: and the dense rival tuned on the same text?",
          "rival-total-extended", "nexus-extended", "appended", claimed=0, asked_by="reviewers"),
    Claim("an expert appended: and the ensemble with the new expert?",
          "ensemble-extended", "nexus-extended", "appended", claimed=0, asked_by="reviewers"),
    Claim("an expert appended: and the oracle with the new expert?",
          "oracle-extended", "nexus-extended", "appended", claimed=0, asked_by="reviewers"),
    Claim("does appending an expert help on its domain?", "nexus", "nexus-extended", "appended",
          "yes"),
    Claim("what does appending cost the previous domains?", "nexus", "nexus-extended", "previous",
          "\N{MINUS SIGN}1.9 %", claimed=-1),
    Claim("what does appending cost them with the linear router drawn anew?",
          "linear", "linear-reset-extended", "previous", claimed=0, asked_by="reviewers"),
)  # fmt: skip

PAIRS = (
    ("base", "nexus"), ("merge", "nexus"), ("merge-seed", "nexus"), ("rival", "nexus"),
    ("rival-total", "nexus"), ("linear", "nexus"), ("nexus", "nexus-extended"),
    ("base", "nexus-extended"), ("rival-total-extended", "nexus-extended"),
)  # fmt: skip
"""Who gained and who paid, by language."""


def gain_rows(scores: pl.DataFrame, before: str, after: str, tags: Sequence[str]) -> pl.DataFrame:
    """The bits of two models on the documents that both were scored on, for ``ratio_interval``.

    Args:
        scores: columns seed, checkpoint, language, item, cluster, value, weight.
        before: the model below the line.
        after: the model above it.
        tags: of the languages.
    """
    keys = ["seed", "language", "item"]
    bits = pl.col("value") * pl.col("weight")
    chosen = scores.filter(pl.col("language").is_in(list(tags)))
    bottom = chosen.filter(checkpoint=before).select(*keys, "cluster", bottom=bits)
    top = chosen.filter(checkpoint=after).select(*keys, top=bits)
    joined = bottom.join(top, on=keys)
    return joined.select("seed", "cluster", "top", "bottom", group=pl.col("language"))


def gain(rows: pl.DataFrame, level: float = 0.95) -> Interval:
    """The gain in per cent: 100 · (1 - bits after / bits before)."""
    return ratio_interval(rows, level).mapped(-100.0, 100.0)


def answer(
    claim: Claim, scores: pl.DataFrame, languages: Mapping[str, Sequence[str]]
) -> dict[str, Any] | None:
    """A line of the findings; None where one of the two models was not made.

    Args:
        claim: what is asked.
        scores: see ``gain_rows``.
        languages: tags by text, see ``TEXTS``.
    """
    rows = gain_rows(scores, claim.before, claim.after, languages[claim.text])
    if not rows.height:
        return None
    return line_of(gain(rows), claim.claimed) | {
        "question": claim.question,
        "before": claim.before,
        "after": claim.after,
        "text": claim.text,
        "paper": claim.paper,
        "asked_by": claim.asked_by,
        "unit": "% fewer bits",
        "steps": [f"test-{claim.before}", f"test-{claim.after}"],
    }


def share_line(
    own: pl.DataFrame, question: str, paper: str, model: str, null: float, *, claimed: int = 1
) -> dict[str, Any]:
    """A line on routing: the mean over domains of the share of their own expert.

    Args:
        own: columns seed, domain, document, own, choices; see ``experts.own_counts``.
        question: in words.
        paper: what the paper says.
        model: the mixture.
        null: the share by chance, 1 / experts.
        claimed: 1 if somebody says that it is above chance; 0 if nobody does.
    """
    interval = own_share(own)
    return line_of(interval.mapped(100.0), claimed, 100.0 * null) | {
        "question": question,
        "before": "chance",
        "after": model,
        "text": "",
        "paper": paper,
        "asked_by": "paper",
        "unit": f"% of tokens, by chance {100 * null:.0f} %",
        "steps": [f"route-{model}"],
    }


def own_share(own: pl.DataFrame) -> Interval:
    """The mean over domains and seeds of the share of the domain's own expert."""
    rows = own.select(
        "seed", group="domain", cluster="document", top=pl.col("own"), bottom=pl.col("choices")
    )
    return ratio_interval(rows.cast({"top": pl.Float64, "bottom": pl.Float64})).as_share()


def by_language(
    scores: pl.DataFrame, before: str, after: str, tags: Sequence[str], verdict: Callable[..., str]
) -> list[dict[str, Any]]:
    """Who gained and who paid: a row per language, worst first.

    The intervals hold for all languages of the pair at once (Bonferroni), so that the worst-hurt
    one may be singled out.

    Args:
        scores: see ``gain_rows``.
        before: the model before.
        after: the model after.
        tags: of the languages.
        verdict: gained, paid or not separable, from the two bounds.
    """
    shared = [tag for tag in tags if gain_rows(scores, before, after, [tag]).height]
    level = 1 - 0.05 / max(1, len(shared))
    rows = []
    for tag in shared:
        pairs = gain_rows(scores, before, after, [tag])
        interval = gain(pairs, level)
        weight = scores.filter(language=tag)
        bits = {
            name: _bits(weight.filter(checkpoint=model))
            for name, model in (("score_before", before), ("score_after", after))
        }
        rows.append(
            {"before": before, "after": after, "language": tag, **bits, "gain": interval.mean,
             **interval.bounds(),
             "documents": interval.num_documents,
             "verdict": verdict(interval.lower, interval.upper)}
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row["gain"], row["language"]))


def _bits(rows: pl.DataFrame) -> float:
    bits = rows.select((pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum())
    return float(bits.item())
