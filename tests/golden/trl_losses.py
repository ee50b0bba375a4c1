"""Writes trl_losses.json: what TRL 1.16.0's own loss code makes of fixed ragged batches.

The trainers' loss methods are run as they are; the model is one that answers given per-token
log-probabilities, so that nothing but the loss is compared. In an environment that has trl:

    python tests/golden/trl_losses.py
"""

import json
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from trl import DPOTrainer, KTOTrainer
from trl.experimental.cpo import CPOTrainer

PAIRS, PROMPT = 5, 3
LENGTHS = ([2, 7, 1, 4, 5], [3, 1, 6, 4, 2])
DPO = (("sigmoid", 0.1), ("sigmoid", 0.7), ("robust", 0.3), ("ipo", 0.1), ("hinge", 0.4))
SMOOTHING = 0.2


def main() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor(LENGTHS[0] + LENGTHS[1])
    width = int(lengths.max())
    answered = (torch.arange(width) < lengths[:, None]).float()
    values = -torch.rand(2 * PAIRS, width) * 4 * answered
    reference = values.sum(dim=1) + torch.randn(2 * PAIRS) * 3
    mask = torch.cat([torch.zeros(2 * PAIRS, PROMPT), answered], dim=1).long()
    per_token = torch.cat([torch.zeros(2 * PAIRS, PROMPT - 1), values], dim=1)
    model = MagicMock(training=True)
    zeros = torch.zeros_like(per_token)
    model.return_value = MagicMock(
        log_probs=per_token, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool(), loss=None
    )
    log_ratio = values.sum(dim=1) - reference
    cases = []
    for kind, beta in DPO:
        cases.append(
            {"loss_type": kind, "loss": dpo(model, mask, reference, kind, beta),
             "inputs": inputs(log_ratio, lengths, beta)}
        )  # fmt: skip
    cases.append(
        {"loss_type": "kto", "loss": kto(model, mask, reference, log_ratio),
         "inputs": inputs(log_ratio, lengths, 0.3)}
    )  # fmt: skip
    chosen, rejected = (values.sum(dim=1) / lengths).chunk(2)
    own = SimpleNamespace(alpha=0.0, accelerator=SimpleNamespace(device="cpu"), beta=2.0,
                          loss_type="simpo", simpo_gamma=0.5, label_smoothing=0.0)  # fmt: skip
    losses = CPOTrainer.cpo_loss(own, chosen, rejected)[0]
    cases.append(
        {"loss_type": "simpo", "loss": float(losses.mean()),
         "inputs": inputs(values.sum(dim=1), lengths, 2.0)}
    )  # fmt: skip
    found = {"trl": version("trl"), "cases": cases}
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def inputs(values: torch.Tensor, lengths: torch.Tensor, beta: float) -> dict:
    (w, l), (mw, ml) = values.chunk(2), lengths.chunk(2)  # noqa: E741
    return {"w": w.tolist(), "l": l.tolist(), "mw": mw.tolist(), "ml": ml.tolist(), "beta": beta,
            "smoothing": SMOOTHING}  # fmt: skip


def trainer() -> MagicMock:
    own = MagicMock(aux_loss_enabled=False, precompute_ref_logps=True, ld_alpha=None, _tp_size=1)
    own.accelerator.device, own._total_train_tokens = torch.device("cpu"), 0
    own.accelerator.gather_for_metrics = lambda one: one
    own.accelerator.gather = lambda one: one
    return own


def dpo(model: MagicMock, mask: torch.Tensor, reference: torch.Tensor, kind: str, beta: float):
    own = trainer()
    own.f_divergence_type, own.beta, own.label_smoothing = "reverse_kl", beta, SMOOTHING
    own.loss_types, own.loss_weights, own.use_weighting = [kind], [1.0], False
    chosen, rejected = reference.chunk(2)
    batch = {
        "input_ids": torch.zeros_like(mask), "attention_mask": torch.ones_like(mask),
        "completion_mask": mask, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected,
    }  # fmt: skip
    return float(DPOTrainer._compute_loss(own, model, batch, False))


def kto(model: MagicMock, mask: torch.Tensor, reference: torch.Tensor, ratio: torch.Tensor):
    """The first half desirable; the baseline is that of the second half, mismatched."""
    own = trainer()
    own.loss_type, own.beta, own.calculate_KL = "kto", 0.3, True
    own.desirable_weight, own.undesirable_weight = 1.5, 0.5
    mismatched = ratio[PAIRS:]
    own._compute_kl_logps = lambda *_: mismatched
    batch = {
        "input_ids": torch.zeros_like(mask), "attention_mask": torch.ones_like(mask),
        "completion_mask": mask, "ref_logps": reference,
        "ref_KL_logps": torch.zeros_like(mismatched),
        "label": torch.tensor([1] * PAIRS + [0] * PAIRS),
    }  # fmt: skip
    return float(KTOTrainer._compute_loss(own, model, batch, False))


if __name__ == "__main__":
    main()
