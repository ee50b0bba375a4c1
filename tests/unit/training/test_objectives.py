"""Every objective against a short float64 reference in numpy: values, and gradients by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from polylect.training import objectives as obj

NUM = 7
GOLDEN = Path(__file__).parents[2] / "golden" / "trl_losses.json"


def log_sigmoid(x):
    return -np.logaddexp(0.0, -x)


def sigmoid(x):
    return np.exp(log_sigmoid(x))


@pytest.fixture
def case():
    """Log-ratios and log-probabilities of pairs, with lengths."""
    random = np.random.default_rng(0)
    values = {name: random.normal(size=NUM) * 3 for name in ("w", "l", "ww", "lw", "wl", "ll")}
    values["mw"], values["ml"] = (random.integers(1, 9, NUM).astype(float) for _ in range(2))
    return values


# Each: our function of (case as tensors), the same in numpy with its derivatives.
CASES = {
    "dpo": (
        lambda t: obj.dpo(t["w"], t["l"], 0.3),
        lambda c: -log_sigmoid(0.3 * (c["w"] - c["l"])),
        {"w": lambda c: -0.3 * sigmoid(-0.3 * (c["w"] - c["l"])),
         "l": lambda c: 0.3 * sigmoid(-0.3 * (c["w"] - c["l"]))},
    ),
    "dpo smoothed": (
        lambda t: obj.dpo(t["w"], t["l"], 0.3, 0.2),
        lambda c: -0.8 * log_sigmoid(0.3 * (c["w"] - c["l"]))
        - 0.2 * log_sigmoid(-0.3 * (c["w"] - c["l"])),
        {"w": lambda c: -0.3 * (0.8 - sigmoid(0.3 * (c["w"] - c["l"])))},
    ),
    "robust dpo": (
        lambda t: obj.robust_dpo(t["w"], t["l"], 0.3, 0.2),
        lambda c: (-0.8 * log_sigmoid(0.3 * (c["w"] - c["l"]))
                   + 0.2 * log_sigmoid(-0.3 * (c["w"] - c["l"]))) / 0.6,
        {"w": lambda c: -0.3 * (0.8 * sigmoid(-0.3 * (c["w"] - c["l"]))
                                + 0.2 * sigmoid(0.3 * (c["w"] - c["l"]))) / 0.6},
    ),
    "ipo": (
        lambda t: obj.ipo(t["w"], t["l"], 0.3),
        lambda c: (c["w"] - c["l"] - 1 / 0.6) ** 2,
        {"w": lambda c: 2 * (c["w"] - c["l"] - 1 / 0.6),
         "l": lambda c: -2 * (c["w"] - c["l"] - 1 / 0.6)},
    ),
    "ipo of means": (
        lambda t: obj.ipo_mean(t["w"], t["l"], t["mw"], t["ml"], 0.3),
        lambda c: (c["w"] / c["mw"] - c["l"] / c["ml"] - 1 / 0.6) ** 2,
        {"l": lambda c: -2 / c["ml"] * (c["w"] / c["mw"] - c["l"] / c["ml"] - 1 / 0.6)},
    ),
    "simpo": (
        lambda t: obj.simpo(t["w"], t["l"], t["mw"], t["ml"], 2.0, 0.5),
        lambda c: -log_sigmoid(2 * c["w"] / c["mw"] - 2 * c["l"] / c["ml"] - 0.5),
        {"w": lambda c: -2 / c["mw"] * sigmoid(-2 * c["w"] / c["mw"] + 2 * c["l"] / c["ml"] + 0.5)},
    ),
    "slic": (
        lambda t: obj.slic(t["w"], t["l"], 0.3),
        lambda c: np.maximum(0, 1 - 0.3 * (c["w"] - c["l"])),
        {"w": lambda c: -0.3 * (0.3 * (c["w"] - c["l"]) < 1)},
    ),
    "kto": (
        lambda t: obj.kto(t["w"], torch.arange(NUM) % 2 == 0, t["l"][0].detach(), 0.3, 1.5, 0.5),
        lambda c: np.where(
            np.arange(NUM) % 2 == 0,
            1.5 * sigmoid(-0.3 * (c["w"] - c["l"][0])),
            0.5 * sigmoid(0.3 * (c["w"] - c["l"][0])),
        ),
        {"w": lambda c: 0.3 * np.where(np.arange(NUM) % 2 == 0, -1.5, 0.5)
         * sigmoid(0.3 * (c["w"] - c["l"][0])) * sigmoid(-0.3 * (c["w"] - c["l"][0]))},
    ),
    "bradley-terry": (
        lambda t: obj.bradley_terry(t["w"], t["l"], t["mw"], 0.01),
        lambda c: -log_sigmoid(c["w"] - c["l"] - c["mw"]) + 0.01 * (c["w"] + c["l"]) ** 2,
        {"w": lambda c: -sigmoid(-(c["w"] - c["l"] - c["mw"])) + 0.02 * (c["w"] + c["l"])},
    ),
    "srpo": (
        lambda t: obj.srpo(t["w"], t["l"], t["ww"], t["lw"], t["wl"], t["ll"], 0.3, 0.4, 0.1),
        lambda c: 0.6 * (0.4 - 0.15 * (c["w"] - c["l"] + c["wl"] - c["lw"])) ** 2
        + 0.2 * (0.4 - 0.3 * (c["wl"] - c["ll"])) ** 2
        + 0.2 * (0.4 - 0.3 * (c["ww"] - c["lw"])) ** 2,
        {"w": lambda c: -0.18 * (0.4 - 0.15 * (c["w"] - c["l"] + c["wl"] - c["lw"])),
         "ww": lambda c: -0.12 * (0.4 - 0.3 * (c["ww"] - c["lw"])),
         "ll": lambda c: 0.12 * (0.4 - 0.3 * (c["wl"] - c["ll"])),
         "lw": lambda c: 0.18 * (0.4 - 0.15 * (c["w"] - c["l"] + c["wl"] - c["lw"]))
         + 0.12 * (0.4 - 0.3 * (c["ww"] - c["lw"]))},
    ),
    "with sft": (
        lambda t: obj.with_sft(obj.dpo(t["w"], t["l"], 0.3), t["ww"], t["mw"], 0.7),
        lambda c: -log_sigmoid(0.3 * (c["w"] - c["l"])) - 0.7 * c["ww"] / c["mw"],
        {"ww": lambda c: -0.7 / c["mw"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_formula(case, name):
    ours, reference, slopes = CASES[name]
    tensors = {key: torch.tensor(value, requires_grad=True) for key, value in case.items()}
    loss = ours(tensors)
    assert loss.shape == (NUM,)
    assert np.allclose(loss.detach().numpy(), reference(case), rtol=1e-10, atol=1e-12)
    loss.sum().backward()
    for key, slope in slopes.items():
        slope_of_ours = tensors[key].grad.numpy()
        assert np.allclose(slope_of_ours, slope(case), rtol=1e-10, atol=1e-12)


def test_ktos_baseline_is_a_constant_not_below_zero():
    ratios = torch.tensor([1.0, 2.0, -9.0], requires_grad=True)
    assert obj.kto_baseline(ratios) == 0
    baseline = obj.kto_baseline(ratios + 9)
    assert (float(baseline), baseline.requires_grad) == (7.0, False)


def copg_by_hand(ratios, rewards, beta):
    num = ratios.shape[-1]
    regular = rewards - beta * ratios
    return sum((regular[..., i] - regular[..., j]) ** 2 for i in range(num) for j in range(i)) / (
        num - 1
    )


@pytest.mark.parametrize("num", [2, 4, 8])
def test_copg_is_the_sum_over_pairs_and_its_gradient_is_rloos(num):
    random = np.random.default_rng(num)
    policy, reference, rewards = (random.normal(size=(5, num)) * 2 for _ in range(3))
    for beta in (0.1, 0.7):
        pi = torch.tensor(policy, requires_grad=True)
        loss = obj.copg(pi - torch.tensor(reference), torch.tensor(rewards), beta)
        expected = copg_by_hand(policy - reference, rewards, beta)
        assert np.allclose(loss.detach().numpy(), expected, rtol=1e-10)
        loss.sum().backward()
        sampled = torch.tensor(policy, requires_grad=True)
        ratio = sampled - torch.tensor(reference)
        obj.rloo(sampled, ratio, torch.tensor(rewards), beta).sum().backward()
        # ∇CoPG = 2βk × ∇RLOO's loss, answer by answer.
        assert np.allclose(pi.grad.numpy(), 2 * beta * num * sampled.grad.numpy(), rtol=1e-10)


def test_rloos_gradient_is_the_advantage_over_the_others():
    random = np.random.default_rng(1)
    policy, ratios, rewards = (random.normal(size=(3, 4)) for _ in range(3))
    sampled = torch.tensor(policy, requires_grad=True)
    obj.rloo(sampled, torch.tensor(ratios), torch.tensor(rewards), 0.2).sum().backward()
    regular = rewards - 0.2 * ratios
    for i in range(4):
        others = np.delete(regular, i, axis=1).mean(axis=1)
        assert np.allclose(sampled.grad[:, i].numpy(), -(regular[:, i] - others) / 4, rtol=1e-10)


def test_two_answers_without_scores_are_ipo_times_beta_squared(case):
    chosen, rejected = torch.tensor(case["w"]), torch.tensor(case["l"])
    rewards = torch.tensor([obj.NO_SCORE, -obj.NO_SCORE], dtype=torch.float64)
    for beta in (0.1, 0.8):
        loss = obj.copg(torch.stack([chosen, rejected], dim=1), rewards, beta)
        # IPO's residual is β(Δ − 1/(2β)); the contrast of ±¼ is ½.
        expected = beta**2 * obj.ipo(chosen, rejected, beta)
        assert torch.allclose(loss, expected, rtol=1e-12)


def test_the_best_and_the_worst_are_the_first_of_equals():
    assert obj.best_and_worst([1.0, 3.0, 3.0, 0.0, 0.0]) == (1, 3)
    assert obj.best_and_worst([2.0]) == (0, 0)


def test_off_policy_copg_finds_what_reinforce_misses():
    """A bandit of 50 arms; answers come from a fixed policy, not from the one that is trained."""
    random = np.random.default_rng(0)
    arms, beta = 50, 0.5
    rewards = torch.tensor(random.normal(size=arms))
    reference = torch.tensor(random.normal(size=arms)).log_softmax(dim=0)
    target = (reference + rewards / beta).log_softmax(dim=0)
    draws = torch.tensor(random.integers(0, arms, (4000, 64, 2)))

    def train(loss_of, rate):
        logits = reference.clone().requires_grad_()
        optimizer = torch.optim.Adam([logits], lr=rate)
        for number, pairs in enumerate(draws):
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - number / len(draws))
            policy = logits.log_softmax(dim=0)
            loss = loss_of(policy[pairs], (policy - reference)[pairs], rewards[pairs]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        policy = logits.detach().log_softmax(dim=0)
        return float((target.exp() * (target - policy)).sum())

    copg = train(lambda pi, rho, r: obj.copg(rho, r, beta), 0.05)
    reinforce = train(lambda pi, rho, r: -((r - beta * rho).detach() * pi), 0.05)
    assert copg < 1e-4
    assert reinforce > 0.1


def preference_matrix(random, num):
    """P(a ≻ b) of a game that no reward explains."""
    raw = random.random((num, num))
    matrix = np.triu(raw, 1) + np.tril(1 - raw.T, -1)
    return matrix + 0.5 * np.eye(num)


def saddle(preference, reference, beta):
    """The game's solution in closed form: log-ratios of the policy and of the improver [b, a]."""
    tilt = np.log(reference)[None, :] + preference.T / beta
    partition = np.logaddexp.reduce(tilt, axis=1)  # log Z†(b)
    improver = tilt - partition[:, None] - np.log(reference)[None, :]
    policy = np.log(reference) - partition
    policy -= np.logaddexp.reduce(policy)
    return policy - np.log(reference), improver


