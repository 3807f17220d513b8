"""Samples on which several biased networks agree."""

import torch
from torch import Tensor

from debias.errors import InputError, check_at_least, check_between


def agreed(chances: Tensor, *, threshold: float = 0.99, agreement: int = 3) -> Tensor:
    r"""Mark the samples whose class at least some networks predict with a high probability.

    .. math:: \Big|\{m : p_m(y_i \mid x_i) > \tau\}\Big| \ge k

    If the networks use the shortcut, these samples are bias-aligned.

    Source: Lee et al., "Revisiting the Importance of Amplifying Bias for Debiasing" (BiasEnsemble),
    AAAI 2023; reference code kakaoenterprise/BiasEnsemble.

    Args:
        chances: ``(M, N)`` float, probability of the true class by each of M networks.
        threshold: :math:`\tau` in [0, 1].
        agreement: k in [0, M]. With 0, all samples are marked.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: ``threshold`` is outside [0, 1], or ``agreement`` is outside [0, M].

    Example:
        >>> import torch
        >>> agreed(torch.tensor([[1.0, 1.0, 0.2], [1.0, 0.5, 0.3]]), agreement=2).tolist()
        [True, False, False]
    """
    check_between("[0, 1]", {"threshold": threshold}, of="BiasEnsemble")
    if not 0 <= agreement <= len(chances):
        raise InputError(
            f"agreement must lie in [0, {len(chances)}], the number of networks; got {agreement}"
        )
    return (chances > threshold).sum(dim=0) >= agreement


def highest_in_all(scores: Tensor, target: Tensor, *, count: int) -> Tensor:
    """Mark the samples that are among the highest of their class in every score.

    Args:
        scores: ``(M, N)`` float, M scores of each sample, such as those of M networks.
        target: ``(N,)`` int64 class index.
        count: how many samples of each class a score proposes. A smaller class is proposed whole.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: ``count`` is below 1.

    Example:
        >>> scores = torch.tensor([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]])
        >>> highest_in_all(scores, torch.zeros(3, dtype=torch.int64), count=2).tolist()
        [True, False, False]
    """
    check_at_least(1, {"count": count}, of="the highest samples")
    order = scores.argsort(dim=1, descending=True, stable=True)
    order = order.gather(1, target[order].argsort(dim=1, stable=True))  # by class, then by score
    sizes = torch.bincount(target)
    sorted_target = target.sort().values
    place = torch.arange(len(target)) - (sizes.cumsum(0) - sizes)[sorted_target]
    marked = torch.zeros(scores.shape, dtype=torch.bool)
    marked.scatter_(1, order, (place < count).expand(scores.shape))
    return marked.all(dim=0)
