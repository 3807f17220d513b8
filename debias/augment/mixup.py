"""Mixup and CutMix: every sample mixed with a random other one of its batch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from debias.augment.mixing import WEIGHTS, beta, blend, classes_of
from debias.types import Batch, Groups


class Mixup(nn.Module):
    r"""Mix each image and its target with those of a random other image.

    .. math:: \tilde x = \lambda x_i + (1 - \lambda) x_j, \quad
              \tilde t = \lambda t_i + (1 - \lambda) t_j, \quad
              \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    Pairs are random, so the shortcut stays where it was; :class:`debias.augment.LISA` chooses them
    against it.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. The default is
    SubpopBench's (Yang et al., "Change is Hard: A Closer Look at Subpopulation Shift", ICML 2023).

    Args:
        groups: the groups of the data; single-label.
        alpha: positive; small, samples hardly mix.

    Raises:
        ValueError: a bound is broken, or the targets are multi-label.

    Differs from the reference: each sample has a coefficient of its own, not each batch.
    """

    mixes_targets: ClassVar[bool] = True

    def __init__(self, groups: Groups, *, alpha: float = 0.2) -> None:
        super().__init__()
        self.classes = classes_of(groups, type(self).__name__, alpha)
        self.alpha, self.weights = alpha, WEIGHTS["mixup"]

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Mix a batch; everything random comes from torch's global generators.

        Args:
            batch: with ``(N,)`` class indices; left as it is.
            progress: share of the training that is done; does not matter.
        """
        partner = torch.randperm(len(batch.target), device=batch.image.device)
        coefficient = beta(len(partner), self.alpha, partner.device)
        return blend(batch, partner, self.weights(coefficient, batch.image), classes=self.classes)


class CutMix(Mixup):
    r"""Paste a box of another image; the target follows the areas.

    The box has :math:`1 - \lambda` of the frame,
    :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`, before the frame cuts it off; what the frame
    has left of it is what counts in the target.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019; reference code clovaai/CutMix-PyTorch.

    Args:
        groups: the groups of the data; single-label.
        alpha: positive; 1 makes all areas equally likely.

    Raises:
        ValueError: a bound is broken, or the targets are multi-label.

    Differs from the reference: each sample has a box of its own, not each batch, and every batch is
    mixed.
    """

    def __init__(self, groups: Groups, *, alpha: float = 1.0) -> None:
        super().__init__(groups, alpha=alpha)
        self.weights = WEIGHTS["cutmix"]
