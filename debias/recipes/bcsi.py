"""BCSI: find images that biased networks had to memorise, and fine-tune a trained model on them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from debias import config as configs
from debias.config import Config
from debias.errors import InputError, check_at_least, check_positive
from debias.group_inference.agreement import highest_in_all
from debias.group_inference.influence import check_hessian, self_influence
from debias.merging import Settings
from debias.models.networks import linear_head
from debias.parts import Parts
from debias.progress import say
from debias.recipes.frozen import Frozen, feeds_head
from debias.recipes.jtt import refuse_readers
from debias.recipes.last_layer import PRETRAINED, TRAINED, backbone_stage
from debias.reports.record import read_report
from debias.run_weights import labels_of
from debias.runs.run import Recipe, Run, Stage, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class BCSI(Recipe):
    r"""Fine-tune a model on images that several biased networks had to memorise (BCSI).

    1. ``biased-1``, ``biased-2`` and so on: networks with the strategy
       ``generalized_cross_entropy``, trained for a few epochs, each with a seed of its own.
    2. The self-influence of each training image on the last layer of each network
       (:func:`debias.group_inference.influence.self_influence`) is large if the image contradicts
       what the network has learnt. The pivotal set P has the images that are among the ``top``
       highest ones of their class in every network.
    3. ``backbone``: plain ERM trains the model, or it is that of a finished run, trained by any
       method.
    4. The model is trained further by the run's strategy. The sampler ``weighted`` draws images of
       P and others, R, so that the expected gradient is in proportion to that of

    .. math:: \frac1{|P|} \sum_{i \in P} \ell_i + \frac{\lambda}{|R|} \sum_{i \in R} \ell_i

    ``groups.csv`` has 1 for the images of P, and the importance of each image for the sampler. The
    learning rate of the last stage should be small: it is the run's, and ``base`` sets another one
    for the first model.

    Source: Jung et al., "A Simple Remedy for Dataset Bias via Self-Influence: A Mislabeled Sample
    Perspective", NeurIPS 2024, where this is bias-conditioned self-influence. No code was found.

    Args:
        biased: changes to the run's config for the biased networks, such as ``{epochs: 5}``.
        networks: number of biased networks.
        top: highest images of each class that a network proposes, at least 1.
        rest: :math:`\lambda > 0`, weight of the images that are not in P.
        damping: positive number on the diagonal of the Hessian of self-influence.
        backbone: "trained", "pretrained", or the folder of a finished run, whose model is
            fine-tuned.
        base: changes to the run's config for the stage that trains the model.

    Raises:
        ValueError: ``networks`` or ``top`` is below 1, or ``rest`` or ``damping`` is not positive.

    Differs from the reference: the whole text was not read, so that details may differ. Its loss
    adds a batch of the other images to P. Here both are drawn into one batch.
    """

    continues = True

    biased: Settings | None = None
    networks: int = 3
    top: int = 100
    rest: float = 0.1
    damping: float = 1e-3
    backbone: str = TRAINED
    base: Settings | None = None

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.networks": self.networks, "recipe.top": self.top})
        check_positive({"recipe.rest": self.rest, "recipe.damping": self.damping})
        self.sampler = {"name": "weighted"}

    def stages(self, run: Run) -> list[Config]:
        """Configs of the biased networks, of the model, and of the last stage without its sampler.

        Raises:
            ValueError: see :func:`debias.recipes.jtt.refuse_readers`.
        """
        refuse_readers(run)
        return [*self._biased(run), run.stage_config(self.base), run.last_config()]

    def shareable(self, run: Run) -> list[Config]:
        """The biased networks, and the model if this run trains it."""
        *early, _ = self.stages(run)
        return early if self.backbone == TRAINED else early[:-1]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of the biased networks, of the model, and of the last stage."""
        first, *_, base, last = self.stages(run)
        trained = [Work(base, sizes)] if self.backbone == TRAINED else []
        return [Work(first, sizes, times=self.networks, looks=1), *trained, Work(last, sizes)]

    def labels_before(self) -> tuple[str, ...]:
        """Splits whose true group labels the run of its model has read."""
        return labels_of(self.backbone)

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if the head is not linear or its Hessian does not fit into memory, or if
        the run ``backbone`` is not finished.
        """
        head = linear_head(parts.module.model, of="recipe.name=bcsi")
        size = head.out_features * (head.in_features + 1)
        check_hessian(1, size, bytes_each=8, remedy="use a model with fewer features")
        if self.backbone not in (TRAINED, PRETRAINED):  # it fits the model of another stage
            read_report(Path(self.backbone))

    def train(self, run: Run) -> Trained:
        """Train the biased networks, find the pivotal set, and fine-tune the model on it."""
        # before the biased networks, since a finished run may be absent or not fit
        stage = backbone_stage(run, run.stage_config(self.base), self.backbone)
        _refuse_other_head(stage, self.backbone)
        found = [self._influence(run, *pair) for pair in enumerate(self._biased(run), start=1)]
        examples = stage.examples
        rows = examples.rows("train")
        target = examples.target[rows]
        pivotal = highest_in_all(torch.stack(found), target, count=self.top)
        _report(pivotal, target, examples.groups.target_names)
        shares = torch.where(pivotal, 1 / pivotal.sum(), self.rest / (~pivotal).sum()).double()
        importance = torch.full(examples.split.shape, math.nan, dtype=torch.float64)
        importance[rows] = shares / shares.mean()
        partition = run.infer(stage.everywhere(rows, pivotal), examples, importance)
        return run.train_last({"sampler": self.sampler}, partition=partition, start=stage)

    def _influence(self, run: Run, number: int, config: Config) -> Tensor:
        """Self-influence of each training image on a biased network."""
        frozen = Frozen(run.train_stage(f"biased-{number}", config), config)
        examples, features = frozen.stage.examples, frozen.features("train")
        with torch.no_grad():
            logits = frozen.model.head(features)
        target = examples.target[examples.rows("train")]
        return self_influence(features, target, logits, damping=self.damping)

    def _biased(self, run: Run) -> list[Config]:
        strategy = {"strategy": {"name": "generalized_cross_entropy"}}
        config = configs.changed(run.stage_config(strategy), self.biased or {})
        config = feeds_head(config, key="recipe.biased.strategy")
        first = config.seed * self.networks  # runs of other seeds have other networks
        return [configs.changed(config, {"seed": first + one}) for one in range(self.networks)]


def _refuse_other_head(stage: Stage, backbone: str) -> None:
    """Refuse a model whose last layer is of another kind than that of the run.

    Raises:
        ValueError: no player owns the last layer, so that fine-tuning would not change it.
    """
    module: Any = stage.parts.module
    owned = {id(parameter) for each in module.players.values() for parameter in each}
    if not {id(parameter) for parameter in module.model.head.parameters()} <= owned:
        raise InputError(
            f"recipe.backbone={backbone} has another kind of last layer than this run: give a run "
            "whose last layer is linear"
        )


def _report(pivotal: Tensor, target: Tensor, names: tuple[str, ...]) -> None:
    """Print how many images of each class are pivotal.

    Raises:
        ValueError: none is, or all are.
    """
    if not bool(pivotal.any()) or bool(pivotal.all()):
        raise InputError(
            f"the biased networks agree on {int(pivotal.sum())} of {len(pivotal)} training images, "
            "and fine-tuning needs both kinds: set another recipe.top, or fewer recipe.networks"
        )
    counts = torch.bincount(target[pivotal], minlength=len(names)).tolist()
    text = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    say(f"pivotal images: {text}")
