"""Norms of the gradient of each sample on the last layer, without autograd."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import check_positive


def gradient_norms(features: Tensor, target: Tensor, logits: Tensor, *, norm: float = 2) -> Tensor:
    r"""Norm of the gradient of each sample's cross-entropy by the weights of the last layer.

    The gradient of a linear layer is an outer product, and so its norm a product of two:

    .. math:: \lVert \nabla_W \mathrm{CE}_i \rVert_s
              = \lVert p_i - e_{y_i} \rVert_s\, \lVert z_i \rVert_s

    with :math:`\lVert a \rVert_s = (\sum_j |a_j|^s)^{1/s}`. The bias of the layer is left out.

    Source: Ahn et al., "Mitigating Dataset Bias by Using Per-sample Gradient" (PGD), ICLR 2023;
    reference code sumyeongahn/PGD, which computes one backward pass per sample.

    Args:
        features: ``(N, D)`` float inputs of the layer.
        target: ``(N,)`` int64 class in [0, C).
        logits: ``(N, C)`` float outputs of the layer.
        norm: s > 0. Below 1, it is no norm, but orders the samples.

    Returns:
        ``(N,)`` float64.

    Raises:
        ValueError: ``norm`` is not positive.

    Example:
        >>> z, y = torch.tensor([[3.0, 4.0], [3.0, 4.0]]), torch.tensor([0, 1])
        >>> norms = gradient_norms(z, y, torch.tensor([[40.0, 0.0], [40.0, 0.0]]))
        >>> [round(norm, 4) for norm in norms.tolist()]  # 5 sqrt(2)
        [0.0, 7.0711]
    """
    check_positive({"norm": norm}, of="the norms of gradients")
    residuals = logits.double().softmax(dim=1) - F.one_hot(target, logits.shape[1])
    by_logits: Tensor = torch.linalg.vector_norm(residuals, ord=norm, dim=1)
    by_inputs: Tensor = torch.linalg.vector_norm(features.double(), ord=norm, dim=1)
    return by_logits * by_inputs
