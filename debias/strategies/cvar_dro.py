"""CVaR-DRO: minimise the mean of the worst losses, whichever group they are in."""

from torch import nn

from debias.errors import check_at_least, check_between
from debias.losses.classification import classification_losses
from debias.losses.cvar import cvar
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss


class CVaRDRO(Strategy):
    r"""Minimise the mean of the worst losses of each batch.

    Mean of the worst fraction :math:`\alpha` of the losses of each batch. Needs no bias labels.

    With ``threshold`` it is the truncated form, in which the samples below a loss of ``threshold``
    have no gradient.

    Source: Levy et al., "Large-Scale Methods for Distributionally Robust Optimization", NeurIPS
    2020; Yang et al., "Change is Hard" (SubpopBench), ICML 2023, with :math:`\alpha = 0.1`.
    Truncated: googleinterns/fairness_ssl, with a threshold of 1e-4 on Waterbirds and 0.6 on CelebA.

    Args:
        alpha: :math:`\alpha` in (0, 1]; 1 is ERM. ``None`` stands for 0.1, and with ``threshold``
            for 1, the mean.
        threshold: a loss that stands for the best one of each batch, see
            :func:`debias.losses.cvar.cvar`.

    Raises:
        ValueError: ``alpha`` lies outside (0, 1], or ``threshold`` is negative.
    """

    def __init__(self, *, alpha: float | None = None, threshold: float | None = None) -> None:
        super().__init__()
        if alpha is None:
            alpha = 0.1 if threshold is None else 1.0
        check_between("(0, 1]", {"alpha": alpha}, hint="the fraction of worst losses")
        if threshold is not None:
            check_at_least(0, {"threshold": threshold}, hint="it is a loss, or null")
        self.alpha, self.threshold = alpha, threshold

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean of the worst losses of the batch."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        return Loss(cvar(losses, alpha=self.alpha, threshold=self.threshold), {})
