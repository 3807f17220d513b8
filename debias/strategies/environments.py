"""Environments of the samples, and base classes of the methods that compare environments."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from debias.errors import check_at_least, check_one_of, check_positive
from debias.losses.classification import classification_losses
from debias.losses.vrex import EnvironmentRisks, environment_risks
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn

KINDS = ("bias", "group")


class Environments:
    """The environment of each sample: the value of its bias or of one attribute, or its group.

    Args:
        groups: the groups of the data.
        kind: "bias", "group", or the name of one of several bias attributes of ``groups``. An
            attribute that is called "bias" or "group" cannot be chosen alone.
        conditional: compare only samples of the same class. The environments are then pairs of
            class and value.

    Raises:
        ValueError: ``kind`` is unknown, or targets are multi-label and the environments are groups.
    """

    def __init__(self, groups: Groups, kind: str, *, conditional: bool = False) -> None:
        names = [attribute.name for attribute in groups.attributes]
        check_one_of((*KINDS, *names), {"environments": kind})
        self.every, self.conditional = groups, conditional
        self.position = None if kind in KINDS else names.index(kind)
        self.groups = groups if self.position is None else groups.alone(self.position)
        self.by_group = conditional or kind == "group"
        if self.by_group:
            grouped = "environments=group, unlike environments=bias,"
            groups.check_single_label("conditional=true" if conditional else grouped)

    @property
    def count(self) -> int:
        """Number of environments."""
        return self.groups.count if self.by_group else self.groups.biases

    def of(self, batch: Batch) -> Tensor:
        """``(N,)`` int64 environment per sample, in [0, count); -1 where the bias is unknown."""
        bias = batch.bias
        if self.position is not None:
            bias = self.every.decode(bias)[:, self.position]
        return self.groups.encode(batch.target, bias) if self.by_group else bias

    def compared(self) -> Tensor:
        """``(count, count)`` bool: which pairs of environments are compared."""
        row = torch.arange(self.count) // self.groups.biases
        return (row[:, None] == row) if self.conditional else torch.ones_like(row[:, None] == row)


class InvariantRisk(Strategy):
    r"""Mean risk of the environments, plus a penalty on the differences between them.

    .. math:: L = \frac{1}{|E|} \sum_e R_e + \lambda\, \Omega + \mu \lVert \theta \rVert^2,
              \qquad \lambda = \text{``warmup_penalty`` in the first ``warmup`` steps,
              ``penalty`` afterwards}

    :math:`R_e` is the mean loss of environment e, and :math:`\theta` has all weights of the model.
    Subclasses define :math:`\Omega` in :meth:`variation`.

    Source: the schedule is that of Arjovsky et al. 2019, see :class:`debias.strategies.irm.IRM`.

    Args:
        groups: the groups of the data.
        environments: "bias" for one environment per bias value, "group" for one per group, or the
            name of one of several bias attributes.
        penalty: :math:`\lambda` after the warm-up, at least 0.
        warmup: number of steps with :math:`\lambda` = ``warmup_penalty``, at least 0.
        rescale: divide the loss by the growth of the weight, ``penalty / warmup_penalty``, after
            the warm-up if this is more than 1, so that the gradient does not grow with it.
        l2: :math:`\mu`, at least 0. Unlike ``weight_decay`` of the optimiser, it is part of the
            loss, so that ``rescale`` divides it too.
        warmup_penalty: :math:`\lambda > 0` in the warm-up.

    Raises:
        ValueError: ``penalty``, ``warmup`` or ``l2`` is negative, ``warmup_penalty`` is not
            positive, ``environments`` is unknown, or targets are multi-label and ``environments``
            is "group".
    """

    requires = ("bias",)

    def __init__(
        self,
        groups: Groups,
        *,
        environments: str,
        penalty: float,
        warmup: int,
        rescale: bool,
        l2: float,
        warmup_penalty: float,
    ) -> None:
        super().__init__()
        bounded = {"penalty": penalty, "warmup": warmup, "l2": l2}
        check_at_least(0, bounded, of=type(self).__name__)
        check_positive({"warmup_penalty": warmup_penalty}, of=type(self).__name__)
        self.environments = Environments(groups, environments)
        self.hard_targets = self.environments.by_group
        self.penalty, self.warmup, self.rescale, self.l2 = penalty, warmup, rescale, l2
        self.warmup_penalty, self.begins = warmup_penalty, {"warmup": warmup}

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn of the model, with the penalty weight of this step."""
        weight = self.warmup_penalty if step < self.warmup else self.penalty
        return (Turn("model", partial(self.weighted_loss, weight=weight)),)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss after the warm-up: mean risk plus ``penalty`` times the penalty term."""
        return self.weighted_loss(model, batch, weight=self.penalty)

    def weighted_loss(self, model: nn.Module, batch: Batch, *, weight: float) -> Loss:
        """Mean risk of the environments plus ``weight`` times the penalty term; both are logged."""
        logits, environment = model(batch.image).logits, self.environments.of(batch)
        losses = classification_losses(logits, batch.target)
        risks = environment_risks(losses, environment, self.environments.count)
        penalty = self.variation(logits, batch.target, environment, risks)
        total = risks.mean + weight * penalty
        if self.l2:
            squares = [weights.square().sum() for weights in model.parameters()]
            total = total + self.l2 * torch.stack(squares).sum()
        terms = {"environment_risk": risks.mean.detach(), "variation": penalty.detach()}
        growth = max(weight / self.warmup_penalty, 1.0) if self.rescale else 1.0
        return Loss(total / growth, terms, {"variation": weight})

    def variation(
        self, logits: Tensor, target: Tensor, environment: Tensor, risks: EnvironmentRisks
    ) -> Tensor:
        """The penalty term, a scalar: how much environments differ. Each subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define variation")


class FeatureMatching(Strategy):
    r"""Mean loss, plus the mean distance of the features between pairs of environments.

    .. math:: L = \frac1N \sum_i \ell_i + \gamma\, \frac{1}{|P|} \sum_{(e, e') \in P} D(z_e, z_{e'})

    If classes have different frequencies in the environments, features that separate the classes
    differ between environments too. Matching all pairs then harms the task. Conditional
    environments are compared only within a class.

    Args:
        distance: D, averaged over pairs: a function of features, environments, and an ``(E, E)``
            bool matrix of compared pairs.
        environments: the environments, and which pairs of them are compared.
        strength: :math:`\gamma \ge 0`.

    Raises:
        ValueError: ``strength`` is negative.
    """

    requires = ("bias",)

    def __init__(self, distance: nn.Module, environments: Environments, strength: float) -> None:
        super().__init__()
        check_at_least(0, {"strength": strength}, of=type(self).__name__)
        self.environments, self.strength, self.distance = environments, strength, distance
        self.hard_targets = environments.by_group
        self.register_buffer("compared", environments.compared(), persistent=False)
        self.compared: Tensor

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss plus ``strength`` times the feature distance, which is logged."""
        outputs = model(batch.image)
        distance = self.distance(outputs.features, self.environments.of(batch), self.compared)
        total = task_loss(outputs.logits, batch) + self.strength * distance
        terms = {"feature_distance": distance.detach()}
        return Loss(total, terms, {"feature_distance": self.strength})
