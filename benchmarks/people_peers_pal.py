"""PAL's own learner (RamyaLab/pluralistic-alignment, a clone of it) beside ours, on frozen vectors.

    python benchmarks/people_peers_pal.py CLONE

Their src/pal_rm_a/learner.py is run as it is, with those of its options that ours has: `angle` (a
scaled cosine), `Pw` (a mixture of two prototypes), `mlp2-gelu-dropout0`, 64 dimensions. The encoder
that it would load from the hub is a table of the vectors of benchmarks/people.py, one token long.
The loop is ours (theirs wants lightning and their data sets): the logistic loss of `angle`, Adam
with the rates of optim_config/vanilla-e10 (projector 1e-4 with weight decay 0.01, P and W 5e-3,
scale 0.1), 32 pairs a step instead of 4; ten epochs unless --epochs. Then our PAL, its defaults.
"""

import argparse
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
from people import TEXTS, accuracy, make_data

from polylect.people import find_method

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    sys.path.insert(0, str(options.clone))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    from src.pal_rm_a import learner as module

    crowd, seen, scores = make_data()
    table = Table(seen.vectors)
    module.AutoConfig = types.SimpleNamespace(from_pretrained=lambda _: None)
    module.AutoModel = types.SimpleNamespace(from_pretrained=lambda *_, **__: table)
    theirs = module.prefLearner_factory("angle")(
        d_hid=seen.vectors.shape[1], d_pref=64, k=2, llm_name="", user_learner_type="Pw",
        pref_learner_type="angle", proj_arch="mlp2-gelu-dropout0", initializer_type="gaussian",
        is_expectation_norm_init=False, sfx_type="softmax", sfx_temperature=1.0,
        is_temperature_learnable=False,
    )  # fmt: skip
    theirs.user_learner.init_weight(list(crowd.users))
    rows, seconds = train(theirs, crowd, options.epochs)
    with torch.no_grad():
        everyone = theirs.eval().user_learner(list(crowd.users))
        points = theirs.projector(table.vectors)
        fitted = (points @ torch.nn.functional.normalize(everyone).T
                  / points.norm(dim=1, keepdim=True)).numpy()  # fmt: skip
    said("theirs", rows, seconds, scores, fitted)
    started = time.process_time()
    model = find_method("pal").fit(crowd, seen)
    fitted = np.stack([model.score(user, seen) for user in crowd.users], axis=1)
    said("ours", crowd.num_pairs, time.process_time() - started, scores, fitted)


class Table(torch.nn.Module):
    """Their encoder's place: the vector of each text, one token long."""

    def __init__(self, vectors: np.ndarray):
        super().__init__()
        self.register_buffer("vectors", torch.tensor(vectors))

    def forward(self, input_ids, attention_mask):
        del attention_mask
        return types.SimpleNamespace(last_hidden_state=self.vectors[input_ids])


def train(theirs, crowd, num_epochs) -> tuple[int, float]:
    """Pairs that were learned from, and CPU seconds."""
    theirs.update_trainable_params(("llm",))
    rates = {"projector": {"lr": 1e-4, "weight_decay": 0.01}, "P": {"lr": 5e-3},
             "W": {"lr": 5e-3}, "logit_scale": {"lr": 0.1}}  # fmt: skip
    parts = {
        "projector": list(theirs.projector.parameters()),
        "P": [theirs.user_learner.P],
        "W": list(theirs.user_learner.W.parameters()),
        "logit_scale": [theirs.logit_scale],
    }
    optimizer = torch.optim.Adam([{"params": parts[name], **rates[name]} for name in parts])
    started, rows = time.process_time(), 0
    for _ in range(num_epochs):
        for some in torch.randperm(crowd.num_pairs).split(BATCH):
            numbers = some.numpy()
            left, right = (torch.tensor(side[numbers][:, None].astype(np.int64))
                           for side in (crowd.chosen, crowd.rejected))  # fmt: skip
            items = {"left_input_ids": left, "right_input_ids": right,
                     "left_attention_mask": None, "right_attention_mask": None}  # fmt: skip
            odds = theirs(([crowd.users[i] for i in crowd.user[numbers]], items))[:, 0]
            loss = torch.nn.functional.cross_entropy(odds, torch.zeros(len(some), dtype=torch.long))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rows += len(some)
    return rows, time.process_time() - started


def said(name, rows, seconds, scores, fitted) -> None:
    print(f"{name}: {rows:,} pairs, {seconds:.1f} CPU s, seen"
          f" {accuracy(scores[:TEXTS], fitted[:TEXTS]):.3f}, others"
          f" {accuracy(scores[TEXTS:], fitted[TEXTS:]):.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
