"""DebiAN: a second network discovers groups that the classifier treats differently."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from debias.errors import InputError, check_at_least
from debias.losses.classification import classification_losses
from debias.losses.soft_groups import SoftGroups, discovered_weights, discovery_loss, soft_groups
from debias.models.copies import twin
from debias.models.layers import evaluating
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class DebiAN(Strategy):
    r"""Weight the loss towards groups that a second network finds to be treated worse.

    The discoverer D splits each class into two soft groups, with membership :math:`u_i =
    \sigma(D(x_i)_{y_i})`. :math:`p_i` is the probability that the model f gives to the true class
    of sample i. :math:`p^\pm_t` is the mean of :math:`p_i` in each soft group of class t. At each
    step, in this order:

    1. *model* is trained on :math:`\frac1N \sum_i w_i\, \mathrm{CE}(f(x_i), y_i)`. The weight
       :math:`w_i` is 1 + the membership of the soft group with the lower :math:`p^\pm_t`, without
       gradient (:func:`debias.losses.soft_groups.discovered_weights`);
    2. *discoverer* is trained against the updated f, on the mean over the classes of :math:`-\log
       |p^+_t - p^-_t| - \lambda \log(1 - |2 \bar u_t - 1|)`
       (:func:`debias.losses.soft_groups.discovery_loss`).

    In each turn, the network that is not trained is in evaluation mode. Evaluation uses f alone.
    Needs no bias labels.

    Source: Li, Hoogs, Xu, "Discover and Mitigate Unknown Biases with Debiasing Alternate Networks",
    ECCV 2022; reference code zhihengli-UR/DebiAN.

    Args:
        groups: the groups of the data, with single-label targets.
        model: the classifier f; D starts as its copy, with a new head of one logit per class.
        balance: :math:`\lambda \ge 0`; larger values make the two groups of a class more equal in
            size.
        own_halves: train f on the first half of each batch, and D on the second. With twice the
            batch size, each turn has its own images, as with the two loaders of the authors. A
            training batch must then have at least four images.
        separate_start: draw new weights for all of D, as the authors do; see
            :func:`debias.models.copies.twin`.

    Raises:
        ValueError: ``balance`` is negative, or a batch of one image has no two halves.

    Differs from the reference: without ``own_halves``, both turns use the same batch; there each
    has its own loader, which visits every image once per epoch. For two classes, f has two logits
    and D has one per class. On CelebA, D of the reference has one logit that both classes share.
    Means are those of the joined batch of all processes.
    """

    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        *,
        balance: float = 1.0,
        own_halves: bool = False,
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"balance": balance}, of="DebiAN")
        self.balance, self.own_halves, self.classes = balance, own_halves, groups.rows
        self.discoverer = twin(model, redrawn=separate_start)
        if own_halves:
            self.smallest_batch = 4  # batch normalisation needs two images in each half

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Two players: the model and the discoverer."""
        return {"model": list(model.parameters()), "discoverer": list(self.discoverer.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """The model first, then the discoverer on the updated model."""
        return (Turn("model", self.model_loss), Turn("discoverer", self.discover))

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the model: cross-entropy, with larger weights in the worse soft groups."""
        batch = self._half(batch, 0)
        logits = model(batch.image).logits
        with evaluating(self.discoverer), torch.no_grad():
            membership = self._membership(batch)
        losses = classification_losses(logits, batch.target)
        weights = discovered_weights(
            self._groups(logits.detach(), membership, batch), membership, batch.target
        )
        return Loss((weights * losses).mean(), {"cross_entropy": losses.mean().detach()})

    def discover(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the network that finds groups.

        It is low if the two groups of a class have equal size and the model's accuracies on them
        differ; see :func:`debias.losses.soft_groups.discovery_loss`.
        """
        batch = self._half(batch, 1)
        with evaluating(model), torch.no_grad():
            logits = model(batch.image).logits
        groups = self._groups(logits, self._membership(batch), batch)
        gap = (groups.inside - groups.outside).abs().sum() / (groups.counts > 0).sum()
        return Loss(discovery_loss(groups, balance=self.balance), {"discovered_gap": gap.detach()})

    def _half(self, batch: Batch, number: int) -> Batch:
        if not self.own_halves:
            return batch
        count = len(batch.target)
        if count < 2:
            raise InputError(
                "strategy.own_halves=true needs at least two images in a batch; got 1: change "
                "batch_size"
            )
        half = slice(0, count // 2) if number == 0 else slice(count // 2, count)
        return Batch(*(None if field is None else field[half] for field in batch))  # type: ignore[arg-type]  # a field that is not optional is never None

    def _membership(self, batch: Batch) -> Tensor:
        logits: Tensor = self.discoverer(batch.image).logits
        score = logits.gather(1, batch.target[:, None])[:, 0]
        return _precise(score).sigmoid()

    def _groups(self, logits: Tensor, membership: Tensor, batch: Batch) -> SoftGroups:
        probability = F.softmax(_precise(logits), dim=1).gather(1, batch.target[:, None])[:, 0]
        return soft_groups(probability, membership, batch.target, self.classes)


def _precise(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
