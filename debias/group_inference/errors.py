"""Which images an earlier model, or either of two twins, got wrong."""

from torch import Tensor

from debias.errors import InputError


def error_set(logits: Tensor, target: Tensor) -> Tensor:
    r"""The samples that a model misclassifies: :math:`E = \{i : \arg\max_c f_c(x_i) \ne y_i\}`.

    Source: Liu et al., "Just Train Twice: Improving Group Robustness without Training Group
    Information", ICML 2021; reference code anniesch/jtt.

    Args:
        logits: ``(N, C)`` float.
        target: ``(N,)`` int64 class index.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: targets are multi-label, so that no sample is simply right or wrong.

    Example:
        >>> import torch
        >>> error_set(torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1])).tolist()
        [False, True]

    Differs from the reference: the code reads predictions logged in training mode, while the
    epoch's weights still move; here they are those of one model in evaluation mode.
    """
    if target.ndim != 1:
        raise InputError(
            f"an error set needs one class per sample; got targets of shape {tuple(target.shape)}"
        )
    return logits.argmax(dim=1) != target


def cross_mistakes(first: Tensor, second: Tensor, target: Tensor) -> Tensor:
    r"""Samples that one of two twins misclassifies, or both; one was not trained on the sample.

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
