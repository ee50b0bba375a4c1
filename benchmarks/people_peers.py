"""VPL's own networks (WEIRDLabUW/vpl_llm, a clone of it) beside ours, on frozen vectors and a CPU.

    python benchmarks/people_peers.py vpl_llm

Only hidden_context/vae_utils.py is run, as it is (wandb, which it imports and does not use here, is
an empty module); its training script wants a language model and CUDA's bfloat16, so the loop here
is ours: their loss, batch of 32 (one target pair and 50 context pairs of a user each), AdamW,
learning rate 3e-4 with 3 % of warm-up and a cosine, weight decay 1e-3, β 1e-4. First the two losses
at equal weights and noise; then, on the data of benchmarks/people.py, both trained for about the
same CPU time; theirs is scored with the mean as it is (their code) and rescaled (as in training).
"""

import argparse
import importlib.util
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
from people import PAIRS, TEXTS, accuracy, make_data

from polylect.people import find_method
from polylect.people.methods.pairs import crowd_pairs
from polylect.people.methods.vpl import rescaled, vpl_loss

WIDE, BATCH, CONTEXT, STEPS = 64, 32, 50, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clone", type=Path)
    path = parser.parse_args().clone / "hidden_context" / "vae_utils.py"
    importlib.import_module("transformers.trainer")  # it looks for wandb itself
    sys.modules["wandb"] = types.ModuleType("wandb")
    spec = importlib.util.spec_from_file_location("vae_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.set_num_threads(1)
    same_loss(module)
    both_trained(module)


def same_loss(module) -> None:
    """Both losses at equal weights, in float64."""
    torch.manual_seed(0)
    theirs = module.VAEModel(20, 20, 16, 16, None, None).double()
    weights = {name: weight.detach() for name, weight in our_names(theirs).items()}
    vectors = torch.randn(30, 20, dtype=torch.float64)
    context, batch = torch.randint(30, (4, 7, 2)), torch.randint(30, (4, 1, 2))
    torch.manual_seed(1)
    loss = their_loss(module, theirs, vectors, context, batch, 0.7)
    torch.manual_seed(1)
    noise = torch.randn(4, 16, dtype=torch.float64)
    ours = vpl_loss(weights, vectors, context, batch, noise, 0.7)
    print(f"loss at equal weights: theirs {loss.item():.12f}, ours {ours.item():.12f}")


def our_names(theirs) -> dict[str, torch.Tensor]:
    layers = {f"pair.{i + 1}": theirs.pair_encoder._model[2 * i] for i in range(3)}
    layers |= {f"decoder.{i + 1}": theirs.decoder._model[2 * i] for i in range(3)}
    inner = theirs.sequence_encoder
    layers |= {"query": inner.w_q, "key": inner.w_k, "value": inner.w_v,
               "mean": inner.mean_layer, "log_variance": inner.log_var_layer}  # fmt: skip
    return {f"{name}.{part}": getattr(layer, part)
            for name, layer in layers.items() for part in ("weight", "bias")}  # fmt: skip


def their_loss(module, theirs, vectors, context, batch, beta):
    """Their forward pass and loss, of [users, pairs, 2] and one target pair of each."""
    num = context.shape[1]
    flat = context.flatten(0, 1)
    ends = [(i * num, (i + 1) * num) for i in range(len(context))]
    chosen, rejected, mean, log_variance, _ = theirs(
        vectors[batch[:, 0, 0]], vectors[batch[:, 0, 1]], vectors[flat[:, 0]], vectors[flat[:, 1]],
        ends, torch.zeros(len(context)),
    )  # fmt: skip
    loss = module.VAETrainer.per_sample_loss(chosen, rejected).mean()
    divergence = -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp(), dim=1).mean()
    return loss + beta * divergence


def both_trained(module) -> None:
    crowd, seen, scores = make_data()
    started = time.process_time()
    method = find_method("vpl", num_hidden=WIDE, latent_width=WIDE, num_steps=STEPS)
    model = method.fit(crowd, seen, 0)
    seconds = time.process_time() - started
    fitted = np.stack([model.score(user, seen) for user in crowd.users], axis=1)
    report("ours", STEPS, 16 * CONTEXT, seconds, scores, fitted)

    pairs = crowd_pairs(crowd, seen)
    center, size = pairs.vectors.mean(axis=0), np.sqrt(pairs.spread / pairs.width)
    vectors = torch.tensor((pairs.vectors - center) / size, dtype=torch.float32)
    sides = np.stack([pairs.chosen, pairs.rejected], axis=1).reshape(-1, PAIRS, 2)
    torch.manual_seed(0)
    theirs = module.VAEModel(vectors.shape[1], vectors.shape[1], WIDE, WIDE, None, None)
    optimizer = torch.optim.AdamW(theirs.parameters(), 3e-4, weight_decay=1e-3)
    draw, started, num_steps, used, step = np.random.default_rng(0), time.process_time(), 20, 0.0, 0
    while step < num_steps:
        users = draw.integers(len(sides), size=BATCH)
        some = np.stack([draw.permutation(PAIRS)[: CONTEXT + 1] for _ in users])
        batch = torch.from_numpy(sides[users[:, None], some])
        share = step / num_steps
        for group in optimizer.param_groups:
            warm = min(1.0, share / 0.03) if step > 20 else 0.1
            group["lr"] = 3e-4 * warm * (1 + np.cos(np.pi * share)) / 2 if step > 20 else 3e-5
        optimizer.zero_grad()
        their_loss(module, theirs, vectors, batch[:, 1:], batch[:, :1], 1e-4).backward()
        optimizer.step()
        step += 1
        used = time.process_time() - started
        if step == 20:  # as many as take our time
            num_steps = int(20 * seconds / used)
    theirs.eval()
    everything = torch.tensor((seen.vectors - center) / size, dtype=torch.float32)
    raw, long = [], []
    with torch.no_grad():
        for own in torch.from_numpy(sides):
            embedded = theirs.encode_pair(vectors[own[:, 0]], vectors[own[:, 1]])
            mean, _ = theirs.encode_sequence(embedded, [(0, PAIRS)])
            mean = mean.clamp(-1, 1)
            for latent, columns in ((mean, raw), (rescaled(mean), long)):
                latent = latent.expand(len(everything), -1)
                columns.append(theirs.decode(everything, everything, latent)[0][:, 0].numpy())
    report("theirs, as its code scores", step, BATCH, used, scores, np.stack(raw, axis=1))
    report("theirs, rescaled", step, BATCH, used, scores, np.stack(long, axis=1))


def report(name: str, steps: int, targets: int, seconds: float, scores, fitted) -> None:
    print(f"{name:<28}{steps:>6} steps  {seconds:>6.1f} CPU s"
          f"{steps * targets / seconds:>8.0f} target pairs per CPU s"
          f"  seen {accuracy(scores[:TEXTS], fitted[:TEXTS]):.3f}"
          f"  others {accuracy(scores[TEXTS:], fitted[TEXTS:]):.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
