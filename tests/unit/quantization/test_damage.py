import math

import pytest
import torch

from polylect.models import Head
from polylect.quantization.damage import divergences


@pytest.mark.parametrize("spread", [0.05, 3.0])
@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.5])
def test_the_divergence_is_that_of_its_definition_in_pieces(spread, noise):
    random = torch.Generator().manual_seed(0)
    head = Head(torch.randn(5000, 32, generator=random) * spread, scale=0.7, softcap=30.0)
    full = torch.randn(3, 700, 32, generator=random)
    other = full + noise * torch.randn(3, 700, 32, generator=random)
    found = divergences(["de", "ja", "de"], full, other, head)
    double = Head(head.weight.double(), head.scale, head.softcap)
    p, q = (torch.log_softmax(double.logits(one.double().view(-1, 32)), 1) for one in (full, other))
    nats = (p.exp() * (p - q)).sum(1).view(3, -1)
    expected = {"de": nats[[0, 2]].mean(), "ja": nats[1].mean()}
    assert {tag: num for tag, (_, num) in found.items()} == {"de": 1400, "ja": 700}
    for tag, (bits, _) in found.items():
        assert bits == pytest.approx(float(expected[tag]) / math.log(2), rel=1e-4, abs=2e-8)
