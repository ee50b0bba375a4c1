"""What a generation would do, said before it starts; no model is loaded, no server is asked."""

from collections.abc import Sequence
from pathlib import Path

from polylect.base import Ledger
from polylect.engine.answering import style_for
from polylect.engine.config import GenerateConfig
from polylect.engine.protocol import most_tokens
from polylect.engine.server import Server
from polylect.rows import Prompt
from polylect.text import Tokenizer, prefix_tree, sort_sequences


def forecast(
    prompts: Sequence[Prompt], model: Path | Server, config: GenerateConfig, ledger: Ledger
) -> list[str]:
    """Lines for the terminal: prompts by language, and what they may cost."""
    samples = config.sampling.num_samples
    counts: dict[str, int] = {}
    for one in prompts:
        counts[one.language] = counts.get(one.language, 0) + 1
    by_language = ", ".join(f"{tag} {num:,}" for tag, num in counts.items())
    lines = [f"{len(prompts):,} prompts ({by_language}), {samples:,} answers to each"]
    most_new = len(prompts) * samples * config.sampling.max_new_tokens
    if isinstance(model, Server):
        most = samples * sum(most_tokens(one, config) for one in prompts)
        lines.append(
            f"{len(prompts) * samples:,} requests to {model.base} ({model.model}),"
            f" {model.concurrency} at a time; at most {most:,} tokens, a byte of a prompt"
            " counted as one"
        )
        for name, bound in (("requests", model.max_requests), ("tokens", model.max_tokens)):
            lines += [f"bound: {bound:,} {name}"] if bound is not None else []
        return lines
    tokenizer = Tokenizer.load(model)
    style = style_for(model, tokenizer, config.template, ledger)
    asked = [style.prompt(one.messages) for one in prompts]
    nodes, _ = prefix_tree(sort_sequences(asked)[0])
    lines.append(
        f"{sum(map(len, asked)):,} tokens of prompts ({sum(n.num_tokens for n in nodes):,}"
        f" distinct, the longest {max(map(len, asked)):,}), at most {most_new:,} new ones"
    )
    return lines + [f"{num:,} {event}" for event, num in ledger.by_event().items()]
