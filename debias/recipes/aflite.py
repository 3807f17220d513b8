"""AFLite: train on the images whose class a linear model on features does not predict easily."""

import math
from dataclasses import dataclass

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import check_at_least
from debias.group_inference.predictability import check_filter, unpredictable
from debias.merging import Settings
from debias.parts import Parts
from debias.progress import say
from debias.recipes.frozen import Frozen
from debias.recipes.jtt import refuse_readers
from debias.recipes.last_layer import TRAINED, backbone_stage, check_backbone
from debias.run_weights import labels_of
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class AFLite(Recipe):
    """Leave out the images that linear models on frozen features classify too easily, then train.

    1. The backbone gives the features of the training images.
    2. :func:`debias.group_inference.predictability.unpredictable` removes the most predictable
       images of each class, round by round. If the shortcut makes images easy, these are
       bias-aligned images.
    3. A new model is trained with the run's strategy on the images that remain.

    Without a shortcut, the easy images are typical ones, and the average accuracy falls. Compare
    with ``sampler.name=portion`` at the same number of images. ``groups.csv`` has 1 for the images
    that remain.

    Source: Le Bras et al., "Adversarial Filters of Dataset Biases" (AFLite), ICML 2020.

    Args:
        backbone: "trained", "pretrained", or the folder of a finished run, whose features are used.
        base: changes to the run's config for the stage that trains the backbone, such as
            ``{epochs: 1}``.
        models: number of linear models per round.
        fitted: share of the training images on which each linear model is fitted.
        removed: largest share of a class that a round removes.
        least: share of each class that remains at least.
        threshold: least share of right models for an image to be removed.
        repeats: how often an epoch visits each remaining image.

    Raises:
        ValueError: a value is out of range, see
            :func:`debias.group_inference.predictability.unpredictable`, or ``repeats`` is below 1.

    Differs from the reference: by default, the run trains the backbone on all images. There it is
    trained on a tenth of the images, which are then left out. See also
    :func:`debias.group_inference.predictability.unpredictable`.
    """

    backbone: str = TRAINED
    base: Settings | None = None
    models: int = 64
    fitted: float = 0.1
    removed: float = 0.02
    least: float = 0.5
    threshold: float = 0.75
    repeats: int = 1

    def __post_init__(self) -> None:
        check_filter(self.models, self.fitted, self.removed, self.least, self.threshold)
        check_at_least(1, {"recipe.repeats": self.repeats}, of="AFLite")
        self.sampler = {"name": "kept", "repeats": self.repeats}

    def stages(self, run: Run) -> list[Config]:
        """Configs of the backbone, and of the last stage without its sampler.

        Raises:
            ValueError: see :func:`debias.recipes.jtt.refuse_readers`.
        """
        refuse_readers(run)
        return [run.stage_config(self.base), run.last_config()]

    def shareable(self, run: Run) -> list[Config]:
        """The backbone, if this run trains it."""
        return self.stages(run)[:1] if self.backbone == TRAINED else []

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The last stage is assumed to keep the least share of images."""
        first, last = self.stages(run)
        few = tuple(math.ceil(self.least * count) * self.repeats for count in sizes.groups)
        trained = [Work(first, sizes, looks=1)] if self.backbone == TRAINED else []
        return [*trained, Work(last, sizes._replace(groups=few))]

    def labels_before(self) -> tuple[str, ...]:
        """Splits whose true group labels the run of its backbone has read."""
        return labels_of(self.backbone)

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if the run ``backbone`` is not finished, or its weights do not fit."""
        check_backbone(self.backbone, parts, config)

    def train(self, run: Run) -> Trained:
        """Compute features, filter the training images, and train on those that remain."""
        config = run.stage_config(self.base)
        frozen = Frozen(backbone_stage(run, config, self.backbone), config)
        rows = frozen.stage.examples.rows("train")
        kept = unpredictable(
            frozen.features("train"),
            frozen.stage.examples.target[rows],
            seeded_generator(run.config.seed),
            models=self.models,
            fitted=self.fitted,
            removed=self.removed,
            least=self.least,
            threshold=self.threshold,
        )
        say(f"AFLite keeps {int(kept.sum())} of {len(kept)} training images")
        inferred = frozen.stage.everywhere(rows, kept)
        partition = run.infer(inferred, frozen.stage.examples)
        return run.train_last({"sampler": self.sampler}, partition=partition)
