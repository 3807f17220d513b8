"""CVaR-DRO: minimise the mean of the worst losses, without groups."""

from torch import nn

from debias.errors import check_at_least, check_between
from debias.losses.classification import classification_losses
from debias.losses.cvar import cvar
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss


class CVaRDRO(Strategy):
    r"""Minimise the mean of the worst losses of each batch.

    The worst losses are the largest fraction :math:`\alpha` of the batch. Needs no bias labels.

    ``threshold`` selects the truncated form: samples with a loss below it have no gradient.

    Source: Levy et al., "Large-Scale Methods for Distributionally Robust Optimization", NeurIPS
    2020; Yang et al., "Change is Hard" (SubpopBench), ICML 2023, with :math:`\alpha = 0.1`.
    Truncated: googleinterns/fairness_ssl, with a threshold of 1e-4 on Waterbirds and 0.6 on CelebA.

    Args:
        alpha: :math:`\alpha` in (0, 1]; 1 is ERM. ``None`` means 0.1, or 1 if ``threshold`` is
            given.
        threshold: a fixed t in the formula of :func:`debias.losses.cvar.cvar`, instead of the best
            t of each batch.

    Raises:
        ValueError: ``alpha`` is outside (0, 1], or ``threshold`` is negative.
    """

    def __init__(self, *, alpha: float | None = None, threshold: float | None = None) -> None:
        super().__init__()
        if alpha is None:
            alpha = 0.1 if threshold is None else 1.0
        check_between("(0, 1]", {"alpha": alpha}, hint="the fraction of worst losses")
        if threshold is not None:
            check_at_least(0, {"threshold": threshold}, hint="give a loss, or null")
        self.alpha, self.threshold = alpha, threshold

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean of the worst losses of the batch, or the truncated form if ``threshold`` is set."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        return Loss(cvar(losses, alpha=self.alpha, threshold=self.threshold), {})
