"""MMD: features are to be distributed alike in all environments."""

from debias.losses.feature_distances import GAMMAS, MMDLoss
from debias.strategies.environments import Environments, FeatureMatching
from debias.types import Groups


class MMD(FeatureMatching):
    """Match the distributions of the features of all environments, by Gaussian kernels.

    Source: Li et al., "Domain Generalization with Adversarial Feature Learning", CVPR 2018;
    defaults are those of facebookresearch/DomainBed and of SubpopBench (Yang et al., ICML 2023),
    which leave out the paper's autoencoder.

    Args:
        groups: the groups of the data.
        environments: "bias" or "group".
        conditional: compare samples of the same class only.
        strength: at least 0.
        gammas: of the kernels, positive.
        unbiased: whether a sample and itself are no pair.

    Raises:
        ValueError: a negative ``strength``, an unknown ``environments``, or a ``gamma`` that is not
            positive.

    Differs from the reference: see :class:`debias.losses.feature_distances.MMDLoss`; the
    class-conditional form is an addition.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        environments: str = "bias",
        conditional: bool = False,
        strength: float = 1.0,
        gammas: tuple[float, ...] = GAMMAS,
        unbiased: bool = False,
    ) -> None:
        compared = Environments(groups, environments, conditional=conditional)
        super().__init__(MMDLoss(gammas=gammas, unbiased=unbiased), compared, strength)
