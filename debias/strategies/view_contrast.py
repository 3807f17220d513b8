"""View contrast: learn the class from an image and two views, and contrast the views."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_positive
from debias.losses.supervised_contrastive import view_contrastive_losses
from debias.processes import joined_rows
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs


class ViewContrast(Strategy):
    r"""Learn the class from each image and from two views of it, and contrast the views.

    .. math:: L = \overline{\mathrm{CE}(f(x), y)} + \overline{\mathrm{CE}(f(v), y)}
              + \beta\, \overline{\ell}

    v are the views. :math:`\ell` is
    :func:`debias.losses.supervised_contrastive.view_contrastive_losses` of the projected features
    of both views, over the batches of all processes. Bars are means. The projection has two linear
    layers and is not used in evaluation. The run's augmentation draws the views, and must keep the
    class: ``augment.name=translated`` gives CDvG. Needs no bias labels. A step passes three images
    through the model for each one of the batch.

    Source: Jung et al., "Fighting Fire with Fire: Contrastive Debiasing without Bias-free Data via
    Generative Bias-transformation" (CDvG), ICML 2023. No code was found.

    Args:
        groups: the groups of the data, with single-label targets.
        model: the classifier; its ``feature_size`` is the input size of the projection.
        contrast_weight: :math:`\beta \ge 0`.
        temperature: :math:`\tau > 0` of the contrast.
        size: size of the projected features, at least 1.

    Raises:
        ValueError: ``contrast_weight`` is negative, ``temperature`` is not positive, ``size`` is
            below 1, or targets are multi-label.

    Differs from the reference: the text was not read beyond its first page. The weights of the
    terms, the temperature and the projection are chosen here.
    """

    single_label = True
    hard_targets = True  # views with different mixtures of classes must not agree
    smallest_batch = 2  # a view is contrasted with those of other samples
    views = 2

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        *,
        contrast_weight: float = 1.0,
        temperature: float = 0.5,
        size: int = 128,
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"contrast_weight": contrast_weight}, of="ViewContrast")
        check_positive({"temperature": temperature}, of="ViewContrast")
        check_at_least(1, {"size": size}, of="ViewContrast")
        self.contrast_weight, self.temperature = contrast_weight, temperature
        inputs = int(model.feature_size)  # type: ignore[arg-type]  # a Classifier has an int
        self.projection = nn.Sequential(
            nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, size)
        )

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task losses of the images and of their views, plus the weighted contrast; all are logged.

        Raises:
            ValueError: the batch has not two views.
        """
        views = batch.views or ()
        if len(views) != self.views:
            raise InputError(
                f"ViewContrast needs {self.views} views of each batch; got {len(views)}. Put "
                "augmented copies of the batch into batch.views"
            )
        outputs: Outputs = model(torch.cat([each.image for each in (batch, *views)]))
        image, *seen = outputs.logits.chunk(3)
        task = task_loss(image, batch)
        of_views = torch.stack([task_loss(*pair) for pair in zip(seen, views, strict=True)])
        contrast = self._contrast(*outputs.features.chunk(3)[1:])
        total = task + of_views.mean() + self.contrast_weight * contrast
        terms = {"cross_entropy": task, "view_cross_entropy": of_views.mean()}
        logged = {name: term.detach() for name, term in (terms | {"contrast": contrast}).items()}
        return Loss(total, logged, {"contrast": self.contrast_weight})

    def _contrast(self, *features: Tensor) -> Tensor:
        first, second = (joined_rows(self.projection(each)) for each in features)
        return view_contrastive_losses(first, second, temperature=self.temperature).mean()
