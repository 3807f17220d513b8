"""Maximum mean discrepancy: how far apart features are distributed between environments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from debias.errors import InputError
from debias.losses.environment_pairs import distances_from_inner, mean_over_pairs, members_of
from debias.losses.hsic import squared_distances

#: The seven bandwidths of DomainBed's kernel.
GAMMAS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)


class MMDLoss(nn.Module):
    r"""Mean over pairs of environments of the squared MMD of features, by Gaussian kernels.

    .. math:: \bar k_{ee} + \bar k_{e'e'} - 2 \bar k_{ee'}, \qquad
              k(x, x') = \sum_\gamma \exp(-\gamma \lVert x - x' \rVert^2)

    where :math:`\bar k_{ee'}` is the mean of the kernel over all pairs of samples. Within an
    environment a sample and itself are a pair as well (biased, never negative), or are not
    (unbiased).

    The default :math:`\gamma` tell apart distances from 0.03 to 60, which hold those of features of
    EfficientNet, ResNet-50 and ViT. Where features lie 150 or more apart, all kernels are zero: add
    a smaller :math:`\gamma`.

    Source: Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, for the two estimators; Li et
    al., "Domain Generalization with Adversarial Feature Learning", CVPR 2018, for several
    environments; the kernel is that of the code of Gulrajani & Lopez-Paz, "In Search of Lost Domain
    Generalization", ICLR 2021, facebookresearch/DomainBed.

    Args:
        gammas: the :math:`\gamma`, positive, at least one.
        unbiased: leave out the pairs of a sample with itself.

    Raises:
        ValueError: no ``gammas``, or one that is not positive.

    Differs from the reference: environments of one sample are left out, and the joined batch of all
    processes is one batch.

    Example:
        >>> features = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
        >>> environment, compared = torch.tensor([0, 0, 1, 1]), torch.ones(2, 2, dtype=torch.bool)
        >>> mmd = MMDLoss(gammas=[1.0])(features, environment, compared)
        >>> round(mmd.item(), 4)  # 1 + 1 - 2 / e
        1.2642
    """

    def __init__(self, *, gammas: Sequence[float] = GAMMAS, unbiased: bool = False) -> None:
        super().__init__()
        if not gammas or min(gammas) <= 0:
            raise InputError(
                f"MMD needs at least one gamma, all positive; got gammas={list(gammas)}"
            )
        self.gammas, self.unbiased = tuple(gammas), unbiased

    def forward(self, features: Tensor, environment: Tensor, compared: Tensor) -> Tensor:
        """Mean squared MMD over pairs of environments.

        Args:
            features: ``(N, ...)`` float, flattened from the second axis on.
            environment: ``(N,)`` int64 in [0, E); -1 leaves the sample out.
            compared: ``(E, E)`` bool, which pairs are compared; only what lies above the diagonal
                is read.

        Returns:
            Scalar, float32 at least; 0 where no pair has two samples in each environment.
        """
        rows, indicator, counts = members_of(features, environment, len(compared))
        squares = squared_distances(rows)
        kernel = torch.stack([torch.exp(-gamma * squares) for gamma in self.gammas]).sum(dim=0)
        with torch.autocast(rows.device.type, enabled=False):
            shares = indicator / counts.clamp(min=1)
            means = shares.T @ kernel @ shares
            if self.unbiased:
                kernel = kernel - kernel.diagonal().diag()
                pairs = (counts * (counts - 1)).clamp(min=1)
                within = (indicator.T @ kernel @ indicator).diagonal() / pairs
                means = means - means.diagonal().diag() + within.diag()
        return mean_over_pairs(distances_from_inner(means), counts, compared)
