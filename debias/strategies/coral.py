"""CORAL: match the means and covariances of the features in all environments."""

from debias.losses.feature_distances import CORALLoss
from debias.strategies.environments import Environments, FeatureMatching
from debias.types import Groups


class CORAL(FeatureMatching):
    """Match the means and covariances of the features of all environments.

    Source: Sun & Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV 2016
    workshops; defaults are those of facebookresearch/DomainBed and of SubpopBench (Yang et al.,
    ICML 2023).

    Args:
        groups: the groups of the data.
        environments: "bias" for one environment per bias value, "group" for one per group, or the
            name of one of several bias attributes.
        conditional: compare only samples of the same class.
        strength: weight of the distance, at least 0.
        form: "domainbed" for means and covariances; "paper" for covariances alone, with another
            factor.

    Raises:
        ValueError: ``strength`` is negative, or ``environments`` or ``form`` is unknown.

    Differs from the reference: see :class:`debias.losses.feature_distances.CORALLoss`; the
    class-conditional form is an addition.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        environments: str = "bias",
        conditional: bool = False,
        strength: float = 1.0,
        form: str = "domainbed",
    ) -> None:
        compared = Environments(groups, environments, conditional=conditional)
        super().__init__(CORALLoss(form=form), compared, strength)
