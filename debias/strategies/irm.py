"""Invariant risk minimisation: one classifier that is the best in every environment at once."""

from torch import Tensor

from debias.losses.irm import irm_penalty
from debias.losses.vrex import EnvironmentRisks
from debias.strategies.environments import InvariantRisk
from debias.types import Groups


class IRM(InvariantRisk):
    r"""Penalise that a scale on the logits could lower the risk of an environment (IRMv1).

    :math:`\Omega` is the mean over environments of :math:`(\partial R_e(s f) / \partial s)^2` at
    :math:`s = 1`, see :func:`debias.losses.irm.irm_penalty`.

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
        ValueError: see :class:`debias.strategies.environments.InvariantRisk`.

    Differs from the reference: see :func:`debias.losses.irm.irm_penalty`; the optimiser keeps its
    state when the weight rises (DomainBed resets Adam, SubpopBench does not).
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
