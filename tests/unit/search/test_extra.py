import subprocess
import sys

import pytest

from polylect.base import PolylectError
from polylect.search import (
    AspectsConfig,
    Cma,
    CmaConfig,
    Fitness,
    FitnessConfig,
    WeightMap,
    hypervolume,
)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    import numpy as np

    for name in [*sys.modules]:
        if name.split(".")[0] in {"cma", "pymoo"}:
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cma", None)
    monkeypatch.setitem(sys.modules, "pymoo", None)
    fitness = Fitness(AspectsConfig(), FitnessConfig())
    with pytest.raises(PolylectError, match=r"needs the package 'cma', which is not .*\[search\]"):
        Cma(WeightMap("softmax", 3), fitness, CmaConfig())
    with pytest.raises(
        PolylectError, match=r"needs the package 'pymoo', which is not .*\[search\]"
    ):
        hypervolume(np.ones((1, 2)), [0, 0])


def test_importing_the_search_imports_neither_the_extra_nor_torch():
    code = (
        "import sys, polylect.search;"
        "print({'cma', 'pymoo', 'torch', 'scipy.stats', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
