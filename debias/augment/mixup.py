"""Mixup: every sample mixed with a random other one of its batch."""

import torch

from debias.augment.augmentation import Augmentation
from debias.augment.mixing import beta, blend, mixup_weights
from debias.errors import check_positive
from debias.types import Batch, Groups


class Mixup(Augmentation):
    r"""Mix each image and its target with those of a random other image.

    .. math:: \tilde x = \lambda x_i + (1 - \lambda) x_j, \quad
              \tilde t = \lambda t_i + (1 - \lambda) t_j, \quad
              \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    Pairs are random, so the shortcut stays where it was; :class:`debias.augment.lisa.LISA` chooses
    them against it.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. The default is
    SubpopBench's (Yang et al., "Change is Hard: A Closer Look at Subpopulation Shift", ICML 2023).

    Args:
        groups: the groups of the data; single-label.
        alpha: positive; small, samples hardly mix.

    Raises:
        ValueError: ``alpha`` is not positive.

    Differs from the reference: each sample has a coefficient of its own, not each batch.
    """

    single_label = True
    mixes_targets = True
    weights = staticmethod(mixup_weights)

    def __init__(self, groups: Groups, *, alpha: float = 0.2) -> None:
        super().__init__(groups)
        check_positive({"alpha": alpha}, of=type(self).__name__)
        self.classes, self.alpha = groups.outputs, alpha

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Mix a batch; everything random comes from torch's global generators.

        Args:
            batch: with ``(N,)`` class indices; left as it is.
            progress: share of the training that is done; does not matter.
        """
        partner = torch.randperm(len(batch.target), device=batch.image.device)
        coefficient = beta(len(partner), self.alpha, partner.device)
        return blend(batch, partner, self.weights(coefficient, batch.image), classes=self.classes)
