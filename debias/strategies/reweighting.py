"""Reweighting: losses weighted by the inverse frequency of their class or group."""

from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.balanced_weights import balanced_weights
from debias.losses.classification import classification_losses
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class Reweighting(Strategy):
    r"""Weighted mean loss, :math:`L = \frac1N \sum_i w_{g_i} \ell_i` with
    :math:`w_g \propto E_g^{-p}` of mean one.

    :math:`E_g` is the number of training samples or, with :math:`\beta < 1`, the effective number
    of the class-balanced loss.

    Source: see :func:`debias.losses.balanced_weights.balanced_weights`.
    ``sampler.name=group_balanced`` samples instead of weighting.

    A sample of unknown bias has no group, and weight 0 where groups are weighted.

    Args:
        weights: ``(cells,)`` weight of each class or group.
        groups: the groups of the data; single-label.
    """

    single_label = True
    hard_targets = True

    def __init__(self, weights: Tensor, groups: Groups) -> None:
        super().__init__(groups)
        self.groups = groups
        self.register_buffer("weights", weights)
        self.weights: Tensor

    def cell(self, batch: Batch) -> Tensor:
        """``(N,)`` int64: which weight each sample takes."""
        raise NotImplementedError

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Weighted mean loss of the batch."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        weights = F.pad(self.weights, (0, 1))  # an unknown group, -1, reads the last
        return Loss((weights[self.cell(batch)] * losses).mean(), {})


class ClassReweighting(Reweighting):
    r"""Weight the loss by inverse class frequency, so that classes count alike.

    Args:
        groups: the groups of the data; single-label.
        class_frequencies: ``(C,)`` training samples of each class.
        power: p in [0, 1]; 0.5 is square-root reweighting.
        beta: :math:`\beta` in [0, 1]; below 1, usually 0.9999, it is the class-balanced loss.
    """

    def __init__(
        self, groups: Groups, class_frequencies: Tensor, *, power: float = 1.0, beta: float = 1.0
    ) -> None:
        super().__init__(balanced_weights(class_frequencies, power=power, beta=beta), groups)
        self.corrects_prior = "class" if power and beta else ""

    def cell(self, batch: Batch) -> Tensor:
        """The class of each sample."""
        return batch.target


class GroupReweighting(Reweighting):
    r"""Weight the loss by inverse group frequency, so that groups count alike.

    Args:
        groups: the groups of the data; single-label.
        frequencies: ``(G,)`` training samples of each group.
        power: p in [0, 1]; 0.5 is square-root reweighting.
        beta: :math:`\beta` in [0, 1]; below 1 groups are weighted by their effective number, as in
            SubpopBench.
    """

    requires = ("bias", "groups")

    def __init__(
        self, groups: Groups, frequencies: Tensor, *, power: float = 1.0, beta: float = 1.0
    ) -> None:
        super().__init__(balanced_weights(frequencies, power=power, beta=beta), groups)
        self.corrects_prior = "group" if power and beta else ""

    def cell(self, batch: Batch) -> Tensor:
        """The group of each sample."""
        return self.groups.encode(batch.target, batch.bias)
