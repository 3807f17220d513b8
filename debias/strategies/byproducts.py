"""By-products of annotation (LUAB): also predict where an annotator clicked on the object."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_one_of
from debias.losses.clicks import click_from_mask, click_losses
from debias.models.layers import layer_shape, pooled_layer, read_layer, without_autocast
from debias.strategies.objectives import mean_where_known, task_loss, weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss

HEADS = ("linear", "soft_argmax")


class Byproducts(Strategy):
    r"""Predict the class and the click on the object, which keeps features of the object.

    .. math:: L = \frac1N \sum_i \ell_i
              + \lambda \frac{1}{|C|} \sum_{i \in C} \mathrm{SmoothL1}(h(z_i), t_i)

    The click t is the centroid of the image's mask, after cropping and flipping, with x and y in
    [0, 1]. C are the samples with a click: those with foreground in the crop. Evaluation does not
    use the head h. Needs no bias labels. With :math:`\lambda = 0` it is ERM.

    "linear": h is a linear layer on the features, the mean of maps in most networks. A mean has no
    position, so the maps themselves must hold it, by channels that see a part of the image or its
    border. "soft_argmax": a convolution of 1 x 1 scores each position of the maps of a layer, and h
    is the expected position under the softmax of the scores. The click then trains the layers up to
    this one.

    Source: Han et al., "Neglected Free Lunch: Learning Image Classifiers Using Annotation
    Byproducts", ICCV 2023. The authors published their data and its loaders, not the training
    code. The loss and :math:`\lambda = 0.5` are those of a third party's training code.

    Args:
        groups: the groups of the data; targets may be single- or multi-label.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        strength: :math:`\lambda \ge 0`.
        head: "linear" or "soft_argmax".
        layer: dotted name of the layer whose maps "soft_argmax" reads, as in timm ("layer3").
            ``None``: the last maps, if their average is the features.

    Raises:
        ValueError: ``strength`` is negative, ``head`` is unknown, or ``layer`` is given for
            "linear". With "soft_argmax": ``layer`` is unknown or has no maps, or there is none and
            the features of the model are no average of maps.

    Differs from the reference: the click is that of a mask, without the scatter of a person's
    clicks. "soft_argmax" is an addition. Sample weights also weight the loss of the click.
    """

    requires = ("mask",)

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        *,
        strength: float = 0.5,
        head: str = "linear",
        layer: str | None = None,
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"strength": strength}, of="Byproducts")
        check_one_of(HEADS, {"head": head}, of="Byproducts")
        self.strength, self.layer = strength, layer
        if head == "linear":
            _refuse_layer(layer)
            self.head: nn.Module = nn.Linear(layer_shape(model, None, image)[0], 2)
        else:
            self.layer = pooled_layer(model, image) if layer is None else layer
            self.head = nn.Conv2d(_channels(model, self.layer, image), 1, 1, bias=False)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss plus the weighted mean loss of the clicks, which is logged."""
        if batch.mask is None:
            raise InputError(
                "Byproducts needs a mask for every image; got a batch without masks: set data.masks"
            )
        outputs, activation = read_layer(model, self.layer, batch.image)
        click = click_from_mask(batch.mask)
        losses = weighted(click_losses(self.predicted(activation), click), batch)
        # the mean over all processes of samples with a click
        mean = mean_where_known(losses, torch.where((click >= 0).all(dim=1), 0, -1))
        total = task_loss(outputs.logits, batch) + self.strength * mean
        return Loss(total, {"click": mean.detach()}, {"click": self.strength})

    def predicted(self, activation: Tensor) -> Tensor:
        """``(N, 2)`` predicted clicks: x and y."""
        found = without_autocast(self.head, activation)
        if self.layer is None:
            return found
        return click_from_mask(found.flatten(1).softmax(dim=1).view_as(found))


def _refuse_layer(layer: str | None) -> None:
    if layer is not None:
        raise InputError(
            f"strategy.layer={layer} is for the head soft_argmax; got strategy.head=linear, which "
            "reads the features: set strategy.head=soft_argmax, or leave the layer out"
        )


def _channels(model: nn.Module, layer: str, image: Tensor) -> int:
    shape = layer_shape(model, layer, image)
    if len(shape) != 3:
        raise InputError(
            f"strategy.layer={layer} must give maps, (C, H, W); got {shape}: name another layer, "
            "or set strategy.head=linear"
        )
    return shape[0]
