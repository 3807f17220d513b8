"""MMD: match the distributions of the features in all environments."""

from debias.losses.feature_distances import GAMMAS, MMDLoss
from debias.strategies.environments import Environments, FeatureMatching
from debias.types import Groups


class MMD(FeatureMatching):
    r"""Match the distributions of the features of all environments, by Gaussian kernels.

    Source: Li et al., "Domain Generalization with Adversarial Feature Learning", CVPR 2018;
    defaults are those of facebookresearch/DomainBed and of SubpopBench (Yang et al., ICML 2023),
    which leave out the paper's autoencoder.

    Args:
        groups: the groups of the data.
        environments: "bias" for one environment per bias value, "group" for one per group, or the
            name of one of several bias attributes.
        conditional: compare only samples of the same class.
        strength: weight of the distance, at least 0.
        gammas: one positive factor per Gaussian kernel, :math:`\exp(-\gamma \lVert x - x'
            \rVert^2)`.
        unbiased: leave out the pairs of a sample with itself.

    Raises:
        ValueError: ``strength`` is negative, ``environments`` is unknown, or one of ``gammas`` is
            not positive.

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
