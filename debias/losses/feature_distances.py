"""Distances between the features of different environments: CORAL and MMD."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_one_of, check_positive
from debias.losses.group_means import members
from debias.losses.hsic import linear_kernel, squared_distances
from debias.processes import joined_rows

#: Valid forms of :class:`CORALLoss`.
FORMS = ("domainbed", "paper")
#: The seven bandwidths of DomainBed's kernel.
GAMMAS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
#: Fewest samples of an environment that is compared: one sample has no covariance.
LEAST = 2


class CORALLoss(nn.Module):
    r"""CORAL: average distance between feature means and covariances of pairs of environments.

    .. math:: \text{domainbed:}\ \tfrac{1}{D} \lVert \mu_e - \mu_{e'} \rVert^2
              + \tfrac{1}{D^2} \lVert C_e - C_{e'} \rVert_F^2, \qquad
              \text{paper:}\ \tfrac{1}{4 D^2} \lVert C_e - C_{e'} \rVert_F^2

    where :math:`\mu_e` and :math:`C_e` are the mean and the covariance (denominator n - 1) of the
    features of environment e. No covariance matrix is formed: :math:`\langle C_e, C_{e'} \rangle`
    is a sum of squared inner products of centred features. This costs :math:`N^2 D` instead of
    :math:`N D^2`.

    On the 1280 features of an EfficientNet, the gradient of the domainbed form is about 0.06 times
    that of the cross-entropy. For the paper form the factor is about 0.0002, so it needs a strength
    in the hundreds.

    Source: Sun & Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV 2016
    workshops; the form with means is that of the code of Gulrajani & Lopez-Paz, "In Search of Lost
    Domain Generalization", ICLR 2021, facebookresearch/DomainBed.

    Args:
        form: "domainbed" or "paper".

    Raises:
        ValueError: ``form`` is not "domainbed" or "paper".

    Differs from the reference: environments with fewer than two samples are left out (there the
    loss is NaN). The batch is the joined batch of all processes.

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
        """Average the distance over the compared pairs of environments.

        Args:
            features: ``(N, ...)`` float, flattened from the second axis on.
            environment: ``(N,)`` int64 in [0, E); -1 leaves the sample out.
            compared: ``(E, E)`` bool: which pairs to compare; only entries above the diagonal are
                read.

        Returns:
            Scalar, float32 at least; 0 if no pair has two samples in each environment.
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
    r"""Squared maximum mean discrepancy (MMD) of features, averaged over pairs of environments.

    .. math:: \bar k_{ee} + \bar k_{e'e'} - 2 \bar k_{ee'}, \qquad
              k(x, x') = \sum_\gamma \exp(-\gamma \lVert x - x' \rVert^2)

    where :math:`\bar k_{ee'}` is the mean of the Gaussian kernels over all pairs of a sample of e
    and a sample of e'. For e = e', the biased estimate includes the pairs of a sample with itself
    and is never negative. The unbiased estimate leaves these pairs out.

    The default :math:`\gamma` distinguish distances from 0.03 to 60. The features of EfficientNet,
    ResNet-50 and ViT have distances in this range. If features are 150 or more apart, all kernels
    are zero: add a smaller :math:`\gamma`.

    Source: Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, for the two estimators; Li et
    al., "Domain Generalization with Adversarial Feature Learning", CVPR 2018, for several
    environments; the kernel is that of the code of Gulrajani & Lopez-Paz, "In Search of Lost Domain
    Generalization", ICLR 2021, facebookresearch/DomainBed.

    Args:
        gammas: values of :math:`\gamma`, positive, at least one.
        unbiased: leave out the pairs of a sample with itself.

    Raises:
        ValueError: ``gammas`` is empty, or one of them is not positive.

    Differs from the reference: environments with one sample are left out. The batch is the joined
    batch of all processes.

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
        """Average the squared MMD over the compared pairs of environments.

        Args:
            features: ``(N, ...)`` float, flattened from the second axis on.
            environment: ``(N,)`` int64 in [0, E); -1 leaves the sample out.
            compared: ``(E, E)`` bool: which pairs to compare; only entries above the diagonal are
                read.

        Returns:
            Scalar, float32 at least; 0 if no pair has two samples in each environment.
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
    """The features of the joined batch of all processes, and the environment of each sample.

    Attributes:
        features: ``(N, D)`` float32 at least; zero for samples of unknown environment.
        indicator: ``(N, E)`` of the same dtype; 1 if the sample belongs to the environment.
        counts: ``(E,)`` samples of each environment, of the same dtype.
    """

    features: Tensor
    indicator: Tensor
    counts: Tensor


def members_of(features: Tensor, environment: Tensor, environments: int) -> Members:
    """Join the features of all processes, and mark the environment of each sample.

    Args:
        features: ``(N, ...)`` float, flattened from the second axis on.
        environment: ``(N,)`` int64 in [0, environments); -1 leaves the sample out.
        environments: number of environments E, also of those without a sample in the batch.
    """
    rows = features.flatten(1)
    rows = joined_rows(rows.to(torch.promote_types(rows.dtype, torch.float32)))
    environment = joined_rows(environment)
    rows = torch.where(environment[:, None] < 0, 0.0, rows)
    indicator = members(environment, environments).to(rows.dtype)
    return Members(rows, indicator, indicator.sum(dim=0))


def distances_from_inner(inner: Tensor) -> Tensor:
    """``(E, E)`` squared distances between E points, from their ``(E, E)`` inner products."""
    squares = inner.diagonal()
    return squares[:, None] + squares - 2 * inner


def mean_over_pairs(distances: Tensor, counts: Tensor, compared: Tensor) -> Tensor:
    """Mean over compared pairs whose environments have 2 or more samples; 0 without such pairs.

    Args:
        distances: ``(E, E)`` float, symmetric.
        counts: ``(E,)`` samples of each environment.
        compared: ``(E, E)`` bool; only entries above the diagonal are read.
    """
    enough = counts >= LEAST
    pairs = compared.triu(1) & enough[:, None] & enough
    return torch.where(pairs, distances, 0.0).sum() / pairs.sum().clamp(min=1)
