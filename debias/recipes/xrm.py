"""XRM: discover environments by the mistakes of two twin models, without any group label."""

from dataclasses import dataclass
from typing import Any

import torch

from debias import config as configs
from debias.config import Config
from debias.group_inference.errors import cross_mistakes
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work

#: Selection rule of stages before groups are inferred: it needs no groups. The twins are those of
#: their last epoch in any case.
UNLABELLED = {"select": "average"}


@dataclass(kw_only=True)
class XRM(Recipe):
    """Train two twins on half of the images each, then use their mistakes as bias labels.

    1. ``twins``: the strategy :class:`debias.strategies.cross_mistakes.CrossMistakes`.
    2. A training or validation image has the bias value 1 if at least one twin misclassifies it,
       and 0 otherwise (:func:`debias.group_inference.errors.cross_mistakes`).
    3. The run's own strategy is trained with these values. They also serve to select the epoch.

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM. ``groups.csv`` has the values of both splits.

    Args:
        twins: changes to the run's config for the first stage.

    Differs from the reference: the reference trains twins with 10 random settings, and infers with
    those that flip most labels, at their last step. Here there is one setting, also at its last
    step. The share of flipped labels is logged as ``flipped``. See
    :class:`debias.strategies.cross_mistakes.CrossMistakes`.
    """

    infers = ("train", "val")

    twins: Settings | None = None

    def stages(self, run: Run) -> list[Config]:
        """Configs of the twins, and of the last stage as plain ERM (no groups exist yet)."""
        return [self._twins(run), run.stage_config(UNLABELLED)]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The first counts twice, since both twins visit every image."""
        twins, last = self.stages(run)
        return [Work(twins, sizes, times=2), Work(last, sizes)]

    def train(self, run: Run) -> Trained:
        """Train the twins, infer the groups, and train the last stage."""
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
            torch.cat([predictions.index for predictions in first]), torch.cat(mistakes)
        )
        return run.train_last(partition=run.infer(inferred, twins.examples))

    def _twins(self, run: Run) -> Config:
        twins = {"strategy": {"name": "cross_mistakes"}} | UNLABELLED
        return configs.changed(run.stage_config(twins), self.twins or {})
