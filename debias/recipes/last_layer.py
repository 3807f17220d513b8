"""Methods that leave the features as they are, and fit a new last layer."""

import time
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from debias import config as configs
from debias.config import Config
from debias.data.checks import fewer
from debias.data.examples import Examples
from debias.data.orders import portion, seeded_generator
from debias.errors import InputError
from debias.evaluation.predictions import load_weights
from debias.heads.descent import Descent, fit_heads
from debias.heads.linear import Heads, Rows, fresh_heads
from debias.heads.orders import shuffled_order
from debias.merging import Settings
from debias.parts import Parts
from debias.recipes.frozen import Frozen, refitted
from debias.reports.record import read_report
from debias.runs.choice import HeadChoice, described
from debias.runs.run import Recipe, Run, Stage, Trained

TRAINED, PRETRAINED = "trained", "pretrained"


@dataclass(kw_only=True)
class LastLayer(Recipe):
    """A backbone, trained or found, that stands still while :meth:`fit` makes a head for it.

    Subclasses say how the head is fitted. Their ``backbone`` is "trained": by plain ERM in a stage
    of this run, which ``base`` changes; "pretrained": the weights it starts from, under a head that
    is fitted by plain ERM; or the folder of a finished run, whose selected model it is.

    Attributes:
        share: of the training split that the backbone is trained on; what is left is the head's.
        halved: the head is fitted on half of the validation split.
        choice: what :meth:`fit` has chosen on held-out images; ``None`` where it chooses nothing.
    """

    share = 1.0
    halved = False

    backbone: str = TRAINED
    base: Settings | None = None
    choice: HeadChoice | None = field(default=None, init=False)

    @abstractmethod
    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The new head; validation may choose (see :attr:`choice`), the test split never."""

    def stages(self, run: Run) -> list[Config]:
        """The backbone's.

        Raises:
            ValueError: the run has a strategy, sampler or augmentation, which no stage would use.
        """
        for kind in ("strategy", "sampler", "augment"):
            run.refuse_own(kind, remedy=f"leave it out, or set recipe.base.{kind}")
        return [self._config(run)]

    def labels(self) -> tuple[str, ...]:
        """Its own, and those of the finished run whose backbone it takes."""
        if not (Path(self.backbone) / "report.json").is_file():
            return self.reads
        seen = read_report(Path(self.backbone)).strategy.group_labels
        return (*self.reads, *seen.split("+"))

    def check(self, parts: Parts) -> None:
        """Refuse a split without the rows for a head: of known bias, or two of each class."""
        examples = parts.examples
        for split in self.reads:
            known = examples.target[examples.rows(split)][examples.bias[examples.rows(split)] >= 0]
            what = f"image of known bias in {split}, which this recipe needs to fit a head"
            _refuse_few(examples, known, 1, what)
        if self.halved:
            target = examples.target[examples.rows("val")]
            _refuse_few(examples, target, 2, "images in val, which this recipe halves")

    def train(self, run: Run) -> Trained:
        """Train or find the backbone, extract its features, fit a head."""
        config = self._config(run)
        frozen = Frozen(self._stage(run, config), config)
        started = time.monotonic()
        if self.backbone == PRETRAINED:
            classes = frozen.stage.examples.groups.rows
            frozen.model.head = erm_head(self.training_rows(frozen), classes, run.config.seed)
        head = self.fit(frozen, run.config.seed)
        trained = refitted(run, frozen, head, time.monotonic() - started)
        if self.choice is None:
            return trained
        return trained._replace(choice=described(self.choice, frozen.stage.examples.groups))

    def training_rows(self, frozen: Frozen, *, held_out: bool = False) -> Rows:
        """Rows of the training split that the backbone was trained on, or those that it was not."""
        rows = frozen.rows("train")
        seen = portion_of(len(rows.target), frozen.config, self.share)
        return rows.take((~seen if held_out else seen).nonzero().flatten())

    def _config(self, run: Run) -> Config:
        if "select" in (self.base or {}):
            raise InputError(
                "recipe.base.select chooses nothing: the head's rule is the run's own, select=..."
            )
        config = run.stage_config(self.base)
        if self.share < 1 and self.backbone == TRAINED:
            if "sampler" in (self.base or {}):
                raise InputError(
                    f"recipe.base.sampler: the backbone is trained on recipe.share={self.share} of "
                    "the images, by a sampler of its own: leave it out"
                )
            config = configs.changed(config, {"sampler": {"name": "portion", "share": self.share}})
        return config

    def _stage(self, run: Run, config: Config) -> Stage:
        if self.backbone == TRAINED:
            return run.train_stage("backbone", config)
        parts = run.build(config)
        if self.backbone != PRETRAINED:
            load_model(parts, Path(self.backbone))
        return Stage(parts, run.folder / "stages" / "backbone")


def _refuse_few(examples: Examples, target: Tensor, least: int, what: str) -> None:
    counts = torch.bincount(target, minlength=examples.groups.rows)
    if few := fewer(examples.groups.target_names, counts, least=least):
        raise InputError(
            f"{examples.source} has less than {least} {what}, of class {', '.join(few)}: label or "
            "add some, or take another recipe"
        )


def portion_of(count: int, config: Config, share: float) -> torch.Tensor:
    """``(count,)`` bool: the training rows that a stage with the sampler ``portion`` sees."""
    seen = torch.zeros(count, dtype=torch.bool)
    seen[portion(torch.arange(count), config.seed, share=share).draw(torch.Generator())] = True
    return seen


def load_model(parts: Parts, run: Path) -> None:
    """Give a model the weights that a finished run selected, whatever strategy that had.

    Raises:
        ValueError: no finished run, no weights, or those of another model.
    """
    epoch = read_report(run).selection.epoch
    load_weights(parts.module, run / "checkpoints" / f"epoch={epoch:03d}.ckpt", only="model.")


def erm_head(rows: Rows, classes: int, seed: int) -> nn.Linear:
    """A head by plain minibatches on features that stand still: 5,000 steps of SGD with momentum.

    Args:
        rows: to fit on.
        classes: of the data set, of which a few rows may have fewer.
        seed: of the start and of the order.
    """
    generator = seeded_generator(seed)
    start: Heads = fresh_heads(1, classes=classes, size=rows.features.shape[1], generator=generator)
    order = shuffled_order(len(rows.target), batch_size=128, steps=5000, generator=generator)
    descent = Descent(1e-2, momentum=0.9, weight_decay=1e-4)
    fitted = fit_heads(rows.features, rows.target, start, descent=descent, batches=order)
    return fitted.heads.linear(0)
