"""DeNetDM: a deep branch takes the shortcut, a shallow one the rest, which a deep model learns."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least, check_positive
from debias.losses.classification import classification_losses
from debias.models.copies import twin
from debias.models.layer_lists import layer_chain
from debias.models.layers import evaluating
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs, Turn

#: Three convolutions, for pictures from 24 pixels on.
SHALLOW = (
    *("conv 32 5", "batch_norm", "relu", "max_pool 2"),
    *("conv 64 5", "batch_norm", "relu", "max_pool 2"),
    *("conv 64 3", "batch_norm", "relu", "global_pool"),
)


class DeNetDM(Strategy):
    r"""Split the shortcut from the rest by the depth of two branches, then teach a deep model.

    In a product of experts, a deep network takes what is easiest to separate, which is the
    shortcut, and a shallow one the rest.

    1. In the first ``warmup`` steps, a deep branch b and a shallow branch s are trained with one
       linear head h, on :math:`\mathrm{CE}(h(z_b + z_s), y)`.
    2. Then both are frozen, and so is a copy of h. The model, whose head starts as h, is trained on

    .. math:: w\, \mathrm{CE}(h_f(z_f + z_b), y)
              + \alpha\, T^2\, \mathrm{CE}(h_f(z_f) / T, \mathrm{softmax}(h(z_s) / T))

    The first term leaves the shortcut to b, and the second makes the model agree with s. Here
    :math:`h_f` is the head of the model, and :math:`z_f` are its features. Evaluation uses the
    model alone. Before the end of step 1, it is untrained. Needs no bias labels.

    Depth is what matters, not the number of weights: s must have few layers.

    Source: Vadakkeeveetil Sreelatha et al., "DeNetDM: Debiasing by Network Depth Modulation",
    NeurIPS 2024; reference code kadarsh22/DeNetDM.

    Args:
        groups: the groups of the data, with single-label targets.
        model: the classifier f, with a linear ``head``. The deep branch has its architecture and
            new weights.
        image: ``(1, 3, H, W)`` image of the size that the model is trained on.
        shallow: the layers of s in order, see :func:`debias.models.layered.layered_classifier`.
            Their output is a vector. If its size is not that of the features of f, a linear layer
            follows.
        warmup: number of steps that train the branches, at least 1. Add the epochs of these steps
            to the epochs of the model.
        product_weight: w >= 0.
        distillation_weight: :math:`\alpha \ge 0`. The code has 0 for BFFHQ.
        temperature: T > 0.

    Raises:
        ValueError: ``warmup`` is below 1, a weight is negative, ``temperature`` is not positive,
            or the layers of ``shallow`` do not fit the images.

    Differs from the reference: the branches are those of the last step of the warm-up. There, the
    epoch is selected by the accuracy of bias-conflicting validation images, and the model by the
    mean over all groups: both read bias labels. Frozen batch normalisation stays as it is; there
    that of b is still updated. The model sees a batch once per step; there twice, which updates its
    batch normalisation twice. b has the architecture of f; for CIFAR-10, the authors take a
    ResNet-20 for b and a ResNet-18 for f.
    """

    single_label = True

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        *,
        shallow: tuple[str, ...] = SHALLOW,
        warmup: int = 1000,
        product_weight: float = 1.0,
        distillation_weight: float = 1.0,
        temperature: float = 2.0,
    ) -> None:
        super().__init__(groups)
        check_at_least(1, {"warmup": warmup}, of="DeNetDM")
        weights = {"product_weight": product_weight, "distillation_weight": distillation_weight}
        check_at_least(0, weights, of="DeNetDM")
        check_positive({"temperature": temperature}, of="DeNetDM")
        self.warmup, self.temperature = warmup, temperature
        self.product_weight, self.distillation_weight = product_weight, distillation_weight
        self.deep = twin(model, redrawn=True)
        size = cast(int, self._head(self.deep).in_features)
        layers, features = layer_chain(shallow, tuple(image.shape[1:]), of="strategy.shallow")
        if features != size:
            layers.append(nn.Linear(features, size))
        self.shallow = layers

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Two players: both branches with their head, and the model."""
        return {"branches": list(self.parameters()), "model": list(model.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """The branches in the warm-up, then the model, whose head starts as theirs."""
        if step < self.warmup:
            return (Turn("branches", self.branches_loss),)
        first = step == self.warmup
        return (Turn("model", self.first_model_loss if first else self.model_loss),)

    def branches_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the head of both branches, on the sum of their features."""
        outputs: Outputs = self.deep.train()(batch.image)
        added = outputs.features + self.shallow.train()(batch.image)
        loss = task_loss(self._head(self.deep)(added), batch)
        return Loss(loss, {"branches_cross_entropy": loss.detach()})

    def first_model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of the model, whose head is first set to that of the branches."""
        self._head(model).load_state_dict(self._head(self.deep).state_dict())
        return self.model_loss(model, batch)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the model: a product with the deep branch, and agreement with the shallow one."""
        outputs: Outputs = model(batch.image)
        with torch.no_grad(), evaluating(self):
            deep: Tensor = self.deep(batch.image).features
        product = task_loss(self._head(model)(outputs.features + deep), batch)
        terms, total = {"cross_entropy": product.detach()}, self.product_weight * product
        if not self.distillation_weight:
            return Loss(total, terms)
        distillation = self._distillation(outputs.logits, batch.image)
        terms["distillation"] = distillation.detach()
        weight = self.distillation_weight
        return Loss(total + weight * distillation, terms, {"distillation": weight})

    def _distillation(self, logits: Tensor, image: Tensor) -> Tensor:
        """Mean cross-entropy of the softened predictions to those of the shallow branch."""
        with torch.no_grad(), evaluating(self):
            taught: Tensor = self._head(self.deep)(self.shallow(image))
        taught = taught.to(torch.promote_types(taught.dtype, torch.float32))
        soft = (taught / self.temperature).softmax(dim=1)
        losses = classification_losses(logits / self.temperature, soft)
        return self.temperature**2 * losses.mean()

    @staticmethod
    def _head(model: nn.Module) -> Any:
        return model.get_submodule("head")
