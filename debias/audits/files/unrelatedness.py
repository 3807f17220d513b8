"""The score of cleanlab for spurious correlations, to compare with AUROC."""

import numpy as np
from numpy.typing import NDArray


def unrelatedness(accuracy: float, target: NDArray[np.int64]) -> float:
    r"""How little a property tells the class: 1 if nothing, 0 if everything.

    .. math:: \min\Big(1, \frac{1 - a}{1 - b}\Big) \quad\text{with}\quad b = \max_c n_c / N

    Source: cleanlab's Datalab, issue "spurious correlations", which reports values below 0.3.

    Args:
        accuracy: a, accuracy of a classifier that sees the property alone.
        target: ``(N,)`` int64 classes; at least two occur.

    Returns:
        In [0, 1].

    Example:
        >>> unrelatedness(0.95, np.array([0] * 95 + [1] * 5))
        1.0

    Differs from the reference: in cleanlab 2.9.0, b is the index of the commonest class divided by
    N, in place of its share. In the example its score is 0.05, so that a useless property is
    reported.
    """
    baseline = np.bincount(target).max() / len(target)
    return float(min(1.0, (1 - accuracy) / (1 - baseline)))
