"""What two networks, each trained on one half, get wrong: no memory can hide such errors."""

from __future__ import annotations

from torch import Tensor

from debias.group_inference.errors import error_set


def cross_mistakes(first: Tensor, second: Tensor, target: Tensor) -> Tensor:
    r"""Samples that either of two twins misclassifies, one of which was not trained on the sample.

    .. math:: e_i = [\arg\max_c f_c(x_i) \ne y_i] \lor [\arg\max_c g_c(x_i) \ne y_i]

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM, which takes the mistakes of both twins for training images too.

    Args:
        first: ``(N, C)`` float logits of one twin.
        second: ``(N, C)`` those of the other.
        target: ``(N,)`` int64 class index.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: targets are multi-label.
    """
    return error_set(first, target) | error_set(second, target)
