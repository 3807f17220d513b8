"""Exact histogram matching: the values of a partner in the order of the image's own values."""

from collections.abc import Sequence

from torch import Tensor

from debias.augment.partners import FolderReader, PartnerAugmentation


def matched(values: Tensor, partner: Tensor) -> Tensor:
    r"""Give the value of rank r in each channel the value of rank r of the partner.

    .. math:: \tilde x_{(r)} = x'_{(r)}

    The result is the permutation of the partner's values that is nearest to x. Equal values are
    ranked in reading order.

    Args:
        values: x, ``(N, C, H, W)`` float.
        partner: x', of the same shape.

    Example:
        >>> import torch
        >>> x, y = (torch.tensor(row).view(1, 1, 1, 3) for row in ([3, 1, 2], [10, 30, 20]))
        >>> matched(x, y).flatten().tolist()
        [30, 10, 20]
    """
    own, other = values.flatten(2), partner.flatten(2)
    order = own.argsort(dim=2, stable=True)
    taken = other.new_empty(other.shape).scatter_(2, order, other.sort(dim=2).values)
    return taken.view_as(values)


class ExactHistogramMatching(PartnerAugmentation):
    r"""Give each channel of an image the exact histogram of its partner (EFDM, on pixels).

    .. math:: \tilde x_{(r)} = x'_{(r)}

    The image takes the colours and the contrast of its partner. Its brighter pixels stay brighter.

    Source: Zhang et al., "Exact Feature Distribution Matching for Arbitrary Style Transfer and
    Domain Generalization", CVPR 2022; reference code YBZh/EFDM.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        read_folder: reads the pictures below a folder.
        partner: "batch", or the path of a folder of pictures.
        probability: probability of changing an image, in [0, 1].

    Raises:
        ValueError: ``probability`` is outside [0, 1], or the folder has no picture.

    Differs from the reference: it matches the features inside a network, and decides once per
    batch. Here pixels are matched, and each image has its own draw. Equal values are sorted stably.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        read_folder: FolderReader,
        *,
        partner: str = "batch",
        probability: float = 0.5,
    ) -> None:
        super().__init__(mean, std, read_folder, partner=partner, probability=probability)

    def mixed(self, pixels: Tensor, partner: Tensor) -> Tensor:
        """The images with the histograms of the partners."""
        return matched(pixels, partner)
