"""Risk extrapolation: environments are to have the same risk."""

from torch import Tensor

from debias.losses.vrex import EnvironmentRisks
from debias.strategies.environments import InvariantRisk
from debias.types import Groups


class VREx(InvariantRisk):
    r"""Penalise the variance of the risks of the environments (V-REx).

    .. math:: L = \bar R + \lambda\, \mathrm{Var}_e(R_e)

    with the population variance, see :func:`debias.losses.vrex.environment_risks`.

    Source: Krueger et al., "Out-of-Distribution Generalization via Risk Extrapolation (REx)", ICML
    2021. Defaults are those of facebookresearch/DomainBed.

    Args:
        groups: the groups of the data.
        environments: "bias" or "group".
        penalty: :math:`\lambda \ge 0` after the warm-up.
        warmup: steps of :math:`\lambda = 1`.
        rescale: divide the loss by :math:`\lambda` where that is above 1.

    Raises:
        ValueError: see :class:`debias.strategies.environments.InvariantRisk`.

    Differs from the reference: the optimiser keeps its state when the weight rises (DomainBed
    resets Adam). The authors' own code has the sum of two risks and
    :math:`\lambda (R_1 - R_2)^2`: its :math:`\lambda` is 2 :math:`\lambda` here.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        environments: str = "bias",
        penalty: float = 10.0,
        warmup: int = 500,
        rescale: bool = False,
    ) -> None:
        super().__init__(
            groups, environments=environments, penalty=penalty, warmup=warmup, rescale=rescale
        )

    def variation(
        self, logits: Tensor, target: Tensor, environment: Tensor, risks: EnvironmentRisks
    ) -> Tensor:
        """Population variance of the risks."""
        return risks.variance
