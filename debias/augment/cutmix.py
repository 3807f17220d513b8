"""CutMix: a box of another picture pasted, and the target shared by area."""

from debias.augment.mixing import cutmix_weights
from debias.augment.mixup import Mixup
from debias.types import Groups


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
        ValueError: ``alpha`` is not positive.

    Differs from the reference: each sample has a box of its own, not each batch, and every batch is
    mixed.
    """

    weights = staticmethod(cutmix_weights)

    def __init__(self, groups: Groups, *, alpha: float = 1.0) -> None:
        super().__init__(groups, alpha=alpha)
