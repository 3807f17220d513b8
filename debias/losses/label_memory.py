"""Labels of the training samples, which change while two networks train (XRM)."""

import torch
from torch import Tensor, nn

from debias.processes import joined_rows


class LabelMemory(nn.Module):
    """Current label of every row of the data set; it may flip to the prediction of a network.

    The label of a row is its class until it flips for the first time. It flips at random, with the
    probability of :func:`flip_probability`. In a process group the rows of all processes update the
    memory, which is the same in each process. If a row occurs several times in a batch, the largest
    of its new labels is stored.

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM.

    Args:
        samples: number of rows of the whole data set, to which ``index`` refers.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.register_buffer("labels", torch.full((samples,), -1))  # -1 until a row is visited
        self.labels: Tensor

    def forward(self, index: Tensor, target: Tensor) -> Tensor:
        """``(N,)`` int64 current labels of the rows ``index``, whose classes are ``target``."""
        labels = self.labels[index]
        return torch.where(labels < 0, target, labels)

    @torch.no_grad()
    def flip(self, logits: Tensor, index: Tensor, target: Tensor, draws: Tensor) -> Tensor:
        """Flip labels at random to predicted classes; store them in training mode only.

        Args:
            logits: ``(N, K)`` float, from the network that was not trained on these rows.
            index: ``(N,)`` int64 rows in [0, samples).
            target: ``(N,)`` int64 class of each row.
            draws: ``(N,)`` float, uniform in [0, 1); equal for repeats of a row.

        Returns:
            ``(N,)`` bool: whether the new label differs from the one before.
        """
        before = self(index, target)
        current = torch.where(draws < flip_probability(logits), logits.argmax(dim=1), before)
        if self.training:
            rows, labels = joined_rows(torch.stack([index, current], dim=1)).unbind(1)
            self.labels.scatter_reduce_(0, rows, labels, "amax", include_self=False)
        flipped: Tensor = current != before
        return flipped


def flip_probability(logits: Tensor) -> Tensor:
    r"""Probability that a label flips to the class predicted by the network not trained on it.

    .. math:: \left(\max_c p_c - \frac1K\right) \frac{K}{K-1}

    where p is the softmax of the logits. It is 0 for a uniform prediction, and 1 for a certain one.

    Source: as :class:`LabelMemory`.

    Args:
        logits: ``(N, K)`` float from that network, for K classes, at least 2.

    Returns:
        ``(N,)`` float32 at least, in [0, 1].

    Example:
        >>> flip_probability(torch.tensor([[0.75, 0.25]]).log())
        tensor([0.5000])
    """
    classes = logits.shape[1]
    probabilities = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(dim=1)
    confidence = probabilities.amax(dim=1)
    return ((confidence - 1 / classes) * (classes / (classes - 1))).clamp(0, 1)
