"""Logit adjustment: add the log prior in training, so that logits without it favour no class."""

from torch import Tensor

from debias.losses.classification import classification_losses

#: Smallest prior, also for a class without training samples: its logarithm must be finite.
SMALLEST_PRIOR = 1e-9


def log_priors(counts: Tensor) -> Tensor:
    r"""Logarithm of each class's share, :math:`\log(n_c / \sum_d n_d)`, along the last axis.

    A single row of counts gives the class prior. One row per bias value gives the class prior
    within each bias value.

    Args:
        counts: ``(..., C)`` training samples of each class.

    Returns:
        ``(..., C)`` float32, at least ``log(SMALLEST_PRIOR)``. A row without samples is constant,
        and so adjusts nothing.

    Differs from the reference: Hong & Yang add 1e-9 to every share. Here 1e-9 replaces smaller
    shares.
    """
    counts = counts.double()
    shares = counts / counts.sum(dim=-1, keepdim=True).clamp(min=1)
    return shares.clamp(min=SMALLEST_PRIOR).log().float()


def logit_adjusted_losses(
    logits: Tensor, target: Tensor, *, log_prior: Tensor, tau: float = 1.0
) -> Tensor:
    r"""Cross-entropy of each sample, after adding the log prior to its logits.

    .. math:: \ell_i = \mathrm{CE}(z_i + \tau \log \pi,\, t_i)

    The logits z then need not learn the prior: with :math:`\tau = 1` and enough data,
    :math:`\mathrm{softmax}(z)` is the posterior under equally frequent classes. Predict from z
    without adjustment; a second adjustment in evaluation would count the prior twice. With
    :math:`\tau = 1` this is balanced softmax, whose :math:`\log n_c` differs from
    :math:`\log \pi_c` by a constant. :math:`\tau = 0` is cross-entropy.

    Source: Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021; Ren et al.,
    "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020; with the prior given
    the bias: Hong & Yang, "Unbiased Classification through Bias-Contrastive and Bias-Balanced
    Learning", NeurIPS 2021.

    Args:
        logits: ``(N, C)`` float.
        target: ``(N,)`` int64 in [0, C), or ``(N, C)`` float class probabilities.
        log_prior: ``(C,)`` or ``(N, C)`` float, from :func:`log_priors`.
        tau: :math:`\tau`; a value above 1 favours the rare classes.

    Returns:
        ``(N,)`` float, at least float32.

    Example:
        >>> import torch
        >>> prior = log_priors(torch.tensor([3, 1]))
        >>> losses = logit_adjusted_losses(torch.zeros(1, 2), torch.tensor([1]), log_prior=prior)
        >>> round(losses.item(), 4)  # log 4
        1.3863
    """
    return classification_losses(logits + tau * log_prior, target)
