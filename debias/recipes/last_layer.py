"""Methods that leave the features as they are, and fit the last layer anew."""

from __future__ import annotations

import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from debias import config as configs
from debias.build import Parts
from debias.config import Config
from debias.data.orders import portion, seeded_generator
from debias.recipes.evaluation import load_weights
from debias.recipes.frozen import Frozen, refitted
from debias.recipes.run import Recipe, Run, Stage, Trained
from debias.reports.run_folder import read_report
from debias.training.heads import Heads, Rows, fresh_heads
from debias.training.heads_descent import fit_minibatches
from debias.training.heads_orders import shuffled_order
from debias.training.heads_steps import Descent

TRAINED, PRETRAINED = "trained", "pretrained"


class LastLayer(Recipe):
    """A backbone, trained or found, that stands still while :meth:`fit` makes a head for it.

    Subclasses say how the head is fitted. Their ``backbone`` is "trained": by plain ERM in a stage of this run, which
    ``base`` changes; "pretrained": the weights it starts from, under a head that is fitted by plain ERM; or the folder
    of a finished run, whose selected model it is.

    Attributes:
        share: of the training split that the backbone is trained on; what is left is the head's.
    """

    share: float = 1.0

    def __init__(self, backbone: str, base: dict[str, Any] | None) -> None:
        self.backbone, self.base = backbone, base

    @abstractmethod
    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The new head; validation may choose, the test split never does."""

    def stages(self, run: Run) -> list[Config]:
        """The backbone's."""
        return [self._config(run)]

    def train(self, run: Run) -> Trained:
        """Train or find the backbone, extract its features, fit a head."""
        config = self._config(run)
        frozen = Frozen(self._stage(run, config), config)
        if self.backbone == PRETRAINED:
            frozen.model.head = erm_head(self.training_rows(frozen), run.config.seed)
        started = time.monotonic()
        head = self.fit(frozen, run.config.seed)
        return refitted(run, frozen, head, time.monotonic() - started)

    def training_rows(self, frozen: Frozen, *, held_out: bool = False) -> Rows:
        """Rows of the training split that the backbone was trained on, or those that it was not."""
        rows = frozen.rows("train")
        seen = portion_of(len(rows.target), frozen.config, self.share)
        return rows.take((~seen if held_out else seen).nonzero().flatten())

    def _config(self, run: Run) -> Config:
        config = run.stage_config(self.base)
        if self.share < 1 and self.backbone == TRAINED:
            config = configs.changed(config, {"sampler": {"name": "portion", "share": self.share}})
        return config

    def _stage(self, run: Run, config: Config) -> Stage:
        if self.backbone == TRAINED:
            return run.train_stage("backbone", config)
        parts = run.build(config)
        if self.backbone != PRETRAINED:
            load_model(parts, Path(self.backbone))
        return Stage(parts, run.folder / "stages" / "backbone")


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
    epoch = read_report(run)["selection"]["epoch"]
    load_weights(parts.module, run / "checkpoints" / f"epoch={epoch:03d}.ckpt", only="model.")


def erm_head(rows: Rows, seed: int) -> nn.Linear:
    """A head by plain minibatches on features that stand still: 5,000 steps of SGD with momentum.

    Args:
        rows: to fit on.
        seed: of the start and of the order.
    """
    generator = seeded_generator(seed)
    classes, size = int(rows.target.max()) + 1, rows.features.shape[1]
    start: Heads = fresh_heads(1, classes=classes, size=size, generator=generator)
    order = shuffled_order(len(rows.target), batch_size=128, steps=5000, generator=generator)
    descent = Descent(1e-2, momentum=0.9, weight_decay=1e-4)
    fitted = fit_minibatches(rows.features, rows.target, start, descent=descent, order=order)
    return fitted.heads.linear(0)
