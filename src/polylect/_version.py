"""The version, where every tier may read it."""

__version__ = "0.1.0"
