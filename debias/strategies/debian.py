"""DebiAN: a discoverer looks for unequal groups, and the classifier evens them out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from debias.errors import check_at_least
from debias.losses.classification import classification_losses
from debias.losses.soft_groups import SoftGroups, discovered_weights, discovery_loss, soft_groups
from debias.models.copies import twin
from debias.models.layers import evaluating
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class DebiAN(Strategy):
    r"""Weight the loss towards groups that a second network finds to be treated worse.

    The model f and a discoverer D move in alternation.

    D splits each class in two soft groups, :math:`u_i = \sigma(D(x_i)_{y_i})`. With :math:`p_i` the
    probability that f gives the true class, :math:`p^\pm_t` its mean in either group of class t, at
    each step in this order:

    1. *model* moves on :math:`\frac1N \sum_i w_i\, \mathrm{CE}(f(x_i), y_i)`, where :math:`w_i` is
       1 + the membership of the worse group (:func:`debias.losses.soft_groups.discovered_weights`),
       without gradient through w;
    2. *discoverer* moves on the mean over the classes of
       :math:`-\log |p^+_t - p^-_t| - \lambda \log(1 - |2 \bar u_t - 1|)`
       (:func:`debias.losses.soft_groups.discovery_loss`), against the moved f.

    Whoever does not move is in evaluation mode. D is not used in evaluation. Needs no bias labels.

    Source: Li, Hoogs, Xu, "Discover and Mitigate Unknown Biases with Debiasing Alternate Networks",
    ECCV 2022; reference code zhihengli-UR/DebiAN.

    Args:
        groups: the groups of the data; single-label.
        model: the classifier f; D starts as its copy, with a head of one logit per class, drawn
            again.
        balance: :math:`\lambda \ge 0`, how much the two groups of a class are to be of the same
            size.

    Raises:
        ValueError: ``balance`` is negative.

    Differs from the reference: both turns see the same batch (there two loaders draw one each); two
    classes have two logits, and D one for each (there, for CelebA, a single one that both classes
    share). Means are those of the joined batch of all processes.
    """

    single_label = True
    hard_targets = True

    def __init__(self, groups: Groups, model: nn.Module, *, balance: float = 1.0) -> None:
        super().__init__(groups)
        check_at_least(0, {"balance": balance}, of="DebiAN")
        self.balance, self.classes = balance, groups.rows
        self.discoverer = twin(model)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The model, and the discoverer."""
        return {"model": list(model.parameters()), "discoverer": list(self.discoverer.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """The model moves first, then the discoverer looks at what it has become."""
        return (Turn("model", self.model_loss), Turn("discoverer", self.discover))

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model: classify, above all where it fares worse."""
        logits = model(batch.image).logits
        with evaluating(self.discoverer), torch.no_grad():
            membership = self._membership(batch)
        losses = classification_losses(logits, batch.target)
        weights = discovered_weights(
            self._groups(logits.detach(), membership, batch), membership, batch.target
        )
        return Loss((weights * losses).mean(), {"cross_entropy": losses.mean().detach()})

    def discover(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the discoverer: groups of one size that the model treats differently."""
        with evaluating(model), torch.no_grad():
            logits = model(batch.image).logits
        groups = self._groups(logits, self._membership(batch), batch)
        gap = (groups.inside - groups.outside).abs().sum() / (groups.counts > 0).sum()
        return Loss(discovery_loss(groups, balance=self.balance), {"discovered_gap": gap.detach()})

    def _membership(self, batch: Batch) -> Tensor:
        logits: Tensor = self.discoverer(batch.image).logits
        return logits.gather(1, batch.target[:, None])[:, 0].float().sigmoid()

    def _groups(self, logits: Tensor, membership: Tensor, batch: Batch) -> SoftGroups:
        probability = F.softmax(logits.float(), dim=1).gather(1, batch.target[:, None])[:, 0]
        return soft_groups(probability, membership, batch.target, self.classes)
