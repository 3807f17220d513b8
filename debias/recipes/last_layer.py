"""Base class of recipes that freeze the backbone and fit a new last layer."""

import copy
import time
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from debias import config as configs
from debias import processes
from debias.config import Config
from debias.data.checks import fewer
from debias.data.examples import Examples
from debias.data.orders import portion, seeded_generator
from debias.errors import InputError, shown
from debias.heads.descent import Descent, fit_heads
from debias.heads.linear import Heads, Rows, fresh_heads
from debias.heads.orders import shuffled_order
from debias.merging import Settings
from debias.models.checkpoints import load_weights
from debias.models.projection import ProjectedHead
from debias.parts import Parts
from debias.recipes.frozen import Frozen, feeds_head, reads_groups, refitted
from debias.reports.record import read_report
from debias.run_weights import check_architecture, labels_of
from debias.runs.choice import HeadChoice, described
from debias.runs.run import Recipe, Run, Stage, Trained
from debias.runs.work import Sizes, Work

TRAINED, PRETRAINED = "trained", "pretrained"


@dataclass(kw_only=True)
class LastLayer(Recipe):
    """Base class of last-layer recipes. The backbone is frozen, and :meth:`fit` fits a new head.

    The option ``backbone`` has three kinds of values. "trained": a stage of this run trains the
    backbone by plain ERM, with the changes of ``base``. "pretrained": the backbone has its
    pretrained weights, and plain ERM fits its first head. A path: the selected model of the
    finished run in this folder.

    If the backbone was trained with a projection head (``model.projection``), this is removed, and
    plain ERM fits a first head on the features before it.

    Attributes:
        share: share of the training split on which the backbone is trained. The head may be fitted
            on the rest.
        halved: "class" or "group" if the head is fitted on half of the validation split, which is
            drawn within classes or, if the selection rule reads groups, within groups; or "".
        fits_first_head: whether a backbone without a trained head first gets one by plain ERM.
        choice: settings that :meth:`fit` chose on held-out images, or ``None`` if it chose none.
    """

    takes_groups = True
    share = 1.0
    halved = ""
    fits_first_head = True

    backbone: str = TRAINED
    base: Settings | None = None
    choice: HeadChoice | None = field(default=None, init=False)

    @abstractmethod
    def fit(self, frozen: Frozen, seed: int) -> nn.Module:
        """Fit the new head. The validation split may choose settings; the test split may not.

        Args:
            frozen: the frozen backbone and its features.
            seed: the run's seed.
        """

    def stages(self, run: Run) -> list[Config]:
        """Config of the one stage, which trains the backbone.

        Raises:
            ValueError: the run has its own strategy, sampler, augmentation or players, or ``base``
                its own groups, which no stage uses.
        """
        for kind in ("strategy", "sampler", "augment"):
            run.refuse_own(kind, remedy=f"leave it out, or set recipe.base.{kind}")
        name = run.config.recipe["name"]
        if players := run.config.players:
            raise InputError(
                f"players have no effect with recipe.name={name}; got players of "
                f"{shown([*players])}: leave them out, or set recipe.base.players"
            )
        if "groups" in (self.base or {}):
            raise InputError(
                f"recipe.base.groups has no effect with recipe.name={name}, which reads the groups "
                "of the run: set groups for the run, or leave it out"
            )
        return [self._config(run)]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of the backbone, if this run trains it. Fits of heads are not counted."""
        return super().work(run, sizes) if self.backbone == TRAINED else []

    def shareable(self, run: Run) -> list[Config]:
        """The backbone, if this run trains it."""
        return self.stages(run) if self.backbone == TRAINED else []

    def labels_before(self) -> tuple[str, ...]:
        """Splits whose true group labels the run of its backbone has read."""
        return labels_of(self.backbone)

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if a class has too few images to fit a head: one of known bias in each
        split of ``reads``, and two in a halved validation split. Also if ``share`` leaves no
        training image for the head or for the backbone, or the weights of the run ``backbone`` do
        not fit.
        """
        images = len(parts.examples.rows("train"))
        if not (selected := round(self.share * images)):
            raise InputError(
                f"recipe.share={self.share} selects none of {images} training images: raise it"
            )
        if self.share < 1 and selected == images:
            raise InputError(
                f"recipe.share must leave training images for the head; got {self.share} of "
                f"{images} images, which is all of them: lower it"
            )
        for split in self.reads:
            examples = parts.seen(split)
            known = examples.target[examples.rows(split)][examples.bias[examples.rows(split)] >= 0]
            what = f"image of known bias in {split}, which this recipe needs to fit a head"
            refuse_few(examples, known, 1, what)
        if self.halved:
            examples = parts.seen("val")
            target = examples.target[examples.rows("val")]
            refuse_few(examples, target, 2, "images in val, which this recipe halves")
        if self.halved == "group" and reads_groups(parts, config):
            refuse_single_images(parts)
        check_backbone(self.backbone, parts, config)

    def train(self, run: Run) -> Trained:
        """Train or load the backbone, compute its features, and fit a head."""
        config = self._config(run)
        frozen = Frozen(self._stage(run, config), config)
        started = time.monotonic()
        headless = self.backbone == PRETRAINED or isinstance(frozen.model.head, ProjectedHead)
        if headless and self.fits_first_head:
            classes = frozen.stage.examples.groups.rows
            fitted = erm_head(self.training_rows(frozen), classes, run.config.seed)
            frozen.model.head = processes.from_first(fitted)
        # every process fits; another machine may round otherwise
        head = processes.from_first(self.fit(frozen, run.config.seed))
        trained = refitted(run, frozen, head, time.monotonic() - started)
        if self.choice is None:
            return trained
        return trained._replace(
            choice=described(self.choice, frozen.stage.parts.seen("val").groups)
        )

    def training_rows(self, frozen: Frozen, *, held_out: bool = False) -> Rows:
        """Features and classes of the training images on which the backbone was trained.

        Args:
            frozen: the frozen backbone and its features.
            held_out: return the other training images instead.
        """
        rows = frozen.rows("train")
        chosen = portion_of(len(rows.target), frozen.config, self.share)
        return rows.take((~chosen if held_out else chosen).nonzero().flatten())

    def _config(self, run: Run) -> Config:
        config = replace(run.stage_config(self.base), groups=run.config.groups)
        config = feeds_head(config, key="recipe.base.strategy")
        if self.share < 1 and self.backbone == TRAINED:
            if "sampler" in (self.base or {}):
                raise InputError(
                    f"recipe.share={self.share} needs its own sampler for the backbone; got "
                    "recipe.base.sampler. Leave it out"
                )
            config = configs.changed(config, {"sampler": {"name": "portion", "share": self.share}})
        return config

    def _stage(self, run: Run, config: Config) -> Stage:
        return backbone_stage(run, config, self.backbone)


