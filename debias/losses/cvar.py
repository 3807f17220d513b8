"""Conditional value at risk (CVaR): the mean of the largest losses."""

import torch
from torch import Tensor

from debias.errors import check_between
from debias.processes import joined_rows


def cvar(losses: Tensor, *, alpha: float = 0.1, threshold: float | None = None) -> Tensor:
    r"""CVaR: mean of the largest fraction :math:`\alpha` of the losses of a batch.

    .. math:: L = \min_t \Bigl[ t + \frac{1}{\alpha N} \sum_i \max(\ell_i - t, 0) \Bigr]

    The batch is the joined batch of all processes. The minimum is at the
    :math:`\lceil \alpha N \rceil`-th largest loss. If :math:`\alpha N` is not an integer, this loss
    counts with the remaining fraction only. :math:`\alpha = 1` is the mean, and
    :math:`\alpha \le 1/N` the largest loss. Equal losses at the border can get different weights,
    so that no gradient exceeds :math:`1 / (\alpha N)`.

    With ``threshold``, t is fixed. Losses below t then have no gradient. With :math:`\alpha = 1`
    the gradient is that of the truncated loss :math:`\frac1N \sum_i \max(\ell_i - t, 0)`.

    Source: Rockafellar & Uryasev, "Optimization of Conditional Value-at-Risk", 2000; as a batch
    loss: Levy et al., "Large-Scale Methods for Distributionally Robust Optimization", NeurIPS 2020,
    reference code daniellevy/fast-dro; truncated: googleinterns/fairness_ssl.

    Args:
        losses: ``(N,)`` float loss per sample.
        alpha: :math:`\alpha` in (0, 1].
        threshold: t, or ``None`` for the t of the minimum.

    Returns:
        Scalar, at least float32; gradients are scaled as in :func:`debias.processes.joined_rows`.

    Raises:
        ValueError: ``alpha`` is outside (0, 1].

    Example:
        >>> cvar(torch.tensor([4.0, 1.0, 2.0, 3.0]), alpha=0.375).item()  # (1 * 4 + 0.5 * 3) / 1.5
        3.6666667461395264
    """
    check_between("(0, 1]", {"alpha": alpha}, of="CVaR", hint="the fraction of worst losses")
    rows = joined_rows(losses.to(torch.promote_types(losses.dtype, torch.float32)))
    if threshold is not None:
        return threshold + torch.relu(rows - threshold).mean() / alpha
    worst = alpha * len(rows)
    places = torch.arange(len(rows), dtype=rows.dtype, device=rows.device)
    weights = (worst - places).clamp(0, 1) / worst
    return (rows.sort(descending=True).values * weights).sum()
