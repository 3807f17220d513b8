"""Consistency: the same prediction for several augmented views of each image."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_one_of
from debias.losses.view_consistency import feature_distances, prediction_divergences
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs

#: What may agree between views, and how its distance is measured.
DISTANCES = {"predictions": prediction_divergences, "features": feature_distances}


class Consistency(Strategy):
    r"""Make the predictions for several augmented views of an image agree.

    .. math:: L = \frac1N \sum_i \ell_i^{(1)} + \lambda \frac1N \sum_i D_i

    :math:`\ell^{(1)}` is the classification loss of the first view. D is the Jensen-Shannon
    divergence between the predictions for all views, or the cosine distance between their features:
    :mod:`debias.losses.view_consistency`. The run's augmentation draws each view of the same batch:
    ``augment.name=random_convolution`` gives RandConv. With an augmentation that changes the
    appearance of a picture and not its class, the model cannot rely on this appearance. Needs no
    bias labels. A step costs a forward and a backward pass per view.

    Source: Xu et al., "Robust and Generalizable Visual Representation Learning via Random
    Convolutions" (RandConv), ICLR 2021; reference code wildphoton/RandConv. Of features: Zhang et
    al., "v-CLR: View-Consistent Learning for Open-World Instance Segmentation", CVPR 2025;
    reference code Visual-AI/vCLR.

    Args:
        groups: the groups of the data; single-label.
        strength: :math:`\lambda \ge 0`. The paper has 5 for filtered images, and 10 for images
            blended with them.
        views: number of augmented views per image.
        clean: the image without the augmentation is a view too, and the first one.
        agree: "predictions" or "features". With features, the later views move towards the first
            one, which should then be clean.

    Raises:
        ValueError: ``strength`` is negative, there are fewer than two views, ``agree`` is unknown,
            or the targets are multi-label.

    Differs from the reference: each view is drawn from the image itself. In the code of RandConv,
    the other views filter the first view once more, unless it is clean. It also selects the epoch
    on filtered validation images; here they are clean. v-CLR compares object queries of a detector,
    with the clean view in evaluation mode; here these are the features of the image, in training
    mode.
    """

    single_label = True
    hard_targets = True  # views with different mixtures of classes must not agree

    def __init__(
        self,
        groups: Groups,
        *,
        strength: float = 10.0,
        views: int = 3,
        clean: bool = False,
        agree: str = "predictions",
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"strength": strength}, of="Consistency")
        check_at_least(1 if clean else 2, {"views": views}, of="Consistency")
        check_one_of(DISTANCES, {"agree": agree}, of="Consistency")
        self.strength, self.clean, self.agree = strength, clean, agree
        self.views = views

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the first view plus the weighted distance of all views; both are logged.

        Raises:
            ValueError: the batch has another number of views than :attr:`views`.
        """
        first, *others = self._images(batch)
        outputs: list[Outputs] = [model(image) for image in (first, *others)]
        seen = [each.logits if self.agree == "predictions" else each.features for each in outputs]
        distance = DISTANCES[self.agree](torch.stack(seen)).mean()
        task = task_loss(outputs[0].logits, batch)
        terms = {"cross_entropy": task.detach(), "inconsistency": distance.detach()}
        weights = {"inconsistency": self.strength}
        return Loss(task + self.strength * distance, terms, weights)

    def _images(self, batch: Batch) -> list[Tensor]:
        views = batch.views or ()
        if len(views) != self.views:
            raise InputError(
                f"Consistency needs {self.views} views of each batch; got {len(views)}. Put "
                "augmented copies of the batch into batch.views"
            )
        return [*([batch.image] if self.clean else []), *(view.image for view in views)]
