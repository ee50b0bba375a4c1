"""What is found out about a model when it is opened: its head, its direction, its windows."""

import pytest
import torch
import transformers
from architecture_matrix import VOCABULARY, write_architecture

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models import load_model, unscaled_tokens
from polylect.models.probing import _small_windows, check_head


def saved(config, folder):
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return Checkpoint.open(folder)


def test_a_model_that_reads_both_ways_is_refused(tmp_path):
    config = transformers.XLNetConfig(
        vocab_size=VOCABULARY, d_model=32, n_layer=2, n_head=4, d_inner=48
    )
    with pytest.raises(InputError, match="predictions depend on the tokens after them") as caught:
        load_model(saved(config, tmp_path))
    assert "\n" not in str(caught.value)


def test_a_head_of_several_layers_is_refused(tmp_path):
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        vocab_size=VOCABULARY, is_decoder=True,
    )  # fmt: skip
    with pytest.raises(InputError, match="is no linear head of a known kind") as caught:
        load_model(saved(config, tmp_path))
    assert "\n" not in str(caught.value)


def test_heads_are_checked_on_what_does_not_run_packed_too(tmp_path):
    model = load_model(write_architecture("Mamba", tmp_path))
    model.lm_head.register_forward_hook(lambda module, inputs, output: output * 1.1)
    with pytest.raises(InputError, match="is no linear head of a known kind"):
        check_head(model)


def test_what_transformers_cannot_run_is_one_line(tmp_path):
    model = load_model(write_architecture("Llama", tmp_path))

    def fail(*args, **kwargs):
        raise ValueError("a shape\nof two lines")

    model.model.layers[1].forward = fail
    with pytest.raises(InputError, match=r"transformers cannot run it .a shape.$"):
        check_head(model)


def test_windows_are_small_during_a_probe_and_as_before_afterwards(tmp_path):
    model = load_model(write_architecture("Gemma 3", tmp_path))
    model.config.sliding_window = 4096
    windows = [getattr(module, "sliding_window", None) for module in model.modules()]
    with _small_windows(model):
        assert model.config.sliding_window == 8
    assert model.config.sliding_window == 4096
    assert windows == [getattr(module, "sliding_window", None) for module in model.modules()]


def test_the_length_from_which_all_positions_are_rotated_otherwise(tmp_path):
    for name, tokens in (("Phi 3", None), ("Phi 3, LongRoPE", 32), ("Gemma 3", None)):
        model = load_model(write_architecture(name, tmp_path / name))
        assert unscaled_tokens(model.config.get_text_config()) == tokens
