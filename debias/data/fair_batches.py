"""FairBatch: an order whose group shares follow the losses of the model."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.data.balance import label_counts
from debias.data.orders import OneEach, Order
from debias.errors import check_positive
from debias.types import Batch, Groups, Observed


@dataclass(eq=False)
class FairBatches:
    r"""Batches with given shares of the bias values within each class, which losses adjust.

    Attributes:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        batch_size: samples of a batch, in all processes together.
        step: :math:`\alpha`, change of a share after an epoch.
        state: ``(classes, biases)`` float64 shares :math:`\lambda`, with sum 1 in each class
            that has samples, and 0 in others.
    """

    group: Tensor
    groups: Groups
    batch_size: int
    step: float
    state: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.counts = torch.bincount(self.group, minlength=self.groups.count).double()
        self.batch_size = min(self.batch_size, len(self.group))
        table = self.counts.view(self.groups.rows, self.groups.biases)
        self.state = table / table.sum(dim=1, keepdim=True).clamp(min=1)  # a class may be empty

    def __len__(self) -> int:
        return len(self.group) // self.batch_size * self.batch_size

    def sizes(self) -> Tensor:
        """``(groups,)`` int64 samples of each group in a batch, with sum ``batch_size``."""
        per_class = self.counts.view_as(self.state).sum(dim=1, keepdim=True) / len(self.group)
        wanted = (self.batch_size * per_class * self.state).flatten()
        sizes = (wanted + 1e-9).floor()
        missing = self.batch_size - int(sizes.sum())
        sizes[(wanted - sizes).argsort(descending=True, stable=True)[:missing]] += 1
        return sizes.long()

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(len(self),)`` int64 positions: batch after batch, each in random order.

        No sample of a group is visited again before all others of the group were.
        """
        batches, sizes = len(self) // self.batch_size, self.sizes()
        by_group = torch.split(self.group.argsort(stable=True), self.counts.long().tolist())
        parts = [
            _passes(rows, batches * size, generator).view(batches, size)
            for rows, size in zip(by_group, sizes.tolist(), strict=True)
        ]
        visits = torch.cat(parts, dim=1)
        places = torch.rand(visits.shape, generator=generator).argsort(dim=1)
        return visits.gather(1, places).flatten()

    def measure(self, model: nn.Module, batch: Batch) -> Tensor:
        """``(N,)`` cross-entropy of each sample."""
        logits: Tensor = model(batch.image).logits
        return F.cross_entropy(logits.float(), batch.target, reduction="none")

    def observe(self, seen: Observed) -> None:
        """Move the shares of the class with the largest gap towards its worst group."""
        group = self.groups.encode(seen.target, seen.bias).cpu()
        sums = torch.zeros_like(self.counts).index_add(0, group, seen.values.cpu().double())
        self.adjust((sums / self.counts).view_as(self.state))

    def adjust(self, losses: Tensor) -> None:
        """Move shares by ``(classes, biases)`` mean losses; NaN for an empty group."""
        worst, best = (losses.nan_to_num(nan=fill) for fill in (-torch.inf, torch.inf))
        gaps = worst.amax(dim=1) - best.amin(dim=1)
        row = int(gaps.argmax())
        if gaps[row] > 0:
            high, low = int(worst[row].argmax()), int(best[row].argmin())
            moved = min(self.step, float(self.state[row, low]))
            self.state[row, high] += moved
            self.state[row, low] -= moved


def fair_batch(group: OneEach, groups: Groups, batch_size: int, *, step: float = 0.005) -> Order:
    r"""Compose batches in shares that follow the model: more of the group with the larger loss.

    Within class y, a batch has the share :math:`\lambda_{yb}` of bias value b, at first that of the
    training data. The shares of the classes never change. After each epoch, the model's mean losses
    :math:`\ell_{yb}` on the training split move the shares of one class:

    .. math:: y = \arg\max_y \left( \max_b \ell_{yb} - \min_b \ell_{yb} \right), \quad
              \lambda_{y, \arg\max_b \ell_{yb}} \mathrel{+}= \alpha, \quad
              \lambda_{y, \arg\min_b \ell_{yb}} \mathrel{-}= \alpha

    while all shares stay in [0, 1]. This is the rule for equalised odds.

    Source: Roh et al., "FairBatch: Batch Selection for Model Fairness", ICLR 2021; reference code
    yuji-roh/fairbatch. For two bias values the rule is theirs. Several values are a generalisation
    of this package.

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        batch_size: samples of a batch, in all processes together.
        step: :math:`\alpha > 0`.

    Raises:
        ValueError: the group of a sample is unknown, targets are multi-label, or ``step`` is not
            positive.

    Differs from the reference: shares move after an epoch, and so not before the first one. Losses
    are cross-entropies of any number of classes. Equal losses move nothing; there they lower the
    share of the value 1. Sizes are rounded so that their sum is ``batch_size``. The rules for equal
    opportunity and demographic parity are left out.
    """
    check_positive({"sampler.step": step})
    label_counts(group, groups.names, "group", torch.zeros(groups.count, dtype=torch.bool))
    return FairBatches(group, groups, batch_size, step)


def _passes(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``(count,)`` rows in passes, each in another random order."""
    if not count:
        return rows[:0]
    passes = [torch.randperm(len(rows), generator=generator) for _ in range(-(-count // len(rows)))]
    return rows[torch.cat(passes)[:count]]
