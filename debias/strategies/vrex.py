"""Risk extrapolation (V-REx): reduce the differences between the risks of the environments."""

from torch import Tensor

from debias.losses.vrex import EnvironmentRisks
from debias.strategies.environments import InvariantRisk
from debias.types import Groups


class VREx(InvariantRisk):
    r"""Penalise the variance of the risks of the environments (V-REx).

    .. math:: L = \bar R + \lambda\, \mathrm{Var}_e(R_e)

    :math:`R_e` is the mean loss of environment e, and :math:`\mathrm{Var}` the population variance,
    see :func:`debias.losses.vrex.environment_risks`.

    Source: Krueger et al., "Out-of-Distribution Generalization via Risk Extrapolation (REx)", ICML
    2021. Defaults are those of facebookresearch/DomainBed.

    Args:
        groups: the groups of the data.
        environments: "bias" for one environment per bias value, "group" for one per group, or the
            name of one of several bias attributes.
        penalty: :math:`\lambda \ge 0` after the warm-up.
        warmup: number of steps with :math:`\lambda` = ``warmup_penalty``.
        rescale: divide the loss by ``penalty / warmup_penalty`` after the warm-up, if this is more
            than 1.
        l2: weight, at least 0, of the sum of all squared weights of the model. It is part of the
            loss, so that ``rescale`` divides it too, as in the authors' code.
        warmup_penalty: :math:`\lambda > 0` in the warm-up.

    Raises:
        ValueError: ``penalty``, ``warmup`` or ``l2`` is negative, ``warmup_penalty`` is not
            positive, ``environments`` is unknown, or targets are multi-label and ``environments``
            is "group".

    Differs from the reference: the optimiser keeps its state when the weight rises; DomainBed
    resets Adam. The authors' own code has the sum of two risks plus :math:`\lambda' (R_1 - R_2)^2`.
    This is twice the loss here with :math:`\lambda = 2 \lambda'`, half of their l2 and
    ``warmup_penalty=2``.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        environments: str = "bias",
        penalty: float = 10.0,
        warmup: int = 500,
        rescale: bool = False,
        l2: float = 0.0,
        warmup_penalty: float = 1.0,
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

    def variation(
        self, logits: Tensor, target: Tensor, environment: Tensor, risks: EnvironmentRisks
    ) -> Tensor:
        """Population variance of the risks of the environments."""
        return risks.variance
