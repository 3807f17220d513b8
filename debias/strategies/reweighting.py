"""Reweighting: weight each loss by the inverse frequency of its class or group."""

from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.balanced_weights import balanced_weights
from debias.losses.classification import classification_losses
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class Reweighting(Strategy):
    r"""Weighted mean loss, :math:`L = \frac1N \sum_i w_{g_i} \ell_i`, with one weight per group.

    :math:`w_g \propto E_g^{-p}`, with mean one over the training data. :math:`E_g` is the number of
    training samples or, with :math:`\beta < 1`, the effective number of the class-balanced loss.
    Subclasses use classes or groups as g. If they use groups, a sample of unknown bias has weight
    0. ``sampler.name=group_balanced`` balances by sampling instead.

    Source: see :func:`debias.losses.balanced_weights.balanced_weights`.

    Args:
        weights: ``(cells,)`` weight of each class or group.
        groups: the groups of the data, with single-label targets.
    """

    single_label = True
    hard_targets = True

    def __init__(self, weights: Tensor, groups: Groups) -> None:
        super().__init__(groups)
        self.groups = groups
        self.register_buffer("weights", weights)
        self.weights: Tensor

    def cell(self, batch: Batch) -> Tensor:
        """``(N,)`` int64 position in ``weights`` for each sample; -1 gives weight 0."""
        raise NotImplementedError

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Weighted mean loss of the batch."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        weights = F.pad(self.weights, (0, 1))  # a group of -1 selects the last
        return Loss((weights[self.cell(batch)] * losses).mean(), {})


class ClassReweighting(Reweighting):
    r"""Weight the loss by inverse class frequency, so that all classes count equally.

    Args:
        groups: the groups of the data, with single-label targets.
        class_frequencies: ``(C,)`` number of training samples in each class.
        power: p in [0, 1]; 0.5 is square-root reweighting.
        beta: :math:`\beta` in [0, 1]. Below 1, usually 0.9999, it is the class-balanced loss.
    """

    def __init__(
        self, groups: Groups, class_frequencies: Tensor, *, power: float = 1.0, beta: float = 1.0
    ) -> None:
        super().__init__(balanced_weights(class_frequencies, power=power, beta=beta), groups)
        self.corrects_prior = "class" if power and beta else ""

    def cell(self, batch: Batch) -> Tensor:
        """``(N,)`` int64 class of each sample."""
        return batch.target


class GroupReweighting(Reweighting):
    r"""Weight the loss by inverse group frequency, so that all groups count equally.

    Args:
        groups: the groups of the data, with single-label targets.
        frequencies: ``(G,)`` number of training samples in each group.
        power: p in [0, 1]; 0.5 is square-root reweighting.
        beta: :math:`\beta` in [0, 1]. Below 1, groups are weighted by their effective number, as in
            SubpopBench.
    """

    requires = ("bias", "groups")

    def __init__(
        self, groups: Groups, frequencies: Tensor, *, power: float = 1.0, beta: float = 1.0
    ) -> None:
        super().__init__(balanced_weights(frequencies, power=power, beta=beta), groups)
        self.corrects_prior = "group" if power and beta else ""

    def cell(self, batch: Batch) -> Tensor:
        """``(N,)`` int64 group of each sample, -1 where the bias is unknown."""
        return self.groups.encode(batch.target, batch.bias)
