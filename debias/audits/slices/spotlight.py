"""The Spotlight: balls in feature space where the loss is large."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.errors import check_at_least, check_positive


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
    steps: int = 1000,
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
        steps: steps of Adam per spotlight.
        learning_rate: it is halved, and the plateau forgotten, after 20 steps without progress.

    Returns:
        The spotlights in the order in which they were found.

    Raises:
        ValueError: ``count`` or ``steps`` is less than 1, or ``learning_rate`` is not positive.

    Differs from the reference: the learning rate is that of the published runs, with 1,000 steps.
    Domino's wrapper has 1e-3, with which a spotlight hardly moves. It also computes the loss from
    probabilities as if they were logits; debias takes the losses.
    """
    check_at_least(1, {"count": count, "steps": steps})
    check_positive({"learning_rate": learning_rate})
    points, remaining = torch.from_numpy(features), torch.from_numpy(losses)
    least = smallest * len(losses)
    margins = np.geomspace(len(losses) - least, 0.05 * least, steps).tolist()
    found = []
    for _ in range(count):
        centre, precision = _search(points, remaining, least, margins, learning_rate)
        found.append(Spotlight(centre.numpy(), float(precision)))
        weight = _weights(points, centre, precision)
        remaining = remaining * (1 - weight / weight.max())
    return found


def _search(
    points: Tensor, losses: Tensor, least: float, margins: list[float], learning_rate: float
) -> tuple[Tensor, Tensor]:
    """The centre and the precision of the spotlight on these losses."""
    centre = torch.zeros(points.shape[1], requires_grad=True)
    log_precision = torch.tensor(1e-4).log().requires_grad_()
    optimizer = torch.optim.Adam([centre, log_precision], lr=learning_rate)
    plateau, rate = _plateau(optimizer), learning_rate
    for margin in margins:
        objective = _objective(points, losses, centre, log_precision.exp(), least, margin)
        moved = (centre, log_precision)
        centre.grad, log_precision.grad = torch.autograd.grad(objective, moved)
        optimizer.step()
        plateau.step(objective.item())
        if optimizer.param_groups[0]["lr"] < rate:
            plateau, rate = _plateau(optimizer), optimizer.param_groups[0]["lr"]
    return centre.detach(), log_precision.detach().exp()


def _plateau(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=20, factor=0.5)


def _weights(points: Tensor, centre: Tensor, precision: Tensor) -> Tensor:
    return torch.exp(-0.5 * precision * (points - centre).square().sum(dim=1))


def _objective(
    points: Tensor, losses: Tensor, centre: Tensor, precision: Tensor, least: float, margin: float
) -> Tensor:
    """Minus the mean loss under the spotlight, plus the barrier against small spotlights."""
    weight = _weights(points, centre, precision)
    total = weight.sum()
    barrier = (least + margin - total).clamp(min=0).square() / margin**2
    return barrier - weight @ losses / total
