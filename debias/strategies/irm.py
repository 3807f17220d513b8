"""Invariant risk minimisation: a classifier that is optimal in every environment."""

from torch import Tensor

from debias.losses.irm import irm_penalty
from debias.losses.vrex import EnvironmentRisks
from debias.strategies.environments import InvariantRisk
from debias.types import Groups


class IRM(InvariantRisk):
    r"""Penalise the gradient of each environment's risk with respect to a logit scale (IRMv1).

    The penalty :math:`\Omega` of :class:`debias.strategies.environments.InvariantRisk` is the mean
    over environments of :math:`(\partial R_e(s f) / \partial s)^2` at :math:`s = 1`, see
    :func:`debias.losses.irm.irm_penalty`.

    Source: Arjovsky et al., "Invariant Risk Minimization", 2019; reference code
    facebookresearch/InvariantRiskMinimization. Defaults are those of DomainBed and of SubpopBench
    (Yang et al., "Change is Hard: A Closer Look at Subpopulation Shift", ICML 2023). In both, the
    environments are the values of the attribute.

    Args:
        groups: the groups of the data.
        environments: "bias" for one environment per bias value, "group" for one per group, or the
            name of one of several bias attributes.
        penalty: :math:`\lambda \ge 0` after the warm-up. On coloured MNIST, the paper uses 10,000
            and divides the loss by it.
        warmup: number of steps with :math:`\lambda` = ``warmup_penalty``.
        rescale: divide the loss by ``penalty / warmup_penalty`` after the warm-up, if this is more
            than 1.
        l2: weight, at least 0, of the sum of all squared weights of the model. It is part of the
            loss, so that ``rescale`` divides it too, as in the authors' code.
        warmup_penalty: :math:`\lambda > 0` in the warm-up.
        unbiased: estimate the square by the product of two halves of an environment, which needs at
            least four of its samples in the batch.

    Raises:
        ValueError: ``penalty``, ``warmup`` or ``l2`` is negative, ``warmup_penalty`` is not
            positive, ``environments`` is unknown, or targets are multi-label and ``environments``
            is "group".

    Differs from the reference: see :func:`debias.losses.irm.irm_penalty`. The optimiser keeps its
    state when the weight rises; DomainBed resets Adam, SubpopBench does not.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        environments: str = "bias",
        penalty: float = 100.0,
        warmup: int = 500,
        rescale: bool = False,
        l2: float = 0.0,
        warmup_penalty: float = 1.0,
        unbiased: bool = True,
    ) -> None:
        super().__init__(
            groups,
            environments=environments,
            penalty=penalty,
            warmup=warmup,
            rescale=rescale,
            l2=l2,
            warmup_penalty=warmup_penalty,
        )
        self.unbiased = unbiased

    def variation(
        self, logits: Tensor, target: Tensor, environment: Tensor, risks: EnvironmentRisks
    ) -> Tensor:
        """Mean squared derivative of the environments' risks with respect to a logit scale."""
        return irm_penalty(
            logits, target, environment, self.environments.count, unbiased=self.unbiased
        )
