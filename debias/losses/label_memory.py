"""Labels of the training samples that change while two networks train."""

import torch
from torch import Tensor, nn

from debias.processes import joined_rows


class LabelMemory(nn.Module):
    """The present label of every row of the data set, which may flip to what a network says of it.

    The label of a row is the given one until it flips for the first time. Whether it flips is drawn
    with the probability of :func:`flip_probability`; in a process group the memory sees the rows of
    all processes, and is the same in each. Where a row occurs several times in a batch, the
    greatest of its new labels is kept.

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM.

    Args:
        samples: rows of the whole data set, which ``index`` counts.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.register_buffer("labels", torch.full((samples,), -1))  # -1 until a row is visited
        self.labels: Tensor

    def forward(self, index: Tensor, target: Tensor) -> Tensor:
        """``(N,)`` int64 present labels of the rows ``index`` with the classes ``target``."""
        kept = self.labels[index]
        return torch.where(kept < 0, target, kept)

    @torch.no_grad()
    def flip(self, logits: Tensor, index: Tensor, target: Tensor, draws: Tensor) -> Tensor:
        """Let labels flip, in training mode.

        Args:
            logits: ``(N, K)`` float of the network that was not trained on these rows.
            index: ``(N,)`` int64 rows in [0, samples).
            target: ``(N,)`` int64 class of each row.
            draws: ``(N,)`` float, uniform in [0, 1), the same for the same row.

        Returns:
            ``(N,)`` bool, whether the label is now another than it was before.
        """
        before = self(index, target)
        said = torch.where(draws < flip_probability(logits), logits.argmax(dim=1), before)
        if self.training:
            rows, labels = joined_rows(torch.stack([index, said], dim=1)).unbind(1)
            self.labels.scatter_reduce_(0, rows, labels, "amax", include_self=False)
        flipped: Tensor = said != before
        return flipped


def flip_probability(logits: Tensor) -> Tensor:
    r"""Probability that a sample's label becomes what the network that was not trained on it says.

    .. math:: \left(\max_c p_c - \frac1K\right) \frac{K}{K-1}

    0 where the network says nothing, 1 where it is certain.

    Source: as :class:`LabelMemory`.

    Args:
        logits: ``(N, K)`` float of that network, K at least 2.

    Returns:
        ``(N,)`` float32 at least, in [0, 1].

    Example:
        >>> flip_probability(torch.tensor([[0.75, 0.25]]).log())
        tensor([0.5000])
    """
    classes = logits.shape[1]
    certain = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(dim=1).amax(dim=1)
    return ((certain - 1 / classes) * (classes / (classes - 1))).clamp(0, 1)
