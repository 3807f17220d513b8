"""Discovering environments by cross-mistakes: no group label at any stage."""

from dataclasses import dataclass
from typing import Any

import torch

from debias import config as configs
from debias.config import Config
from debias.group_inference.errors import cross_mistakes
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work

#: Before groups are inferred, no stage asks validation for any: the twins are those of their last
#: epoch.
UNLABELLED = {"select": "average"}


@dataclass(kw_only=True)
class XRM(Recipe):
    """Train twins on a half each, then use what either gets wrong as bias labels.

    What either of two twins gets wrong, each trained on one half of the images, stands in for the
    bias.

    1. ``twins``: the strategy :class:`debias.strategies.cross_mistakes.CrossMistakes`.
    2. Images of the training and validation splits that either twin misclassifies have the value 1,
       others 0 (:func:`debias.group_inference.errors.cross_mistakes`).
    3. The run's own strategy is trained on these, and an epoch selected by them.

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM. ``groups.csv`` has the values of both splits.

    Args:
        twins: what the first stage changes of the run's config.

    Differs from the reference: it trains twins of 10 settings at random and infers by those of the
    most flipped labels, at their last step; here there is one setting, and its last step (the term
    ``flipped`` is logged). See :class:`debias.strategies.cross_mistakes.CrossMistakes`.
    """

    infers = ("train", "val")

    twins: Settings | None = None

    def stages(self, run: Run) -> list[Config]:
        """The twins, and the last stage but for what reads the groups, in validation too."""
        return [self._twins(run), run.stage_config(UNLABELLED)]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """Both twins see every image."""
        twins, last = self.stages(run)
        return [Work(twins, sizes, times=2), Work(last, sizes)]

    def train(self, run: Run) -> Trained:
        """Train the twins, infer, train."""
        twins = run.train_stage("twins", self._twins(run))
        strategy: Any = twins.parts.module.strategy
        first = [twins.predictions(split) for split in self.infers]
        second = [
            twins.predictions(split, model=strategy.network, name=f"{split}-twin")
            for split in self.infers
        ]
        mistakes = [
            cross_mistakes(a.logits, b.logits, a.target) for a, b in zip(first, second, strict=True)
        ]
        inferred = twins.everywhere(
            torch.cat([found.index for found in first]), torch.cat(mistakes)
        )
        return run.train_last(partition=run.infer(inferred, twins.examples))

    def _twins(self, run: Run) -> Config:
        twins = {"strategy": {"name": "cross_mistakes"}} | UNLABELLED
        return configs.changed(run.stage_config(twins), self.twins or {})
