"""How time and memory grow with the number of records: exponents and a plot."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path


def fitted_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """b of the least-squares line log(value) = log(a) + b · log(size): 1 is linear growth, 0 none.

    >>> round(fitted_exponent([10, 100, 1000], [3, 30, 300]), 6)
    1.0
    """
    xs, ys = [math.log(size) for size in sizes], [math.log(max(value, 1e-9)) for value in values]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return slope / sum((x - x_mean) ** 2 for x in xs)


def plot(path: Path, sizes: Sequence[int], series: Mapping[str, Sequence[float]], *, title: str) -> None:
    """One line for each series over the number of records, both axes logarithmic; seconds left, megabytes right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    parts = {"seconds": "_s", "memory (MB)": "_mb"}
    figure, axes = pyplot.subplots(1, len(parts), figsize=(10, 4), layout="constrained")
    for axis, (label, ending) in zip(axes, parts.items(), strict=True):
        for name, values in series.items():
            if name.endswith(ending):
                shown = f"{name.removesuffix(ending).replace('_', ' ')} ({fitted_exponent(sizes, values):.2f})"
                axis.loglog(sizes, values, marker="o", label=shown)
        axis.set(xlabel="records", ylabel=label)
        axis.legend(title="exponent in brackets")
    figure.suptitle(title)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
