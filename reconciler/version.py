"""The version of tuneform, a literal so that `tuneform version` reads no package metadata."""

__version__ = "0.1.0"
