r"""Influence of rows on linear heads of frozen features, exact and without autograd.

The Hessian of a weighted cross-entropy of a linear head has a closed form. With inputs z that
contain a 1 for the bias, and :math:`\theta` ordered by class,

.. math:: H = \sum_i w_i\, \big(\mathrm{diag}(p_i) - p_i p_i^\top\big) \otimes z_i z_i^\top
          + \lambda I
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError, check_positive

#: Most bytes of the Hessians that are held at once.
MOST_BYTES = 4 * 2**30


def class_curvature(probabilities: Tensor, basis: Tensor | None = None) -> Tensor:
    r"""Second derivative of the cross-entropy by the logits, :math:`\mathrm{diag}(p) - p p^\top`.

    Args:
        probabilities: ``(..., C)`` float.
        basis: ``(C, K)`` float orthonormal coordinates of the classes; ``None`` for the classes
            themselves.

    Returns:
        ``(..., K, K)``.
    """
    if basis is None:
        return (
            torch.diag_embed(probabilities) - probabilities[..., None] * probabilities[..., None, :]
        )
    means = probabilities @ basis
    squares = torch.einsum("...c,ck,cl->...kl", probabilities, basis, basis)
    return squares - means[..., None] * means[..., None, :]


def hessian(inputs: Tensor, curvature: Tensor, weights: Tensor, *, ridge: Tensor) -> Tensor:
    r"""Hessian of the weighted cross-entropy of H heads, with a ridge added to its diagonal.

    Args:
        inputs: ``(N, D)`` float, with a column of ones for the bias.
        curvature: ``(H, N, K, K)`` float, of :func:`class_curvature`.
        weights: ``(H, N)`` float weight of each row.
        ridge: ``(H,)`` float.

    Returns:
        ``(H, K D, K D)``, ordered by class, then by input.

    Raises:
        ValueError: the result would need more than ``MOST_BYTES``.
    """
    heads, classes, features = len(curvature), curvature.shape[2], inputs.shape[1]
    size = classes * features
    check_hessian(heads, size, bytes_each=inputs.element_size())
    scaled = curvature * weights[..., None, None]
    result = inputs.new_empty(heads, classes, features, classes, features)
    for one, other in product(range(classes), repeat=2):
        result[:, one, :, other] = inputs.T @ (scaled[:, :, one, other, None] * inputs)
    result = result.view(heads, size, size)
    result.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    return result


def check_hessian(
    heads: int, size: int, *, bytes_each: int, remedy: str = "give fewer rows or classes"
) -> None:
    """Refuse Hessians that would need more than ``MOST_BYTES``.

    Args:
        heads: number of heads.
        size: number of parameters of each head.
        bytes_each: bytes of a number.
        remedy: what makes them smaller, for the message.

    Raises:
        ValueError: they would need more.
    """
    if (needed := heads * size**2 * bytes_each) > MOST_BYTES:
        raise InputError(
            f"the Hessian of {size:,} parameters needs {needed / 2**30:.1f} GiB (number of heads: "
            f"{heads}), and at most {MOST_BYTES / 2**30:.0f} are allowed: {remedy}"
        )


def self_influence(
    features: Tensor, target: Tensor, logits: Tensor, *, damping: float = 1e-3
) -> Tensor:
    r"""Self-influence of every row on a linear head, large for rows that the head had to memorise.

    .. math:: \mathrm{SI}(i) = g_i^\top H^{-1} g_i, \qquad
              g_i = (p_i - e_{y_i}) \otimes [z_i; 1]

    H is the Hessian of the mean cross-entropy of all rows, with ``damping`` on its diagonal.
    Without row i, a new fit would raise the loss of i by about SI(i) / N.

    Source: the influence functions of Koh and Liang, "Understanding Black-box Predictions via
    Influence Functions", ICML 2017, at the training rows themselves.

    Args:
        features: ``(N, D)`` float, computed in evaluation mode.
        target: ``(N,)`` int64 class in [0, C).
        logits: ``(N, C)`` float of the head.
        damping: added to the diagonal of the Hessian, positive.

    Returns:
        ``(N,)`` float64, not negative.

    Raises:
        ValueError: ``damping`` is not positive, or the Hessian does not fit into memory.
    """
    check_positive({"damping": damping}, of="self-influence")
    classes = logits.shape[1]
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        inputs = F.pad(features.double(), (0, 1), value=1.0)
        probabilities = logits.double().softmax(dim=1)
        residuals = probabilities - F.one_hot(target, classes)
        rows = len(inputs)
        inverse = hessian(
            inputs, class_curvature(probabilities)[None], inputs.new_full((1, rows), 1 / rows),
            ridge=inputs.new_full((1,), damping),
        )[0]  # fmt: skip
        lower = torch.linalg.cholesky(inverse)
        found = []
        for some, left in zip(torch.split(inputs, 4096), torch.split(residuals, 4096), strict=True):
            gradients = (left[:, :, None] * some[:, None]).flatten(1)
            half = torch.linalg.solve_triangular(lower, gradients.T, upper=False)
            found.append(half.square().sum(dim=0))
        return torch.cat(found)
