"""Intervals, tests and separations: numpy and scipy alone, of use without the rest of rote."""
