"""Sample weights that correct for unequal class or group frequencies."""

import torch
from torch import Tensor

from debias.errors import InputError, check_between


def balanced_weights(counts: Tensor, *, power: float = 1.0, beta: float = 1.0) -> Tensor:
    r"""Weight of each class or group, larger for rare ones; the mean over training samples is one.

    .. math:: w_g = \frac{E_g^{-p}\,n}{\sum_h n_h E_h^{-p}}, \qquad n = \sum_h n_h, \qquad
              E_g = \frac{1 - \beta^{n_g}}{1 - \beta} \;\text{ for } \beta < 1, \quad
              E_g = n_g \;\text{ for } \beta = 1

    where :math:`n_g` is the number of training samples of group g. With p = 1 and
    :math:`\beta = 1` every group has the same total weight. p = 0.5 is square-root reweighting,
    and p = 0 gives every sample weight 1. :math:`\beta < 1` is the class-balanced loss: E is the
    effective number of samples. It never exceeds :math:`1 / (1 - \beta)`, so all much larger
    groups get nearly the same weight.

    Source: inverse-frequency reweighting as compared by Idrissi et al., "Simple data balancing
    achieves competitive worst-group-accuracy", CLeaR 2022, and Yang et al., "Change is Hard"
    (SubpopBench), ICML 2023. Effective number: Cui et al., "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019.

    Args:
        counts: ``(G,)`` training samples per class or group; with :math:`\beta = 1` also their
            shares. A group without samples gets weight 0.
        power: p in [0, 1].
        beta: :math:`\beta` in [0, 1]; 0.9999 is usual, 0 gives every sample weight 1.

    Returns:
        ``(G,)`` float32.

    Raises:
        ValueError: ``power`` or ``beta`` is outside [0, 1], or all ``counts`` are 0.

    Differs from the reference: SubpopBench and Cui et al. scale the weights to a mean of one over
    *groups*. The mean weight over the data, and so the effective learning rate, then depends on
    the imbalance of the data. In SubpopBench a large group, whose :math:`1 - \beta^{n_g}` rounds
    to 1, gets weight 0.

    Example:
        >>> balanced_weights(torch.tensor([3, 1])).tolist()  # 4/2 over 3 and over 1
        [0.6666666865348816, 2.0]
    """
    check_between("[0, 1]", {"power": power}, hint="0 is no reweighting, 1 is full")
    check_between("[0, 1]", {"beta": beta}, hint="0 is no reweighting, 1 uses plain counts")
    if not bool(counts.any()):
        raise InputError(
            "no group has a training sample: check that the training split is not empty"
        )
    counts = counts.double()
    numbers = counts if beta == 1 else (1 - beta**counts) / (1 - beta)
    inverse = torch.where(counts > 0, numbers**-power, 0.0)
    return (inverse * counts.sum() / (inverse * counts).sum()).float()
