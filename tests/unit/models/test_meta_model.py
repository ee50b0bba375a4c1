import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models import rows_of
from polylect.models.meta_model import tensor_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_some_rows_are_those_of_the_whole_matrix(tmp_path, dtype):
    weight = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"embed.weight": weight}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    checkpoint = Checkpoint.open(tmp_path)
    for rows in ([0], [49], [3, 4, 5, 9, 10, 48, 49], range(50)):
        chosen = np.array(rows)
        found = rows_of(checkpoint, "embed.weight", chosen)
        assert found.dtype == dtype
        assert torch.equal(found, weight[chosen])
        assert torch.equal(found, tensor_of(checkpoint, "embed.weight")[chosen])
    with pytest.raises(InputError, match=r"tensor 'head\.weight' is missing"):
        rows_of(checkpoint, "head.weight", np.array([0]))
