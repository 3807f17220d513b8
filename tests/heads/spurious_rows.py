"""Features in which the class and, more loudly, a bias show, and the head that ERM fits to them."""

import torch

from debias.heads.descent import Descent, fit_heads
from debias.heads.linear import Heads, Rows, worst_group_accuracies

SIZE = 20


def spurious_rows(count: int, *, aligned: float, seed: int, positive: float = 0.5) -> Rows:
    """Gaussian features; the first shifts by +-1.5 with the class, the second by +-2 with bias.

    A share ``aligned`` of the rows has the bias of its class, and a share ``positive`` is of class
    1.
    """
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(count, generator=generator) < positive).long()
    bias = torch.where(torch.rand(count, generator=generator) < aligned, target, 1 - target)
    features = torch.randn(count, SIZE, generator=generator)
    features[:, 0] += 1.5 * (2 * target - 1)
    features[:, 1] += 2.0 * (2 * bias - 1)
    return Rows(features, target, 2 * target + bias)


def erm_head(rows: Rows) -> Heads:
    """Logistic regression on all rows alike, from zero."""
    start = Heads(torch.zeros(1, 2, SIZE), torch.zeros(1, 2))
    every_row = [None] * 300
    return fit_heads(*rows[:2], start, descent=Descent(0.5), batches=every_row).heads


def worst_group(heads: Heads, rows: Rows, head: int = 0) -> float:
    """Worst-group accuracy of one of the heads."""
    predictions = heads.logits(rows.features).argmax(dim=2)
    return worst_group_accuracies(predictions, rows.target, rows.group)[head].item()
