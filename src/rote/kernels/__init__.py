"""Compiled functions, and array orders that they share."""

from rote.kernels.compiling import cache_folder, kernel

__all__ = ["cache_folder", "kernel"]
