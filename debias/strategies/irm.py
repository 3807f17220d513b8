"""Invariant risk minimisation: one classifier that is the best in every environment at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from debias.errors import InputError
from debias.losses import EnvironmentRisks, classification_losses, environment_risks, irm_penalty
from debias.strategies.environments import Environments
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class InvariantRisk(Strategy):
    r"""Mean risk of the environments, and a penalty on what differs between them.

    .. math:: L = \frac{1}{|E|} \sum_e R_e + \lambda\, \Omega, \qquad
              \lambda = 1 \text{ in the first ``warmup`` steps, ``penalty`` afterwards}

    Source: the schedule is that of Arjovsky et al. 2019, see :class:`IRM`.

    Args:
        groups: the groups of the data.
        environments: "bias", the values of the bias attribute, or "group".
        penalty: :math:`\lambda` after the warm-up, at least 0.
        warmup: steps of :math:`\lambda = 1`, at least 0.
        rescale: divide the loss by :math:`\lambda` where that is above 1, so that it never outgrows
            the learning rate. A penalty on the weights of the authors' code is divided with it; an
            optimiser's ``weight_decay`` is not, and must be made as much smaller to be theirs.

    Raises:
        ValueError: a bound above is broken, or see
            :class:`debias.strategies.environments.Environments`.
    """

    requires = ("bias",)

    def __init__(
        self, groups: Groups, *, environments: str, penalty: float, warmup: int, rescale: bool
    ) -> None:
        super().__init__()
        if penalty < 0 or warmup < 0:
            name = type(self).__name__
            raise InputError(
                f"{name} needs penalty >= 0 and warmup >= 0; got penalty={penalty}, warmup={warmup}"
            )
        self.environments = Environments(groups, environments)
        self.hard_targets = self.environments.by_group
        self.penalty, self.warmup, self.rescale = penalty, warmup, rescale

    def turns(self, step: int) -> Sequence[Turn]:
        """The model, on the penalised risk of this step."""
        weight = 1.0 if step < self.warmup else self.penalty
        return (Turn("model", partial(self.weighted_loss, weight=weight)),)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The objective after the warm-up."""
        return self.weighted_loss(model, batch, weight=self.penalty)

    def weighted_loss(self, model: nn.Module, batch: Batch, *, weight: float) -> Loss:
        """Mean risk of the environments plus ``weight`` times the penalty; both are logged."""
        logits, environment = model(batch.image).logits, self.environments.of(batch)
        losses = classification_losses(logits, batch.target)
        risks = environment_risks(losses, environment, self.environments.count)
        penalty = self.variation(logits, batch.target, environment, risks)
        total = risks.mean + weight * penalty
        terms = {"environment_risk": risks.mean.detach(), "variation": penalty.detach()}
        return Loss(
            total / max(weight, 1.0) if self.rescale else total, terms, {"variation": weight}
        )

    def variation(
        self, logits: Tensor, target: Tensor, environment: Tensor, risks: EnvironmentRisks
    ) -> Tensor:
        """What differs between environments and is penalised; a scalar."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of what it penalises")


class IRM(InvariantRisk):
    r"""Penalise that a scale on the logits could lower the risk of an environment (IRMv1).

    :math:`\Omega` is the mean over environments of :math:`(\partial R_e(s f) / \partial s)^2` at
    :math:`s = 1`, see :func:`debias.losses.irm_penalty`.

    Source: Arjovsky et al., "Invariant Risk Minimization", 2019; reference code
    facebookresearch/InvariantRiskMinimization. Defaults are those of DomainBed and of SubpopBench
    (Yang et al., "Change is Hard: A Closer Look at Subpopulation Shift", ICML 2023), whose
    environments are the values of the attribute.

    Args:
        groups: the groups of the data.
        environments: "bias" or "group".
        penalty: :math:`\lambda \ge 0` after the warm-up. The paper's runs on coloured MNIST have
            10,000 and divide the loss by it.
        warmup: steps of :math:`\lambda = 1`.
        rescale: divide the loss by :math:`\lambda` where that is above 1.
        unbiased: the square by two halves of an environment, which needs four of its samples in a
            batch.

    Raises:
        ValueError: see :class:`InvariantRisk`.

    Differs from the reference: see :func:`debias.losses.irm_penalty`; the optimiser keeps its state
    when the weight rises (DomainBed starts Adam anew, SubpopBench does not).
    """

    def __init__(
        self,
        groups: Groups,
        *,
        environments: str = "bias",
        penalty: float = 100.0,
        warmup: int = 500,
        rescale: bool = False,
        unbiased: bool = True,
    ) -> None:
        super().__init__(
            groups, environments=environments, penalty=penalty, warmup=warmup, rescale=rescale
        )
        self.unbiased = unbiased

    def variation(
        self, logits: Tensor, target: Tensor, environment: Tensor, risks: EnvironmentRisks
    ) -> Tensor:
        """Squared derivative of the risks by a scale on the logits."""
        return irm_penalty(
            logits, target, environment, self.environments.count, unbiased=self.unbiased
        )
