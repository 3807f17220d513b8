"""LfF and LfF + DisEnt whose biased network is trained only on images that a shortcut helps.

They are the last stage of the recipe ``bias_ensemble``.
"""

from torch import Tensor, nn

from debias.losses.classification import classification_losses
from debias.strategies.disentangled import Disentangled
from debias.strategies.lff import LfF
from debias.strategies.objectives import mean_where_known
from debias.types import Groups


class AmplifiedLfF(LfF):
    r"""Weight samples as LfF, by a biased network that sees only samples of the amplified set.

    .. math:: L = \frac{1}{|A|} \sum_{i \in A} \mathrm{CE}(g(x_i), y_i)
              + \frac1N \sum_i W_i\, \mathrm{CE}(f(x_i), y_i)

    A are the samples of the batch with inferred value 1, and the first term is 0 without any.
    Weights and evaluation are those of :class:`debias.strategies.lff.LfF`. So samples outside A
    have weights too, and train f.

    Source: Lee et al., "Revisiting the Importance of Amplifying Bias for Debiasing" (BiasEnsemble),
    AAAI 2023; reference code kakaoenterprise/BiasEnsemble.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier f.
        chosen_by_row: ``(samples,)`` bool: the rows in A.
        momentum: as for LfF.
        separate_start: as for LfF.

    Raises:
        ValueError: ``momentum`` is outside [0, 1).

    Differs from the reference: as for LfF. A batch without a sample of A leaves g as it is; there
    its loss is NaN, and training stops.
    """

    amplified: Tensor

    def __init__(
        self,
        groups: Groups,
        samples: int,
        model: nn.Module,
        chosen_by_row: Tensor,
        *,
        momentum: float = 0.7,
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups, samples, model, momentum=momentum, separate_start=separate_start)
        # a resumed run infers the partition again, so checkpoints need not contain it
        self.register_buffer("amplified", chosen_by_row, persistent=False)

    def biased_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Mean cross-entropy of the biased network over the samples of A; 0 without any."""
        return mean_over(self.amplified[index], logits, target)


class AmplifiedDisentangled(Disentangled):
    r"""Disentangle as DisEnt, with a bias side that sees only samples of the amplified set.

    In the loss of :class:`debias.strategies.disentangled.Disentangled`, both terms of the biased
    classifier become the mean cross-entropy over the samples of A, those with inferred value 1. A
    swapped bias feature belongs to A if the sample that it comes from does.

    Source: Lee et al., "Revisiting the Importance of Amplifying Bias for Debiasing" (BiasEnsemble),
    AAAI 2023; reference code kakaoenterprise/BiasEnsemble.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier.
        chosen_by_row: ``(samples,)`` bool: the rows in A.
        seed: as for DisEnt.
        momentum, swap_after, swap_weight, biased_weight, biased_swap_weight, separate_start: as for
            DisEnt.

    Raises:
        ValueError: as for DisEnt.

    Differs from the reference: as for DisEnt. A batch without a sample of A leaves the bias side as
    it is; there its loss is NaN, and training stops.
    """

    amplified: Tensor

    def __init__(
        self,
        groups: Groups,
        samples: int,
        model: nn.Module,
        chosen_by_row: Tensor,
        seed: int = 0,
        *,
        momentum: float = 0.7,
        swap_after: int = 10000,
        swap_weight: float = 1.0,
        biased_weight: float = 1.0,
        biased_swap_weight: float = 1.0,
        separate_start: bool = False,
    ) -> None:
        super().__init__(
            groups, samples, model, seed, momentum=momentum, swap_after=swap_after,
            swap_weight=swap_weight, biased_weight=biased_weight,
            biased_swap_weight=biased_swap_weight, separate_start=separate_start,
        )  # fmt: skip
        self.register_buffer("amplified", chosen_by_row, persistent=False)

    def biased_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Mean cross-entropy of the biased classifier over the samples of A; 0 without any."""
        return mean_over(self.amplified[index], logits, target)


def mean_over(chosen: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the chosen samples of all processes; 0 without any.

    Args:
        chosen: ``(N,)`` bool.
        logits: ``(N, C)`` float.
        target: ``(N,)`` int64 class.
    """
    return mean_where_known(classification_losses(logits, target), chosen.long() - 1)
