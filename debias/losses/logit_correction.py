"""Logit correction (LC): a prior of the class, estimated from a biased network's confidence."""

import torch
from torch import Tensor, nn

from debias.errors import check_between
from debias.processes import joined_rows

#: Added to a prior before its logarithm is taken, as in the authors' code.
SMALLEST_SHARE = 1e-4


class ConfidenceTable(nn.Module):
    r"""How much a biased network believes in the class of samples, by class and by its prediction.

    .. math:: D_{ya} \leftarrow m\, D_{ya} + (1 - m)
              \operatorname{mean}_{i:\, y_i = y,\, a_i = a} p_i(y), \qquad
              \pi(y \mid a) = \frac{D_{ya}}{\sum_{y'} D_{y'a}}

    where :math:`p_i` are the probabilities of the biased network on sample i, and :math:`a_i` is
    its prediction. A batch updates the cells in which it has samples. The first batch of a cell
    sets it. A cell without samples so far is 0. The table is updated before it is read, in training
    mode only. In a process group the batch is the joined batch of all processes.

    Source: Liu et al., "Avoiding Spurious Correlations via Logit Correction", ICLR 2023; reference
    code shengliu66/LC.

    Args:
        classes: number of classes.
        momentum: m in [0, 1); with 0, a cell is its last mean.

    Raises:
        ValueError: ``momentum`` is outside [0, 1).

    Differs from the reference: a cell that a batch lacks keeps its value. The reference's option
    ``batch`` sets it to 0, and ``mv_batch`` shrinks it. Its option ``mv`` averages the samples of a
    batch in their order, with momentum per sample; here they enter by their mean.

    Example:
        >>> table = ConfidenceTable(2, momentum=0.5)
        >>> probabilities = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.75, 0.25]])
        >>> table(probabilities, torch.tensor([0, 0, 1]))[0].tolist()  # D is 0.75 and 0.25
        [0.75, 0.25]
    """

    def __init__(self, classes: int, *, momentum: float = 0.5) -> None:
        super().__init__()
        check_between("[0, 1)", {"momentum": momentum}, of="a table of confidences")
        self.classes, self.momentum = classes, momentum
        self.register_buffer("values", torch.zeros(classes, classes))
        self.register_buffer("visited", torch.zeros(classes, classes, dtype=torch.bool))
        self.values: Tensor
        self.visited: Tensor

    @torch.no_grad()
    def forward(self, probabilities: Tensor, target: Tensor) -> Tensor:
        """``(N, C)`` prior of the classes, given the biased network's prediction of each sample.

        Args:
            probabilities: ``(N, C)`` float, of the biased network.
            target: ``(N,)`` int64 class of each sample.
        """
        predicted = probabilities.argmax(dim=1)
        if self.training:
            confidence = probabilities.gather(1, target[:, None])[:, 0].to(self.values.dtype)
            cell = target * self.classes + predicted
            self._update(joined_rows(confidence), joined_rows(cell))
        shares = self.values / self.values.sum(dim=0).clamp(min=torch.finfo(torch.float32).tiny)
        return shares[:, predicted].T

    def _update(self, confidence: Tensor, cell: Tensor) -> None:
        zeros = torch.zeros_like(self.values).flatten()
        counts = zeros.index_add(0, cell, torch.ones_like(confidence)).view_as(self.values)
        means = zeros.index_add(0, cell, confidence).view_as(self.values) / counts.clamp(min=1)
        averages = self.momentum * self.values + (1 - self.momentum) * means
        averages = torch.where(self.visited, averages, means)
        self.values.copy_(torch.where(counts > 0, averages, self.values))
        self.visited.logical_or_(counts > 0)


def group_partners(target: Tensor, predicted: Tensor, generator: torch.Generator) -> Tensor:
    """A partner for each sample of a batch: one of its class that a biased network gets wrong.

    If the batch has none, the partner is any sample of the class, perhaps the sample itself. All
    possible partners are equally likely.

    Source: Group MixUp of Liu et al., ICLR 2023; reference code amazon-science/lc-loss.

    Args:
        target: ``(N,)`` int64 class of each sample.
        predicted: ``(N,)`` int64 prediction of the biased network.
        generator: source of the random draws, on the CPU.

    Returns:
        ``(N,)`` int64 positions in the batch.

    Differs from the reference: without a sample that the biased network gets wrong, partners are
    drawn independently of each other; there they are a permutation of the class.
    """
    same = target[:, None] == target
    minority = same & (predicted != target)
    allowed = torch.where(minority.any(dim=1, keepdim=True), minority, same)
    return torch.multinomial(allowed.float().cpu(), 1, generator=generator)[:, 0].to(target.device)
