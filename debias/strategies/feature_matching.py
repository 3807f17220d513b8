"""Feature matching: features are to be distributed alike in all environments."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from debias.errors import InputError
from debias.losses import CORALLoss, MMDLoss
from debias.losses.mmd import GAMMAS
from debias.strategies.environments import Environments
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class FeatureMatching(Strategy):
    r"""Mean loss, and the mean distance of the features between pairs of environments.

    .. math:: L = \frac1N \sum_i \ell_i + \gamma\, \frac{1}{|P|} \sum_{(e, e') \in P} D(z_e, z_{e'})

    Where classes are not equally frequent in the environments, features that tell them apart must
    differ between environments, and matching all pairs works against the task. ``conditional``
    compares only within a class.

    Args:
        groups: the groups of the data.
        distance: D, averaged over pairs: a function of features, environments and ``(E, E)`` bool
            compared pairs.
        environments: "bias", the values of the bias attribute, or "group".
        conditional: compare samples of the same class only, between values of the bias;
            single-label.
        strength: :math:`\gamma \ge 0`.

    Raises:
        ValueError: ``strength`` is negative, or see
            :class:`debias.strategies.environments.Environments`.
    """

    requires = ("bias",)

    def __init__(
        self,
        groups: Groups,
        distance: nn.Module,
        *,
        environments: str,
        conditional: bool,
        strength: float,
    ) -> None:
        super().__init__()
        if strength < 0:
            raise InputError(f"{type(self).__name__} needs strength >= 0; got strength={strength}")
        if conditional and groups.multi_label:
            raise InputError(
                "conditional=true compares within a class: name a single target, not several labels"
            )
        chosen = Environments(groups, environments)
        self.environments = Environments(groups, "group") if conditional else chosen
        self.hard_targets = self.environments.by_group
        self.strength, self.distance = strength, distance
        row = torch.arange(self.environments.count) // groups.biases
        compared = (
            (row[:, None] == row)
            if conditional
            else torch.ones(len(row), len(row), dtype=torch.bool)
        )
        self.register_buffer("compared", compared, persistent=False)
        self.compared: Tensor

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss plus the weighted distance, which is logged."""
        outputs = model(batch.image)
        distance = self.distance(outputs.features, self.environments.of(batch), self.compared)
        total = task_loss(outputs.logits, batch) + self.strength * distance
        return Loss(
            total, {"feature_distance": distance.detach()}, {"feature_distance": self.strength}
        )


class CORAL(FeatureMatching):
    """Match the means and covariances of the features of all environments.

    Source: Sun & Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV 2016
    workshops; defaults are those of facebookresearch/DomainBed and of SubpopBench (Yang et al.,
    ICML 2023).

    Args:
        groups: the groups of the data.
        environments: "bias" or "group".
        conditional: compare samples of the same class only.
        strength: at least 0.
        form: "domainbed", means and covariances; "paper", covariances alone, by another factor.

    Raises:
        ValueError: see :class:`FeatureMatching` and :func:`debias.losses.CORALLoss`.

    Differs from the reference: see :func:`debias.losses.CORALLoss`; the class-conditional form is
    an addition.
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
        distance = CORALLoss(form=form)
        super().__init__(
            groups, distance, environments=environments, conditional=conditional, strength=strength
        )


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
        ValueError: see :class:`FeatureMatching` and :func:`debias.losses.MMDLoss`.

    Differs from the reference: see :func:`debias.losses.MMDLoss`; the class-conditional form is an
    addition.
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
        distance = MMDLoss(gammas=gammas, unbiased=unbiased)
        super().__init__(
            groups, distance, environments=environments, conditional=conditional, strength=strength
        )
