"""Configurations of training refuse nonsense when they are made."""

import pytest

from polylect.base import InputError
from polylect.mixtures import Mixture
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    OptimConfig,
    PreferenceConfig,
    PretrainConfig,
    RewardConfig,
    SftConfig,
)

MIXTURE = Mixture(stages=())


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (OptimConfig, {"warmup": 1.5}, "--warmup is 1.5 — give 0 to 1"),
        (OptimConfig, {"learning_rate": float("nan")}, "--learning-rate is nan"),
        (OptimConfig, {"learning_rate": -1}, "--learning-rate is -1 — give more than 0"),
        (OptimConfig, {"learning_rate": 0.0}, "--learning-rate is 0.0 — give more than 0"),
        (OptimConfig, {"warmup": 9}, "--warmup is 9 — give 0 to 1"),
        (OptimConfig, {"beta2": 1.0}, "--beta2 is 1.0 — give 0 or more and less than 1"),
        (OptimConfig, {"schedule": "cosin"}, "--schedule is 'cosin' — did you mean cosine?"),
        (OptimConfig, {"max_grad_norm": -1}, "--max-grad-norm is -1 — give 0 or more"),
        (OptimConfig, {"lora_rank": -1}, "--lora-rank is -1 — give 0 or more"),
        (OptimConfig, {"lora_alpha": 8}, "--lora-alpha without --lora-rank"),
        (ExamplesConfig, {"batch_size": 0}, "--batch-size is 0 — give 1 or more"),
        (ExamplesConfig, {"probes": -1}, "--probes is -1 — give 0 or more"),
        (ExamplesConfig, {"probe_tokens": 0}, "--probe-tokens is 0 — give 1 or more"),
        (PreferenceConfig, {"label_smoothing": 0.5}, "--label-smoothing is 0.5"),
        (PreferenceConfig, {"beta": 0.0}, "--beta is 0.0 — give more than 0"),
        (PreferenceConfig, {"beta": -3}, "--beta is -3 — give more than 0"),
        (PreferenceConfig, {"objective": "dppo"}, "--objective is 'dppo' — did you mean dpo?"),
        (PreferenceConfig, {"objective": "rloo"}, "--objective is 'rloo'"),
        (PreferenceConfig, {"sft_weight": -0.1}, "--sft-weight is -0.1 — give 0 or more"),
        (OnlineConfig, {"beta": 0.0}, "--beta is 0.0 — give more than 0"),
        (OnlineConfig, {"objective": "kto"}, "--objective is 'kto'"),
        (OnlineConfig, {"alpha": 2}, "--alpha is 2 — give 0 to 1"),
        (OnlineConfig, {"num_samples": 1}, "--num-samples is 1 — copg needs 2 or more"),
        (
            OnlineConfig,
            {"sampling_temperature": 0.0},
            "-temperature is 0.0 — give more than 0",
        ),
        (OnlineConfig, {"max_new_tokens": 0}, "--max-new-tokens is 0 — give 1 or more"),
        (RewardConfig, {"reward_centering": -1}, "--reward-centering is -1 — give 0 or more"),
        (PretrainConfig, {"mixture": MIXTURE, "threads": 0}, "--threads is 0 — give 1 to 1024"),
    ],
)
def test_a_value_out_of_range_is_named_as_its_option(kind, values, words):
    with pytest.raises(InputError) as caught:
        kind(**values)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", [SftConfig, PreferenceConfig, RewardConfig, OnlineConfig])
def test_a_configuration_without_a_learning_rate_trains(kind):
    assert kind().optim.learning_rate > 0


def test_the_kl_coefficient_is_what_was_asked_for_or_the_objectives_default():
    assert PreferenceConfig().kl_coefficient == 0.1
    assert PreferenceConfig(objective="simpo").kl_coefficient == 2.0
    assert OnlineConfig(objective="rloo").kl_coefficient == 0.05
    assert OnlineConfig(objective="best-of-n", num_samples=1).kl_coefficient == 0.1
    assert OnlineConfig(beta=0.3).kl_coefficient == 0.3
