"""PGD (per-sample gradient debiasing): draw images in proportion to their gradients."""

import math
from dataclasses import dataclass

import torch

from debias import config as configs
from debias.config import Config
from debias.errors import check_positive
from debias.group_inference.gradient_norms import gradient_norms
from debias.merging import Settings
from debias.models.networks import linear_head
from debias.parts import Parts
from debias.progress import say
from debias.recipes.frozen import Frozen, feeds_head
from debias.recipes.jtt import refuse_readers
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class PerSampleGradient(Recipe):
    r"""Train a biased model, then continue on draws in proportion to its gradient norms (PGD).

    1. ``biased``: a network with the strategy ``generalized_cross_entropy``, which learns the
       shortcut.
    2. The importance of a training image is the norm of the gradient of its cross-entropy by the
       weights of the last layer: :func:`debias.group_inference.gradient_norms.gradient_norms`.
       Images that the shortcut misleads have a large one.
    3. The same network is trained further, by the run's strategy. The sampler ``weighted`` draws
       each image in proportion to its importance.

    ``groups.csv`` has the importance of each training image, with mean 1. The inferred value is 1
    for images that are drawn more often than the average, and 0 for others.

    Source: Ahn et al., "Mitigating Dataset Bias by Using Per-sample Gradient" (PGD), ICLR 2023;
    reference code sumyeongahn/PGD.

    Args:
        biased: changes to the run's config for the first stage, such as ``{epochs: 2}``.
        norm: s > 0 of the norm. The default is that of the code.

    Raises:
        ValueError: ``norm`` is not positive.

    Differs from the reference: gradients are those of the images without augmentation. The code
    draws one augmentation of each. The run's rule selects the epoch of the last stage. The code
    takes the lowest validation loss.
    """

    continues = True

    biased: Settings | None = None
    norm: float = 0.7

    def __post_init__(self) -> None:
        check_positive({"recipe.norm": self.norm})
        self.sampler = {"name": "weighted"}

    def stages(self, run: Run) -> list[Config]:
        """Configs of the biased network, and of the last stage without its sampler.

        Raises:
            ValueError: see :func:`debias.recipes.jtt.refuse_readers`.
        """
        refuse_readers(run)
        return [self._biased(run), run.last_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The last stage draws as many images as there are."""
        first, last = self.stages(run)
        return [Work(first, sizes, looks=1), Work(last, sizes)]

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if the head is not linear, as the norms of the gradients need."""
        linear_head(parts.module.model, of="recipe.name=per_sample_gradient")

    def train(self, run: Run) -> Trained:
        """Train the biased network, find the importance of each image, and train it further."""
        config = self._biased(run)
        frozen = Frozen(run.train_stage("biased", config), config)
        examples = frozen.stage.examples
        rows, features = examples.rows("train"), frozen.features("train")
        with torch.no_grad():
            logits = frozen.model.head(features)
        norms = gradient_norms(features, examples.target[rows], logits, norm=self.norm)
        norms = norms.clamp(min=1e-8)
        importance = torch.full(examples.split.shape, math.nan, dtype=torch.float64)
        importance[rows] = norms / norms.mean()
        above = importance[rows] > 1
        say(f"PGD draws {int(above.sum())} of {len(rows)} training images more often than average")
        inferred = frozen.stage.everywhere(rows, above)
        partition = run.infer(inferred, examples, importance)
        return run.train_last({"sampler": self.sampler}, partition=partition, start=frozen.stage)

    def _biased(self, run: Run) -> Config:
        strategy = {"strategy": {"name": "generalized_cross_entropy"}}
        config = configs.changed(run.stage_config(strategy), self.biased or {})
        return feeds_head(config, key="recipe.biased.strategy")
