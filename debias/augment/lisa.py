"""LISA: mixes each sample with a partner of the same class or the same bias, but not both."""

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.augment.mixing import WEIGHTS, beta, blend
from debias.errors import check_between, check_one_of, check_positive
from debias.types import Batch, Groups


def selected_pairs(target: Tensor, bias: Tensor, intra_label: Tensor) -> Tensor:
    """Which pairs LISA may mix: ``(N, N)`` bool, one row per sample, one column per partner.

    Args:
        target: ``(N,)`` int64 class of each sample.
        bias: ``(N,)`` int64 bias value, or -1 if unknown. Samples of unknown bias are in no pair.
        intra_label: ``(N,)`` bool. If true, the partner of the sample has the same class and
            another bias. If false, it has the same bias and another class.
    """
    same_target, same_bias = target[:, None] == target, bias[:, None] == bias
    known = (bias >= 0)[:, None] & (bias >= 0)
    other_bias, other_target = same_target & ~same_bias, ~same_target & same_bias
    return known & torch.where(intra_label[:, None], other_bias, other_target)


class LISA(Augmentation):
    r"""Mix images of the same class and different bias, or of the same bias and different class.

    With probability :math:`p` the partner of a sample is intra-label: it has the same class and
    another bias. Otherwise it is intra-domain: it has the same bias and another class. Sample and
    partner are mixed by :class:`debias.augment.mixing.Mixup` or
    :class:`debias.augment.mixing.CutMix`. A sample stays unchanged if its batch has no such
    partner. Group-balanced batches (``sampler.name=group_balanced``) usually have one.

    Source: Yao et al., "Improving Out-of-Distribution Robustness via Selective Augmentation", ICML
    2022; reference code huaxiuyao/LISA.

    Args:
        groups: the groups of the data; single-label.
        selection: probability :math:`p` of an intra-label partner, in [0, 1].
        mix: "mixup" or "cutmix".
        alpha: :math:`\alpha > 0` of the mixing coefficient's :math:`\mathrm{Beta}(\alpha, \alpha)`.

    Raises:
        ValueError: ``selection`` is outside [0, 1], ``alpha`` is not positive, ``mix`` is unknown,
            or the targets are multi-label.

    Differs from the reference: partners, the kind of pair and the box of CutMix are drawn per
    sample. The reference draws kind and box per batch, and pairs the i-th samples of two groups.
    Its mixup halves the batch, as it keeps one result per pair. Its CutMix uses the constant 0.2 of
    another method in place of ``alpha``. Here more than two classes or bias values need no special
    case.
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
        """Mix the samples of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch with ``(N,)`` class indices, which is not modified.
            progress: has no effect.
        """
        count, device = len(batch.target), batch.image.device
        intra_label = torch.rand(count, device=device) < self.selection
        allowed = selected_pairs(batch.target, batch.bias, intra_label)
        partner = torch.rand(count, count, device=device).masked_fill(~allowed, -1).argmax(dim=1)
        own = self.weights(beta(count, self.alpha, device), batch.image)
        mixed = allowed.any(dim=1)[:, None, None, None]
        return blend(batch, partner, torch.where(mixed, own, 1.0), classes=self.classes)
