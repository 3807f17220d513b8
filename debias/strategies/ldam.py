"""LDAM: rarer classes must be classified with a larger margin."""

from torch import Tensor, nn

from debias.errors import check_positive
from debias.losses.ldam import ldam_losses, ldam_margins
from debias.strategies.objectives import weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class LDAM(Strategy):
    """Use a margin per class that is larger for rarer classes.

    The loss is the mean cross-entropy with a margin proportional to :math:`n_c^{-1/4}`, where
    :math:`n_c` is the number of training samples of class c. Needs no bias labels.

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
    NeurIPS 2019.

    Args:
        groups: the groups of the data, with single-label targets.
        class_frequencies: ``(C,)`` number of training samples in each class.
        max_margin: margin of the rarest class, positive.
        scale: :math:`s > 0`, a factor of the logits.

    Raises:
        ValueError: ``max_margin`` or ``scale`` is not positive.

    Differs from the reference: see :func:`debias.losses.ldam.ldam_losses`. Its second stage, which
    reweights late in training, is left out, as in SubpopBench.
    """

    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        class_frequencies: Tensor,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
    ) -> None:
        super().__init__(groups)
        check_positive({"scale": scale}, of="LDAM")
        self.scale = scale
        self.register_buffer("margins", ldam_margins(class_frequencies, max_margin=max_margin))
        self.margins: Tensor

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean LDAM loss of the batch."""
        logits = model(batch.image).logits
        losses = ldam_losses(logits, batch.target, margins=self.margins, scale=self.scale)
        return Loss(weighted(losses, batch).mean(), {})
