"""Distances between the features of environments: correlation alignment and MMD."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_one_of, check_positive
from debias.losses.hsic import linear_kernel, squared_distances
from debias.processes import joined_rows

#: The forms of CORAL.
FORMS = ("domainbed", "paper")
#: The seven bandwidths of DomainBed's kernel.
GAMMAS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
#: Fewest samples with which an environment is compared: one sample has no covariance.
LEAST = 2


class CORALLoss(nn.Module):
    r"""Mean over pairs of environments of the distance between their means and their covariances.

    .. math:: \text{domainbed:}\ \tfrac{1}{D} \lVert \mu_e - \mu_{e'} \rVert^2
              + \tfrac{1}{D^2} \lVert C_e - C_{e'} \rVert_F^2, \qquad
              \text{paper:}\ \tfrac{1}{4 D^2} \lVert C_e - C_{e'} \rVert_F^2

    with covariances C of denominator n - 1. No covariance is formed:
    :math:`\langle C_e, C_{e'} \rangle` is a sum of squared inner products of centred features,
    which costs :math:`N^2 D` instead of :math:`N D^2`.

    On 1280 features of an EfficientNet the gradient of the domainbed form is about 0.06 of the
    cross-entropy's, that of the paper's form about 0.0002: it needs a strength in the hundreds.

    Source: Sun & Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV 2016
    workshops; the form with means is that of the code of Gulrajani & Lopez-Paz, "In Search of Lost
    Domain Generalization", ICLR 2021, facebookresearch/DomainBed.

    Args:
        form: "domainbed" or "paper".

    Raises:
        ValueError: an unknown form.

    Differs from the reference: environments of less than two samples are left out (there the loss
    is NaN), and the joined batch of all processes is one batch.

    Example:
        >>> features = torch.tensor([[0.0], [2.0], [3.0], [3.0]])
        >>> environment, compared = torch.tensor([0, 0, 1, 1]), torch.ones(2, 2, dtype=torch.bool)
        >>> CORALLoss()(features, environment, compared).item()  # (3 - 1)^2 + (2 - 0)^2
        8.0
    """

    def __init__(self, *, form: str = "domainbed") -> None:
        super().__init__()
        check_one_of(FORMS, {"form": form}, of="CORAL")
        self.form = form

    def forward(self, features: Tensor, environment: Tensor, compared: Tensor) -> Tensor:
        """Mean distance over pairs of environments.

        Args:
            features: ``(N, ...)`` float, flattened from the second axis on.
            environment: ``(N,)`` int64 in [0, E); -1 leaves the sample out.
            compared: ``(E, E)`` bool, which pairs are compared; only what lies above the diagonal
                is read.

        Returns:
            Scalar, float32 at least; 0 where no pair has two samples in each environment.
        """
        rows, indicator, counts = members_of(features, environment, len(compared))
        with torch.autocast(rows.device.type, enabled=False):
            means = indicator.T @ rows / counts.clamp(min=1)[:, None]
            weights = indicator / (counts - 1).clamp(min=1)
            inner = weights.T @ linear_kernel(rows - indicator @ means).square() @ weights
        covariances = distances_from_inner(inner) / rows.shape[1] ** 2
        if self.form == "paper":
            return mean_over_pairs(covariances / 4, counts, compared)
        return mean_over_pairs(
            (means[:, None] - means).square().mean(dim=2) + covariances, counts, compared
        )


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
        if not gammas:
            raise InputError("MMD needs at least one gamma; got gammas=[]")
        check_positive({f"gammas[{at}]": gamma for at, gamma in enumerate(gammas)}, of="MMD")
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


class Members(NamedTuple):
    """The joined batch by environment.

    Attributes:
        features: ``(N, D)`` float32 at least, zero where the environment is unknown.
        indicator: ``(N, E)`` of the same dtype, 1 where the sample is from the environment.
        counts: ``(E,)`` of the same dtype.
    """

    features: Tensor
    indicator: Tensor
    counts: Tensor


def members_of(features: Tensor, environment: Tensor, environments: int) -> Members:
    """The rows of all processes, and which environment each is from.

    Args:
        features: ``(N, ...)`` float, flattened from the second axis on.
        environment: ``(N,)`` int64 in [0, environments); -1 leaves the sample out.
        environments: how many environments there are, absent ones included.
    """
    rows = features.flatten(1)
    rows = joined_rows(rows.to(torch.promote_types(rows.dtype, torch.float32)))
    environment = joined_rows(environment)
    rows = torch.where(environment[:, None] < 0, 0.0, rows)
    columns = torch.arange(environments, device=rows.device)
    indicator = (environment[:, None] == columns).to(rows.dtype)
    return Members(rows, indicator, indicator.sum(dim=0))


def distances_from_inner(inner: Tensor) -> Tensor:
    """``(E, E)`` squared distances of points from their ``(E, E)`` inner products."""
    squares = inner.diagonal()
    return squares[:, None] + squares - 2 * inner


def mean_over_pairs(distances: Tensor, counts: Tensor, compared: Tensor) -> Tensor:
    """Mean over the compared pairs of environments with two samples each; 0 where there is none.

    Args:
        distances: ``(E, E)`` float, symmetric.
        counts: ``(E,)`` samples of each environment.
        compared: ``(E, E)`` bool; only what lies above the diagonal is read.
    """
    enough = counts >= LEAST
    pairs = compared.triu(1) & enough[:, None] & enough
    return torch.where(pairs, distances, 0.0).sum() / pairs.sum().clamp(min=1)
