"""The dry run of a generation: prompts and tokens, without loading a model or asking a server."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine.answering import count_rejected, prompt_tokens, style_for
from polylect.engine.config import GenerateConfig
from polylect.engine.encode import CUT
from polylect.engine.limits import max_input_tokens, room_for_prompt, stated_limit
from polylect.engine.protocol import most_tokens
from polylect.engine.server import Server
from polylect.models import check_language_model
from polylect.rows import Prompt
from polylect.runs import Estimate
from polylect.text import Tokenizer, prefix_tree, sort_sequences


def forecast(
    prompts: Sequence[Prompt], model: Path | Server, config: GenerateConfig, ledger: Ledger
) -> list[str]:
    """Lines for the terminal: prompts by language, requests and tokens.

    Raises:
        InputError: what the generation itself would refuse before it answers.
    """
    samples = config.sampling.num_samples
    counts = Counter(prompt.language for prompt in prompts)
    by_language = ", ".join(f"{tag} {num:,}" for tag, num in counts.items())
    lines = [f"{len(prompts):,} prompts ({by_language}), {samples:,} answers to each"]
    if isinstance(model, Server):
        upper_bound = samples * sum(most_tokens(prompt, config) for prompt in prompts)
        lines.append(
            f"{len(prompts) * samples:,} requests to {model.base} ({model.model}),"
            f" {model.concurrency} at a time; at most {upper_bound:,} tokens, counting every byte"
            " of a prompt as one"
        )
        for name, limit in (("requests", model.max_requests), ("tokens", model.max_tokens)):
            lines += [f"limit: {limit:,} {name}"] if limit is not None else []
        return lines
    checkpoint = Checkpoint.open(model)
    check_language_model(checkpoint)
    tokenizer = Tokenizer.load(model).within(checkpoint.stated_rows)
    style = style_for(model, tokenizer, config.template, ledger, config.engine.special_tokens)
    encoded, refused = prompt_tokens(style, prompts, ledger)
    count_rejected(refused, prompts, ledger)
    limit = stated_limit(checkpoint.config)
    max_tokens, longest = max_input_tokens(config.engine, limit), config.sampling.max_new_tokens
    for number, ids in encoded.items():
        prompt = prompts[number]
        name = f"{prompt.language}/{prompt.id}"
        if room_for_prompt(name, len(ids), longest, max_tokens, config.engine) is not None:
            ledger.count(CUT, 1, prompt.language)
    sequences = [*encoded.values()]
    nodes, _ = prefix_tree(sort_sequences(sequences)[0])
    estimate = Estimate(
        tokens={
            "in prompts": sum(map(len, sequences)),
            "of them after sharing prefixes": sum(node.num_tokens for node in nodes),
            "in the longest prompt": max(map(len, sequences)),
            "generated at most": len(encoded) * samples * config.sampling.max_new_tokens,
        }
    )
    return [*lines, *estimate.lines(), *ledger.summary()]
