"""LISA: samples mixed with partners of the same class or the same bias, but not both."""

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.augment.mixing import WEIGHTS, beta, blend
from debias.errors import check_between, check_one_of, check_positive
from debias.types import Batch, Groups


def selected_pairs(target: Tensor, bias: Tensor, intra_label: Tensor) -> Tensor:
    """``(N, N)`` bool: whether the sample of the row may be mixed with that of the column.

    Args:
        target: ``(N,)`` int64 classes.
        bias: ``(N,)`` int64, -1 where unknown: such a sample has no partner.
        intra_label: ``(N,)`` bool: the row's partner has its class and another bias; else its bias
            and another class.
    """
    same_target, same_bias = target[:, None] == target, bias[:, None] == bias
    known = (bias >= 0)[:, None] & (bias >= 0)
    other_bias, other_target = same_target & ~same_bias, ~same_target & same_bias
    return known & torch.where(intra_label[:, None], other_bias, other_target)


class LISA(Augmentation):
    r"""Mix images of the same class and different bias, or of the same bias and different class.

    With probability :math:`p` a sample's partner is intra-label, of the same class and another
    bias: the bias changes and the target does not. Otherwise it is intra-domain, of the same bias
    and another class: the target changes and the bias does not. Then the two are mixed as by
    :class:`debias.augment.mixing.Mixup` or :class:`debias.augment.mixing.CutMix`. A sample whose
    batch has no such partner stays as it is; balanced batches (``sampler.name=group_balanced``)
    have one.

    Source: Yao et al., "Improving Out-of-Distribution Robustness via Selective Augmentation", ICML
    2022; reference code huaxiuyao/LISA.

    Args:
        groups: the groups of the data; single-label.
        selection: :math:`p` in [0, 1].
        mix: "mixup" or "cutmix".
        alpha: of the coefficient's :math:`\mathrm{Beta}(\alpha, \alpha)`, positive.

    Raises:
        ValueError: ``selection``, ``alpha`` or ``mix`` is out of range.

    Differs from the reference: partners, the kind of pair and CutMix's box are drawn for each
    sample (there the kind and the box for each batch, and group k's i-th sample meets group l's
    i-th); mixup there halves the batch, as it keeps one result of each pair; CutMix there takes its
    Beta from the constant 0.2 of another method, not from ``alpha``; more than two classes or
    biases are no special case.
    """

    requires = ("bias",)
    single_label = True
    mixes_targets = True

    def __init__(
        self, groups: Groups, *, selection: float = 0.5, mix: str = "mixup", alpha: float = 2.0
    ) -> None:
        super().__init__(groups)
        check_between("[0, 1]", {"selection": selection}, of="LISA")
        check_positive({"alpha": alpha}, of="LISA")
        check_one_of(WEIGHTS, {"mix": mix}, of="LISA")
        self.classes, self.selection, self.alpha = groups.outputs, selection, alpha
        self.weights = WEIGHTS[mix]

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Mix a batch; everything random comes from torch's global generators.

        Args:
            batch: with ``(N,)`` class indices; left as it is.
            progress: share of the training that is done; does not matter.
        """
        count, device = len(batch.target), batch.image.device
        intra_label = torch.rand(count, device=device) < self.selection
        allowed = selected_pairs(batch.target, batch.bias, intra_label)
        partner = torch.rand(count, count, device=device).masked_fill(~allowed, -1).argmax(dim=1)
        own = self.weights(beta(count, self.alpha, device), batch.image)
        mixed = allowed.any(dim=1)[:, None, None, None]
        return blend(batch, partner, torch.where(mixed, own, 1.0), classes=self.classes)
