"""The samples that an earlier model misclassifies, or at least one of two twin models."""

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
        ValueError: ``target`` is not ``(N,)``, as with several labels per sample.

    Example:
        >>> import torch
        >>> error_set(torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1])).tolist()
        [False, True]

    Differs from the reference: the reference uses predictions that were logged in training mode,
    while the weights changed during the epoch. Here, debias uses those of one model in evaluation
    mode.
    """
    if target.ndim != 1:
        raise InputError(
            f"an error set needs one class per sample; got targets of shape {tuple(target.shape)}"
        )
    return logits.argmax(dim=1) != target


def cross_mistakes(first: Tensor, second: Tensor, target: Tensor) -> Tensor:
    r"""The samples that at least one of two twin models misclassifies.

    .. math:: e_i = [\arg\max_c f_c(x_i) \ne y_i] \lor [\arg\max_c g_c(x_i) \ne y_i]

    For a training sample, one of the twins was not trained on it.

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM, which also uses the mistakes of both twins on training images.

    Args:
        first: ``(N, C)`` float logits of one twin.
        second: ``(N, C)`` float logits of the other twin.
        target: ``(N,)`` int64 class index.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: ``target`` is not ``(N,)``, as with several labels per sample.
    """
    return error_set(first, target) | error_set(second, target)