def backbone_stage(run: Run, config: Config, backbone: str) -> Stage:
    """Train or load the backbone of a run.

    Args:
        run: the run.
        config: config of the stage that trains the backbone.
        backbone: "trained", "pretrained", or the folder of a finished run.
    """
    if backbone == TRAINED:
        return run.train_stage("backbone", config)
    parts = run.build(config)
    if backbone != PRETRAINED:
        load_model(parts, Path(backbone), config)
    return Stage(parts, run.folder / "stages" / "backbone")


def check_backbone(backbone: str, parts: Parts, config: Config) -> None:
    """Check the folder of a finished run that is the option ``backbone``, without changing a model.

    Args:
        backbone: "trained", "pretrained", or the folder.
        parts: the objects of the stage that reads the weights.
        config: config of this stage.

    Raises:
        ValueError: the folder has no report, or its weights are absent or of another model.
    """
    if backbone in (TRAINED, PRETRAINED):
        return
    path = _selected(Path(backbone), config)
    copied: nn.Module = copy.deepcopy(parts.module.model)
    load_weights(nn.ModuleDict({"model": copied}), path, only="model.")


def refuse_few(examples: Examples, target: Tensor, least: int, what: str) -> None:
    """Refuse a class with too few images.

    Args:
        examples: the data set, which names the classes.
        target: ``(N,)`` int64 class of each image that counts.
        least: fewest images of a class.
        what: which images these are, for the message.

    Raises:
        ValueError: a class has fewer.
    """
    counts = torch.bincount(target, minlength=examples.groups.rows)
    if few := fewer(examples.groups.target_names, counts, least=least):
        raise InputError(
            f"each class needs at least {least} {what}; got fewer of {shown(few)} in "
            f"{examples.source}. Label or add images, or use another recipe"
        )


def refuse_single_images(parts: Parts) -> None:
    """Refuse a group of one validation image, if a recipe halves the groups of that split.

    Raises:
        ValueError: a group has one validation image.
    """
    examples = parts.seen("val")
    counts = examples.frequencies("val").tolist()
    if 1 in counts:
        raise InputError(
            "this recipe halves val within groups, and each group needs two images; got one of "
            f"{examples.groups.names[counts.index(1)]} in {examples.source}. Add another"
        )


def portion_of(count: int, config: Config, share: float) -> torch.Tensor:
    """Which training rows the sampler ``portion`` visits: ``(count,)`` bool.

    Args:
        count: number of training rows.
        config: config of the stage, whose seed chooses the rows.
        share: share of the rows, in (0, 1].
    """
    visited = torch.zeros(count, dtype=torch.bool)
    visited[portion(torch.arange(count), config.seed, share=share).draw(torch.Generator())] = True
    return visited


def load_model(parts: Parts, run: Path, config: Config) -> None:
    """Load the weights of a finished run's selected epoch into the model, whatever its strategy.

    Args:
        parts: the objects whose model receives the weights.
        run: folder of the finished run.
        config: the config from which they were built.

    Raises:
        ValueError: the folder has no report or no weights, or they belong to another model.
    """
    load_weights(parts.module, _selected(run, config), only="model.")


def _selected(run: Path, config: Config) -> Path:
    """The checkpoint of a finished run's selected epoch, if its model is that of a config."""
    # with the weights comes the run's own head, with its projection or without one
    check_architecture(run, config.model, apart=("projection", "kappa"))
    return run / "checkpoints" / f"epoch={read_report(run).selection.epoch:03d}.ckpt"


def erm_head(rows: Rows, classes: int, seed: int) -> nn.Linear:
    """Fit a head on frozen features by plain ERM: 5,000 minibatch steps of SGD with momentum.

    Args:
        rows: features and classes to fit on.
        classes: number of classes of the data set. The rows may contain fewer.
        seed: seed of the initial weights and of the order of the rows.
    """
    generator = seeded_generator(seed)
    start: Heads = fresh_heads(1, classes=classes, size=rows.features.shape[1], generator=generator)
    order = shuffled_order(len(rows.target), batch_size=128, steps=5000, generator=generator)
    descent = Descent(1e-2, momentum=0.9, weight_decay=1e-4)
    fitted = fit_heads(rows.features, rows.target, start, descent=descent, batches=order)
    return fitted.heads.linear(0)
