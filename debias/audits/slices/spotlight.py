"""The Spotlight: balls in feature space where the loss is large."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.errors import check_at_least, check_positive

Vector = NDArray[np.float64]
#: Steps of Adam per spotlight.
STEPS = 1000


class Spotlight(NamedTuple):
    """A soft ball in feature space.

    Attributes:
        centre: ``(D,)`` float32.
        precision: inverse of the squared radius.
    """

    centre: NDArray[np.float32]
    precision: float

    def weights(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        r"""``(N,)`` weight :math:`\exp(-\tfrac{1}{2} P \lVert z - \mu \rVert^2)` of each image."""
        squares = np.square(features - self.centre).sum(axis=1)
        return np.asarray(np.exp(-0.5 * self.precision * squares))


def spotlights(
    features: NDArray[np.float32],
    losses: NDArray[np.float32],
    *,
    count: int = 5,
    smallest: float = 0.02,
    learning_rate: float = 1e-2,
) -> list[Spotlight]:
    r"""Find balls of images with a large mean loss, one after the other.

    .. math:: \max_{\mu, P} \frac{\sum_i k_i l_i}{\sum_i k_i}
              - \frac{(W - w - b)^2}{b^2} \,[W < w + b],
              \qquad k_i = e^{-\frac{1}{2} P \lVert z_i - \mu \rVert^2}, \quad W = \sum_i k_i

    w is the smallest total weight. b falls geometrically from N - w to w / 20 over the steps of
    Adam. After each spotlight, the losses are multiplied by :math:`1 - k_i / \max k`.

    Source: d'Eon et al., "The Spotlight: A General Method for Discovering Systematic Errors in Deep
    Learning Models", FAccT 2022, gregdeon/spotlight.

    Args:
        features: ``(N, D)`` float32. Centre and scale them: the search starts at 0 with the
            precision 1e-4, and each parameter moves by about ``learning_rate`` per step.
        losses: ``(N,)`` float32 loss of each image, at least 0.
        count: number of spotlights.
        smallest: least total weight of a spotlight, as a share of the images, in (0, 1).
        learning_rate: it is halved, and the plateau forgotten, after 20 steps without progress.

    Returns:
        The spotlights in the order in which they were found.

    Raises:
        ValueError: ``count`` is less than 1, or ``learning_rate`` is not positive.

    Differs from the reference: the learning rate is that of the published runs, with 1,000 steps.
    Domino's wrapper has 1e-3, with which a spotlight hardly moves. It also computes the loss from
    probabilities as if they were logits; debias takes the losses.
    """
    check_at_least(1, {"count": count})
    check_positive({"learning_rate": learning_rate})
    points, remaining = features.astype(np.float64), losses.astype(np.float64)
    least = smallest * len(losses)
    margins = np.geomspace(len(losses) - least, 0.05 * least, STEPS).tolist()
    found = []
    for _ in range(count):
        found.append(_search(points, remaining, least, margins, learning_rate))
        weight = found[-1].weights(features).astype(np.float64)
        remaining = remaining * (1 - weight / weight.max())
    return found


class _Adam:
    """Adam, whose rate is halved, and its plateau forgotten, after 20 steps without progress.

    The rule of progress is that of ``torch.optim.lr_scheduler.ReduceLROnPlateau``. Written here, a
    step takes a tenth of the time: automatic gradients cost more than these few numbers.
    """

    def __init__(self, size: int, rate: float) -> None:
        self.mean, self.square = np.zeros(size), np.zeros(size)
        self.rate, self.count = rate, 0
        self.best, self.stale = np.inf, 0

    def moved(self, place: Vector, gradient: Vector, value: float) -> Vector:
        """The next place, from the gradient and the value of the objective at this one."""
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        root = np.sqrt(self.square / (1 - 0.999**self.count)) + 1e-8
        after = place - self.rate * self.mean / (1 - 0.9**self.count) / root
        better = value < self.best * (1 - 1e-4)
        self.best, self.stale = (value, 0) if better else (self.best, self.stale + 1)
        if self.stale > 20:
            self.rate, self.best, self.stale = self.rate / 2, np.inf, 0
        return after


def _search(
    points: Vector, losses: Vector, least: float, margins: list[float], learning_rate: float
) -> Spotlight:
    """The spotlight on these losses. Its place is the centre and the logarithm of the precision."""
    place = np.append(np.zeros(points.shape[1]), np.log(1e-4))
    adam = _Adam(len(place), learning_rate)
    for margin in margins:
        value, gradient = _objective(points, losses, place, least, margin)
        place = adam.moved(place, gradient, value)
    return Spotlight(place[:-1].astype(np.float32), float(np.exp(place[-1])))


def _objective(
    points: Vector, losses: Vector, place: Vector, least: float, margin: float
) -> tuple[float, Vector]:
    """Barrier against small spotlights minus mean loss under the spotlight, and its gradient."""
    away, precision = points - place[:-1], np.exp(place[-1])
    squares = np.einsum("nd,nd->n", away, away)
    weight = np.exp(-0.5 * precision * squares)
    total = weight.sum()
    mean = weight @ losses / total
    lacking = max(least + margin - total, 0.0)
    # derivative by each weight, times the weight
    pull = weight * (-2 * lacking / margin**2 - (losses - mean) / total)
    gradient = np.append(precision * (pull @ away), -0.5 * precision * (pull @ squares))
    return float(lacking**2 / margin**2 - mean), gradient