@pytest.mark.parametrize("seed", range(5))
def test_srpos_two_conditions_hold_at_the_solution_of_the_game(seed):
    random = np.random.default_rng(seed)
    num, beta = 6, 0.4
    preference = preference_matrix(random, num)
    reference = random.dirichlet(np.ones(num))
    ratio, improver = saddle(preference, reference, beta)
    for w in range(num):
        for l in range(num):  # noqa: E741 - the notation of the paper
            target = preference[w, l] - 0.5
            assert abs(target - beta * (improver[l, w] - improver[l, l])) < 1e-12
            both = ratio[w] - ratio[l] + improver[l, w] - improver[w, l]
            assert abs(target - beta / 2 * both) < 1e-12
            # So is the loss, at p = P(w ≻ l); L† at (w|w), (l|w) asks for P(w ≻ w) − P(l ≻ w).
            ratios = [torch.tensor(x) for x in (
                ratio[w], ratio[l], improver[w, w], improver[w, l], improver[l, w], improver[l, l]
            )]  # fmt: skip
            loss = obj.srpo(*ratios, beta, 0.5, 1 - preference[w, l])
            assert abs(float(loss)) < 1e-24


def test_srpos_descent_reaches_the_solution():
    random = np.random.default_rng(3)
    num, beta = 5, 0.5
    preference = preference_matrix(random, num)
    reference = torch.tensor(random.dirichlet(np.ones(num))).log()
    logits = reference.clone().requires_grad_()
    improver = reference.repeat(num, 1).clone().requires_grad_()
    w, l = (x.ravel() for x in np.meshgrid(range(num), range(num)))  # noqa: E741
    smooth = torch.tensor(1 - preference[w, l])
    optimizer = torch.optim.Adam([logits, improver], lr=0.05)
    for _ in range(1500):
        rho = logits.log_softmax(dim=0) - reference
        dagger = improver.log_softmax(dim=1) - reference
        loss = obj.srpo(
            rho[w],
            rho[l],
            dagger[w, w],
            dagger[w, l],
            dagger[l, w],
            dagger[l, l],
            beta,
            0.5,
            smooth,
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ratio, best = saddle(preference, reference.exp().numpy(), beta)
    assert np.abs(rho.detach().numpy() - ratio).max() < 1e-3
    assert np.abs(dagger.detach().numpy() - best).max() < 1e-3


def kto_of_halves(case):
    """The preferred half is desirable, the other is not, and also the mismatched one."""
    ratios = torch.cat([case["w"], case["l"]])
    desirable = torch.arange(len(ratios)) < len(case["w"])
    baseline = obj.kto_baseline(case["l"])
    return obj.kto(ratios, desirable, baseline, case["beta"], 1.5, 0.5)


OURS = {
    "sigmoid": lambda c: obj.dpo(c["w"], c["l"], c["beta"]),
    "robust": lambda c: obj.robust_dpo(c["w"], c["l"], c["beta"], c["smoothing"]),
    "ipo": lambda c: obj.ipo_mean(c["w"], c["l"], c["mw"], c["ml"], c["beta"]),
    "hinge": lambda c: obj.slic(c["w"], c["l"], c["beta"]),
    "simpo": lambda c: obj.simpo(c["w"], c["l"], c["mw"], c["ml"], c["beta"], 0.5),
    "kto": kto_of_halves,
}


@pytest.mark.parametrize("name", OURS)
def test_they_are_trls_on_ragged_batches(name):
    """Of TRL 1.16.0's own loss methods (tests/golden/trl_losses.py)."""
    golden = json.loads(GOLDEN.read_text("utf-8"))
    cases = [case for case in golden["cases"] if case["loss_type"] == name]
    assert cases
    for case in cases:
        tensors = {
            key: torch.tensor(value) if isinstance(value, list) else value
            for key, value in case["inputs"].items()
        }
        assert tensors["w"].dtype == torch.float32
        assert float(OURS[name](tensors).mean()) == pytest.approx(case["loss"], rel=1e-5)
