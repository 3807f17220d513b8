"""CatHarm: features change by fixed matrices with the covariates, such as the bias attribute."""

from typing import cast

import torch
from torch import nn

from debias.errors import check_at_least, check_positive
from debias.losses.equivariance import inverse_loss, morphism_loss
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs


class Equivariant(Strategy):
    r"""Make a step of a covariate one matrix on the features, the same for all images (CatHarm).

    .. math:: L = \mathrm{CE}(h(z), y) + \lambda_1 L_\text{morphism} + \lambda_2 L_\text{inverse}

    z are the features of the model, and h is its head. A covariate is a bias attribute, whose
    values are the integers 0, 1, 2 and so on in their order. Each covariate has a matrix for a step
    up and one for a step down, which are trained together with the model:
    :func:`debias.losses.equivariance.morphism_loss` and
    :func:`debias.losses.equivariance.inverse_loss`. The loss has a term for each pair of images, in
    whatever class. Images of equal covariates are drawn to the same features, so a large
    :math:`\lambda_1` works against the class. Evaluation uses the model alone.

    Source: Chytas et al., "Pooling Image Datasets with Multiple Covariate Shift and Imbalance",
    ICLR 2024; reference code SPChytas/CatHarm.

    Args:
        groups: the groups of the data. Several bias attributes are several covariates.
        model: the classifier, whose ``feature_size`` is the size of the matrices.
        morphism_weight: :math:`\lambda_1 \ge 0`.
        inverse_weight: :math:`\lambda_2 \ge 0`.
        deviation: the matrices start from normal numbers of this standard deviation, positive. The
            authors take 0.01 for 2,048 features of images, and 0.1 for 10 features of tables.

    Raises:
        ValueError: a weight is negative, or ``deviation`` is not positive.

    Differs from the reference: there the model is an auto-encoder, which harmonises scans of
    several sites, and its reconstruction is the task. The head and its classification loss in place
    of the decoder are an addition of this project. The loss of its low-rank matrices is left out,
    since that option does not run there.
    """

    requires = ("bias",)

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        *,
        morphism_weight: float = 1.0,
        inverse_weight: float = 1.0,
        deviation: float = 0.01,
    ) -> None:
        super().__init__(groups)
        weights = {"morphism_weight": morphism_weight, "inverse_weight": inverse_weight}
        check_at_least(0, weights, of="Equivariant")
        check_positive({"deviation": deviation}, of="Equivariant")
        self.groups = groups
        self.morphism_weight, self.inverse_weight = morphism_weight, inverse_weight
        size, covariates = cast(int, model.feature_size), max(len(groups.attributes), 1)
        self.up = nn.Parameter(deviation * torch.randn(covariates, size, size))
        self.down = nn.Parameter(deviation * torch.randn(covariates, size, size))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss, error of the morphisms, and distance of the matrices from inverse pairs."""
        outputs: Outputs = model(batch.image)
        covariates = self.groups.decode(batch.bias)
        morphism = morphism_loss(outputs.features, covariates, self.up, self.down)
        inverse = inverse_loss(self.up, self.down)
        total = task_loss(outputs.logits, batch)
        total = total + self.morphism_weight * morphism + self.inverse_weight * inverse
        terms = {"morphism": morphism.detach(), "inverse": inverse.detach()}
        weights = {"morphism": self.morphism_weight, "inverse": self.inverse_weight}
        return Loss(total, terms, weights)
