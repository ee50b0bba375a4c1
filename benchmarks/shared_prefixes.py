"""Shared prefixes against separate passes on a real checkpoint: the largest difference per token.

    python benchmarks/shared_prefixes.py CHECKPOINT --task next_sentence --languages de,hi,ja

Both sides are polylect's: the packed passes of the engine, and one plain pass per request by
transformers' own attention ("eager"). Prints the largest difference of one token's log-probability,
beside it that between transformers' own "sdpa" and "eager" (the floor of float32), tokens computed
and CPU seconds. With --float64 the weights are widened: what remains is no rounding.
"""

import argparse
import time
from pathlib import Path

import torch

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import Engine, EngineConfig
from polylect.evals import EvalConfig, prepare_tasks
from polylect.models import head_of, plain_hidden, token_log_probabilities
from polylect.runs import Silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--task", default="next_sentence")
    parser.add_argument("--languages", default="de,hi,ja")
    parser.add_argument("--limit", type=int, default=4)
    parser.add_argument("--shots", type=int, default=2)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--micro-batch-tokens", type=int, default=400)
    parser.add_argument("--float64", action="store_true")
    options = parser.parse_args()
    config = EvalConfig(
        name="shared",
        tasks=(options.task,),
        languages=tuple(options.languages.split(",")),
        limit=options.limit,
        shots=options.shots,
        data=options.data,
        engine=EngineConfig(threads=1),
    )
    checkpoint = Checkpoint.open(options.checkpoint)
    tasks = prepare_tasks(config, checkpoint, Ledger())
    engine = Engine.open(checkpoint, config.engine)
    engine.micro_batch_tokens = lambda longest: options.micro_batch_tokens
    model = engine._model
    if options.float64:
        model.double()
    worst, floor, packed_cpu, plain_cpu, asked, computed = 0.0, 0.0, 0.0, 0.0, 0, 0
    for task in tasks:
        prepared = engine.prepare(task.requests, Ledger())
        start = time.process_time()
        answers = torch.from_numpy(engine._run(prepared.plan, Silent()))
        packed_cpu += time.process_time() - start
        requests = encoded(engine, task)
        model.set_attn_implementation("sdpa")
        other = [alone(model, one) for one in requests]
        model.set_attn_implementation("eager")
        start = time.process_time()
        plain = [alone(model, one) for one in requests]
        plain_cpu += time.process_time() - start
        model.set_attn_implementation("polylect_packed")
        for one, two, slots in zip(plain, other, prepared.plan.slots, strict=True):
            worst = max(worst, float((one - answers[slots, 0]).abs().max()))
            floor = max(floor, float((one - two).abs().max()))
        asked += prepared.num_asked
        computed += prepared.num_tokens
    print(f"largest difference of a token's log-probability: {worst:.2e} nats")
    print(f"transformers' sdpa against its eager: {floor:.2e} nats")
    print(f"tokens: {asked:,} separate, {computed:,} shared")
    print(f"CPU seconds: {plain_cpu:.1f} separate, {packed_cpu:.1f} shared")


@torch.no_grad()
def alone(model, request):
    """Log-probabilities of the continuation's tokens by one plain pass."""
    hidden = plain_hidden(model, request.input_ids())[-len(request.continuation) :]
    targets = torch.from_numpy(request.continuation)
    return token_log_probabilities(hidden, head_of(model), targets)[0].double()


def encoded(engine, task):
    from polylect.engine import encode_requests

    return encode_requests(
        engine.tokenizer, task.requests, add_bos=engine.tokenizer.adds_bos,
        max_tokens=engine.max_tokens, over_long="refuse", ledger=Ledger(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
