"""Moving averages of each training sample's loss, and sample weights made from two of them."""

import torch
from torch import Tensor, nn

from debias.errors import check_between
from debias.processes import joined_rows


class SampleMemory(nn.Module):
    r"""Moving average of each sample's loss, divided by the largest average of its class.

    .. math:: v_i \leftarrow m\, v_i + (1 - m)\, \ell_i, \qquad
              r_i = \frac{v_i}{\max_{j: y_j = y_i} v_j}

    The first visit of a row sets :math:`v_i = \ell_i`. The maximum ignores rows not visited yet.
    The memory is updated before it is read, in training mode only. If a row occurs several times in
    a batch, its mean loss updates the memory once. In a process group the batch is the joined batch
    of all processes, and the memory is the same in each.

    Source: Nam et al., "Learning from Failure: Training Debiased Classifier from Biased
    Classifier", NeurIPS 2020; reference code alinlab/LfF.

    Args:
        samples: number of rows of the whole data set, to which ``index`` refers.
        classes: number of classes.
        momentum: m in [0, 1); with 0, the average of a row is its last loss.

    Raises:
        ValueError: ``momentum`` is outside [0, 1).

    Differs from the reference: there the last of several losses of a row is used. A class whose
    losses are all 0 gives :math:`r = 0` (there 0/0).

    Example:
        >>> memory = SampleMemory(5, 2, momentum=0.5)
        >>> row, target = torch.tensor([4, 2]), torch.tensor([1, 1])
        >>> memory(torch.tensor([1.0, 4.0]), row, target).tolist()
        [0.25, 1.0]
        >>> memory(torch.tensor([3.0, 4.0]), row, target).tolist()  # (1 + 3) / 2, divided by 4
        [0.5, 1.0]
    """

    def __init__(self, samples: int, classes: int, *, momentum: float = 0.7) -> None:
        super().__init__()
        check_between("[0, 1)", {"momentum": momentum}, of="a memory of losses")
        self.classes, self.momentum = classes, momentum
        self.register_buffer("values", torch.zeros(samples))
        self.register_buffer("target", torch.full((samples,), -1))  # -1 until the row is visited
        self.values: Tensor
        self.target: Tensor

    @torch.no_grad()
    def forward(self, losses: Tensor, index: Tensor, target: Tensor) -> Tensor:
        """Relative averages r of the rows of a batch; in training mode, update the memory first.

        Args:
            losses: ``(N,)`` float, not negative.
            index: ``(N,)`` int64 rows in [0, samples); rows may occur several times.
            target: ``(N,)`` int64 class of each row.

        Returns:
            ``(N,)`` float32 in [0, 1], without gradient.
        """
        if self.training:
            self._update(joined_rows(losses), joined_rows(index), joined_rows(target))
        greatest = self.greatest()[target]
        return self.values[index] / greatest.clamp(min=torch.finfo(greatest.dtype).tiny)

    def greatest(self) -> Tensor:
        """``(classes,)`` largest average of each class; 0 for a class without visited rows."""
        slot = self.target + 1  # rows not visited go to an extra slot, the first
        greatest = self.values.new_zeros(self.classes + 1)
        return greatest.scatter_reduce(0, slot, self.values, "amax")[1:]

    def _update(self, losses: Tensor, index: Tensor, target: Tensor) -> None:
        # computed for the rows of the batch alone: the whole memory is much larger
        losses = losses.to(self.values.dtype)
        zeros = torch.zeros_like(self.values)
        counts = zeros.index_add(0, index, torch.ones_like(losses))[index]
        means = zeros.index_add(0, index, losses)[index] / counts
        averages = self.momentum * self.values[index] + (1 - self.momentum) * means
        updated = torch.where(self.target[index] < 0, means, averages)
        self.values.index_copy_(0, index, updated)
        self.target.index_copy_(0, index, target)


class RelativeDifficulty(nn.Module):
    r"""Weight of each sample: its difficulty for a biased network, relative to a debiased one.

    .. math:: W_i = \frac{b_i}{b_i + d_i + 10^{-8}}

    where b and d are the relative averages of the cross-entropies of the biased and the debiased
    network, each from its own :class:`SampleMemory`. The weight is 1/2 for samples that are equally
    hard for both. It is near 1 if only the biased network fails, which means that the shortcut
    misleads.

    Source: Nam et al., NeurIPS 2020; reference code alinlab/LfF.

    Args:
        samples: number of rows of the whole data set.
        classes: number of classes.
        momentum: momentum of both memories, in [0, 1).

    Raises:
        ValueError: ``momentum`` is outside [0, 1).
    """

    def __init__(self, samples: int, classes: int, *, momentum: float = 0.7) -> None:
        super().__init__()
        self.biased = SampleMemory(samples, classes, momentum=momentum)
        self.debiased = SampleMemory(samples, classes, momentum=momentum)

    def forward(
        self, biased_losses: Tensor, losses: Tensor, index: Tensor, target: Tensor
    ) -> Tensor:
        """``(N,)`` weights in [0, 1], without gradient, from the losses of both networks.

        Args:
            biased_losses: ``(N,)`` cross-entropies of the biased network.
            losses: ``(N,)`` cross-entropies of the debiased network.
            index: ``(N,)`` int64 rows of the data set.
            target: ``(N,)`` int64 classes.
        """
        biased = self.biased(biased_losses, index, target)
        weights: Tensor = biased / (biased + self.debiased(losses, index, target) + 1e-8)
        return weights
