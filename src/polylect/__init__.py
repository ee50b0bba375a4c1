"""polylect builds one language model for many, and says at every step who pays for it."""

__version__ = "0.1.0"
