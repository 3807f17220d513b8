"""ViG-Bias: slices of what a first model looks at, as groups for the run's strategy."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from debias import config as configs
from debias import processes
from debias.augment.hide_mask import FILLS, HideMask
from debias.config import Config
from debias.errors import InputError, check_at_least, check_between, check_one_of
from debias.evaluation.attention import attention_maps, check_maps
from debias.group_inference.attended import above_quantile
from debias.group_inference.class_slices import MIXTURES, class_slices
from debias.group_inference.slices import PredictedImages
from debias.merging import Settings
from debias.models.attribution import CAMS
from debias.parts import Parts
from debias.progress import say
from debias.recipes.last_layer import (
    TRAINED,
    backbone_stage,
    check_backbone,
    refuse_few,
)
from debias.recipes.xrm import UNLABELLED
from debias.run_weights import labels_of
from debias.runs.run import Recipe, Run, Stage, Trained
from debias.runs.work import Sizes, Work
from debias.training.prediction import extract
from debias.types import Batch

#: Splits on which the mixtures can be fitted.
FITTED = ("train", "val")


@dataclass(kw_only=True)
class ViGBias(Recipe):
    r"""Find slices of what a first model looks at, then train with these slices as groups.

    1. ``first``: plain ERM, which should take the shortcut. Strong weight decay amplifies it. It
       gives a Grad-CAM map of the predicted class for each training and validation image.
    2. In each image, only the pixels with the largest attribution stay, a share of
       :math:`1 - \tau` (:func:`debias.group_inference.attended.above_quantile`).
    3. A frozen network gives the features of these masked images.
    4. In each class, a mixture explains the principal components of the features together with
       the probabilities that the first model predicts. Its slices are the groups
       (:func:`debias.group_inference.class_slices.class_slices`).
    5. A new model is trained with the run's own strategy, such as ``group_dro``. The slices replace
       bias labels, in training and in selection. No bias label is read.

    Needs the extra ``attribution``. ``groups.csv`` has the slices of both splits. To refit a last
    layer on them, use ``recipe.name=dfr groups.file=RUN/groups.csv groups.splits=[train,val]``.

    Source: Marani et al., "ViG-Bias: Visually Grounded Bias Discovery and Mitigation", ECCV 2024,
    reference code badrmarani/vig-bias-eccv; the mixture is that of Yenamandra et al., "FACTS: First
    Amplify Correlations and Then Slice", ICCV 2023.

    Args:
        first: changes to the run's config for the first stage, such as
            ``{optimizer: {weight_decay: 1.0}}``.
        quantile: :math:`\tau` in [0, 1], the share of pixels that is hidden.
        fill: colour of the hidden pixels, see :class:`debias.augment.hide_mask.HideMask`.
        backbone: the network of the features. "trained": the first model; "pretrained": its
            initial weights; or the folder of a finished run.
        layer: dotted name of the layer for Grad-CAM. Default: the last layer with spatial
            positions.
        cam: "grad_cam" or "xgrad_cam", see :func:`debias.models.attribution.grad_cam`.
        fitted: split on which the mixtures are fitted: "val", or "train".
        mixture: "facts": probabilities are normally distributed in a component. "domino": they are
            those of a categorical variable.
        components: number of components of each class.
        slices: largest number of slices of a class, besides the rest of its images.
        weight: weight of the probabilities in the mixture, at least 0.
        least: fewest training images of a slice.

    Raises:
        ValueError: ``quantile`` is outside [0, 1], ``components`` is below 2, ``slices`` or
            ``least`` is below 1, ``weight`` is negative, or ``fill``, ``cam``, ``fitted`` or
            ``mixture`` is unknown.

    Differs from the reference: the authors find slices, and train Group DRO on groups that
    keywords of captions name. Training on the slices is a choice of debias. They encode masked
    images by CLIP. Their maps explain class 0 of every image; ours explain the predicted class. The
    first model is that of its last epoch; FACTS keeps the epoch with the best training accuracy.
    Maps and features are of whole images.
    """

    infers = ("train", "val")

    first: Settings | None = None
    quantile: float = 0.7
    fill: str = "mean"
    backbone: str = TRAINED
    layer: str | None = None
    cam: str = "grad_cam"
    fitted: str = "val"
    mixture: str = "facts"
    components: int = 36
    slices: int = 10
    weight: float = 25.0
    least: int = 10

    def __post_init__(self) -> None:
        check_between("[0, 1]", {"recipe.quantile": self.quantile})
        check_one_of(FILLS, {"recipe.fill": self.fill})
        check_one_of(CAMS, {"recipe.cam": self.cam})
        check_one_of(FITTED, {"recipe.fitted": self.fitted})
        check_one_of(MIXTURES, {"recipe.mixture": self.mixture})
        check_at_least(2, {"recipe.components": self.components})
        check_at_least(1, {"recipe.slices": self.slices, "recipe.least": self.least})
        check_at_least(0, {"recipe.weight": self.weight})

    def stages(self, run: Run) -> list[Config]:
        """Configs of the first stage, and of the last stage as plain ERM (no groups exist yet)."""
        return [self._first(run), run.stage_config(UNLABELLED)]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The first also predicts, explains and encodes each image."""
        first, last = self.stages(run)
        return [Work(first, sizes, looks=3), Work(last, sizes)]

    def labels_before(self) -> tuple[str, ...]:
        """Splits whose true group labels the run of its backbone has read."""
        return labels_of(self.backbone)

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error for several labels, a model without spatial maps, a class with fewer than
        four images in the split on which the mixtures are fitted, or with fewer than two slices of
        ``least`` training images, or a run ``backbone`` that is not finished or does not fit.
        """
        check_maps(parts, layer=self.layer)
        check_backbone(self.backbone, parts, config)
        examples = parts.examples
        target = examples.target[examples.rows(self.fitted)]
        what = f"images in recipe.fitted={self.fitted}, where slices are found"
        refuse_few(examples, target, 4, what)
        target = examples.target[examples.rows("train")]
        what = f"images in train, for two slices of recipe.least={self.least} images"
        refuse_few(examples, target, 2 * self.least, what)

    def train(self, run: Run) -> Trained:
        """Train the first model, find slices of what it looks at, and train the last stage."""
        config = self._first(run)
        first = run.train_stage("first", config)
        trained = self.backbone == TRAINED
        encoder = first if trained else backbone_stage(run, config, self.backbone)
        images = {split: self._images(first, encoder.parts, run, split) for split in FITTED}
        judged = images["train"].followed_by(images["val"])
        numbers = class_slices(
            images[self.fitted],
            judged,
            counted=np.arange(len(judged)) < len(images["train"]),
            generator=np.random.default_rng(run.config.seed),
            mixture=self.mixture,
            components=self.components,
            slices=self.slices,
            weight=self.weight,
            least=self.least,
        )
        numbers = processes.from_first(numbers)  # all stop if the first finds no slice
        rows = torch.cat([first.examples.rows(split) for split in FITTED])
        inferred = first.everywhere(rows, torch.from_numpy(numbers))
        self._report(inferred, first)
        return run.train_last(partition=run.infer(inferred, first.examples))

    def _first(self, run: Run) -> Config:
        return configs.changed(run.stage_config(UNLABELLED), self.first or {})

    def _images(self, first: Stage, encoder: Parts, run: Run, split: str) -> PredictedImages:
        """Features of the masked images of a split, with classes and predictions of whole ones."""
        progress = run.config.progress
        predictions = first.predictions(split, progress=progress)
        maps = attention_maps(
            first.parts, predictions.index, classes=predictions.logits.argmax(dim=1),
            layer=self.layer, cam=self.cam, progress=progress,
        )  # fmt: skip
        kept = kept_batches(
            encoder, predictions.index, maps, quantile=self.quantile, fill=self.fill,
            progress=progress,
        )  # fmt: skip
        features = extract(encoder.ready(), kept, precision=encoder.precision)
        probabilities = predictions.logits.double().softmax(dim=1)
        return PredictedImages(
            features.double().numpy(), predictions.target.numpy(), probabilities.numpy()
        )

    def _report(self, inferred: Tensor, first: Stage) -> None:
        """Print the number of training images of each slice.

        Raises:
            ValueError: there is no slice.
        """
        if not bool((inferred > 0).any()):
            raise InputError(
                f"a class has fewer than two slices of recipe.least={self.least} training images, "
                "so there are no groups: lower recipe.least, or train the first stage so that it "
                "takes the shortcut, recipe.first.epochs=... or "
                "recipe.first.optimizer.weight_decay=..."
            )
        rows = first.examples.rows("train")
        for number, name in enumerate(first.examples.groups.target_names):
            sizes = torch.bincount(inferred[rows[first.examples.target[rows] == number]]).tolist()
            slices = ", ".join(map(str, sizes[1:]))
            say(f"{name}: slices of {slices} training images, and {sizes[0]} in no slice")


def kept_batches(
    parts: Parts,
    rows: Tensor,
    maps: Tensor,
    *,
    quantile: float,
    fill: str = "mean",
    progress: bool = True,
) -> Iterator[Batch]:
    """Batches of whole images in which only the pixels with the largest attribution are left.

    Args:
        parts: the objects of a run, whose loader and normalisation are used.
        rows: ``(M,)`` int64 rows of the data set.
        maps: ``(M, h, w)`` float32 attribution of each row, from
            :func:`debias.evaluation.attention.attention_maps`.
        quantile: share of pixels that is hidden, in [0, 1].
        fill: colour of the hidden pixels, see :class:`debias.augment.hide_mask.HideMask`.
        progress: show a progress bar.

    Yields:
        Normalised batches on the device. Their ``mask`` is 1 at the hidden pixels.
    """
    normalisation = parts.data.mean.tolist(), parts.data.std.tolist()
    hide, done = HideMask(*normalisation, fill=fill).to(parts.device), 0
    loader = parts.loader(rows, whole=True)
    for batch in parts.batches(loader, "what the model looks at", progress=progress):
        coarse = maps[done : done + len(batch.target), None]
        fine = F.interpolate(coarse, size=batch.image.shape[-2:], mode="bilinear")[:, 0]
        done += len(batch.target)
        hidden = ~above_quantile(fine, quantile)
        yield hide(batch._replace(mask=hidden[:, None].to(batch.image)))
