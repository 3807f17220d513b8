"""The Hilbert-Schmidt independence criterion (HSIC): how much two features are dependent."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from debias.errors import check_at_least, check_one_of
from debias.processes import joined_rows

#: Lower bound of :func:`median_distance`, so that equal features give a kernel of ones, not of NaN.
SMALLEST_SIGMA = 1e-6


class HSIC(nn.Module):
    r"""HSIC: dependence of two features, estimated from a kernel matrix of each.

    The unbiased estimate is 0 in expectation for independent features. In a process group, every
    process returns the HSIC of the joined batch of all processes. Gradients are scaled so that the
    average that DistributedDataParallel takes is the gradient of the joined batch. Kernels are
    computed in float32 at least, also under autocast: in bfloat16 they are several per cent off,
    and in float16 infinite.

    Source: Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", ALT 2005
    (biased); Song et al., "Feature Selection via Dependence Maximization", JMLR 2012 (unbiased);
    used by Bahng et al., "Learning De-biased Representations with Biased Representations", ICML
    2020, reference code clovaai/rebias.

    Args:
        kernel: "rbf" or "linear".
        estimator: "unbiased", which may be negative, or "biased".

    Raises:
        ValueError: ``kernel`` or ``estimator`` is not one of these names.

    Differs from the reference: see :func:`hsic_unbiased`; a linear kernel is added.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> criterion = HSIC(kernel="linear", estimator="biased")
        >>> round(criterion(features, features).item(), 4)  # (5 / 3) ** 2
        2.7778
    """

    def __init__(self, *, kernel: str = "rbf", estimator: str = "unbiased") -> None:
        super().__init__()
        check_one_of(("rbf", "linear"), {"kernel": kernel}, of="HSIC")
        check_one_of(ESTIMATORS, {"estimator": estimator}, of="HSIC")
        self.kernel, self.estimator = kernel, estimator

    def forward(
        self, x: Tensor, y: Tensor, *, sigma_x: float | Tensor = 1.0, sigma_y: float | Tensor = 1.0
    ) -> Tensor:
        """Estimate the HSIC of two features over the joined batch of all processes.

        Args:
            x: ``(N, ...)`` features, flattened from the second axis on.
            y: ``(N, ...)`` other features of the same samples.
            sigma_x: bandwidth of the RBF kernel of ``x``, positive; a scalar.
            sigma_y: bandwidth of the RBF kernel of ``y``.

        Returns:
            Scalar, at least float32.

        Raises:
            ValueError: the joined batch has fewer than 4 samples (unbiased) or 2 (biased).
        """
        return ESTIMATORS[self.estimator](self._matrix(x, sigma_x), self._matrix(y, sigma_y))

    def _matrix(self, features: Tensor, sigma: float | Tensor) -> Tensor:
        rows = joined_rows(features)
        return linear_kernel(rows) if self.kernel == "linear" else rbf_kernel(rows, sigma=sigma)


def hsic_unbiased(kernel_x: Tensor, kernel_y: Tensor) -> Tensor:
    r"""Unbiased estimate of HSIC from two kernel matrices; it may be negative.

    .. math:: \frac{1}{m(m-3)} \left[ \mathrm{tr}(\tilde K \tilde L)
              + \frac{(1^\top \tilde K 1)(1^\top \tilde L 1)}{(m-1)(m-2)}
              - \frac{2}{m-2} 1^\top \tilde K \tilde L 1 \right]

    where K and L are the kernel matrices, and the tilde sets their diagonals to zero.

    Source: Song et al., "Feature Selection via Dependence Maximization", JMLR 2012. It is computed
    as :math:`\sum_{i \ne j} A_{ij} B_{ij} / (m(m-3))`, with A and B the U-centred K and L of
    Székely and Rizzo, "Partial Distance Correlation with Methods for Dissimilarities", 2014. This
    is the same number, computed without differences of large sums.

    Args:
        kernel_x: ``(m, m)`` symmetric float, m at least 4.
        kernel_y: ``(m, m)`` symmetric float.

    Returns:
        Scalar.

    Raises:
        ValueError: m is less than 4.

    Differs from the reference: the diagonal is set to zero. The reference subtracts the vector of
    diagonal entries from every row, which is right only for kernels of constant diagonal (RBF).
    """
    size = _enough(kernel_x, 4)
    return (_u_centred(kernel_x) * _u_centred(kernel_y)).sum() / (size * (size - 3))


def hsic_biased(kernel_x: Tensor, kernel_y: Tensor) -> Tensor:
    r"""Biased estimate of HSIC from two kernel matrices; it is never negative.

    .. math:: \frac{\mathrm{tr}(KHLH)}{(m-1)^2}, \qquad H = I - 11^\top / m

    Source: Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", ALT 2005.

    Args:
        kernel_x: ``(m, m)`` symmetric float, m at least 2.
        kernel_y: ``(m, m)`` symmetric float.

    Returns:
        Scalar.

    Raises:
        ValueError: m is less than 2.
    """
    size = _enough(kernel_x, 2)
    rows = kernel_x.mean(dim=0)
    return ((kernel_x - rows - rows[:, None] + rows.mean()) * kernel_y).sum() / (size - 1) ** 2


ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "unbiased": hsic_unbiased,
    "biased": hsic_biased,
}


def linear_kernel(features: Tensor) -> Tensor:
    r"""``(m, m)`` dot products :math:`x_i^\top x_j` of ``(m, ...)`` features; float32 at least."""
    rows = features.flatten(1)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    with torch.autocast(rows.device.type, enabled=False):
        return rows @ rows.T


def rbf_kernel(features: Tensor, *, sigma: float | Tensor = 1.0) -> Tensor:
    r"""``(m, m)`` RBF kernel :math:`\exp(-\lVert x_i - x_j \rVert^2 / (2 \sigma^2))` of features.

    Args:
        features: ``(m, ...)`` float, flattened from the second axis on.
        sigma: bandwidth, positive; a scalar.
    """
    return torch.exp(-squared_distances(features) / (2 * sigma**2))


def median_distance(features: Tensor) -> Tensor:
    r"""Bandwidth for an RBF kernel: root of the median squared distance between two samples.

    The median is over all pairs of the joined batch of all processes, including the pairs of a
    sample with itself.

    Source: Bahng et al., ICML 2020, reference code clovaai/rebias.

    Args:
        features: ``(N, ...)`` float.

    Returns:
        Scalar without gradient, at least ``SMALLEST_SIGMA``.
    """
    squares = squared_distances(joined_rows(features.detach())).flatten().sort().values
    middle = (squares[(len(squares) - 1) // 2] + squares[len(squares) // 2]) / 2
    return middle.sqrt().clamp(min=SMALLEST_SIGMA)


def squared_distances(features: Tensor) -> Tensor:
    r"""``(m, m)`` squared distances :math:`\lVert x_i - x_j \rVert^2` of rows; float32 at least."""
    rows = features.flatten(1)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    # centring keeps distances; without it, features far from the origin would give small
    # differences of large squares
    inner = linear_kernel(rows - rows.mean(dim=0).detach())
    squares = inner.diagonal()
    return (squares[:, None] + squares - 2 * inner).clamp(min=0)


def _without_diagonal(kernel: Tensor) -> Tensor:
    return kernel.masked_fill(torch.eye(len(kernel), dtype=torch.bool, device=kernel.device), 0.0)


def _u_centred(kernel: Tensor) -> Tensor:
    size = len(kernel)
    rows = _without_diagonal(kernel).sum(dim=0)
    centred = kernel - (rows + rows[:, None]) / (size - 2) + rows.sum() / ((size - 1) * (size - 2))
    return _without_diagonal(centred)


def _enough(kernel: Tensor, least: int) -> int:
    samples = {"samples per batch": len(kernel)}
    check_at_least(least, samples, of="this HSIC", hint="raise batch_size")
    return len(kernel)
