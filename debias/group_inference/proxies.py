"""uLA: how often a proxy of the bias takes each value in each class."""

from torch import Tensor
from torch.nn import functional as F

from debias.errors import check_positive


def soft_counts(logits: Tensor, target: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Count the samples of each class by the probabilities of a proxy of the bias.

    .. math:: n_{ya} = \sum_{i:\, y_i = y} \mathrm{softmax}(l_i / T)_a

    The proxy predicts classes too, from features that mostly hold the shortcut. So
    :math:`n_{ya} / \sum_{y'} n_{y'a}` is the share of class y where the shortcut suggests class a.

    Source: Tsirigotis et al., "Group Robust Classification Without Any Group Information" (uLA),
    NeurIPS 2023; reference code tsirif/uLA.

    Args:
        logits: ``(N, C)`` float l of the proxy.
        target: ``(N,)`` int64 class of each sample.
        temperature: T > 0. A small one counts predictions, and a large one makes all shares alike.

    Returns:
        ``(C, C)`` float64; rows are classes, and columns are values of the proxy.

    Raises:
        ValueError: ``temperature`` is not positive.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 0.0], [9.0, -9.0], [-9.0, 9.0]])
        >>> soft_counts(logits, torch.tensor([0, 0, 1])).round(decimals=2)
        tensor([[1.5000, 0.5000],
                [0.0000, 1.0000]], dtype=torch.float64)
    """
    check_positive({"temperature": temperature}, of="uLA")
    chances = (logits.double() / temperature).softmax(dim=1)
    return F.one_hot(target, logits.shape[1]).to(chances.dtype).T @ chances
