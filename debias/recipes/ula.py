"""uLA: a linear probe of frozen features is the proxy of the bias that logit adjustment needs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from debias import config as configs
from debias import processes
from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import check_at_least, check_one_of, check_positive
from debias.group_inference.proxies import soft_counts
from debias.heads.descent import Descent, fit_heads
from debias.heads.orders import shuffled_order
from debias.merging import Settings
from debias.parts import Parts
from debias.progress import say
from debias.recipes.frozen import Frozen, feeds_head
from debias.recipes.last_layer import TRAINED, backbone_stage, check_backbone
from debias.recipes.xrm import UNLABELLED
from debias.run_weights import labels_of
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work

#: The strategy that reads the soft counts of the proxy.
STRATEGY = "conditional_logit_adjustment"


@dataclass(kw_only=True)
class ULA(Recipe):
    r"""Predict classes from frozen features, and adjust logits for what this linear probe finds.

    1. The backbone gives features that mostly hold the shortcut: features of self-supervised
       weights (``backbone: pretrained`` and ``model.weights``), or of a short training by ERM.
    2. A linear head is fitted on them for a few epochs. Its predictions are the proxy of the bias,
       for the images of both training and validation.
    3. :func:`debias.group_inference.proxies.soft_counts` of the proxy give
       :math:`p(y \mid \hat b)`, and a new model is trained with the run's strategy, which must be
       ``conditional_logit_adjustment``. Its ``tau`` is the weight of the adjustment. The epoch is
       selected by groups of class and proxy.

    The new model starts from the weights of the config. So with ``backbone: pretrained`` it
    finetunes the backbone of the proxy. No bias label is read.

    Source: Tsirigotis et al., "Group Robust Classification Without Any Group Information" (uLA),
    NeurIPS 2023; reference code tsirif/uLA. ``groups.csv`` has the proxy of both splits. The
    authors select by ``select=balanced``.

    Args:
        backbone: "trained", "pretrained", or the folder of a finished run, whose features are used.
        base: changes to the run's config for the stage that trains the backbone, such as
            ``{epochs: 1}``.
        epochs: passes over the training features that fit the linear head.
        learning_rate: learning rate of its SGD with momentum 0.9.
        batch_size: images per minibatch of its fit.
        temperature: the logits of the proxy are divided by it for the soft counts; positive.

    Raises:
        ValueError: ``epochs`` or ``batch_size`` is below 1, or ``learning_rate`` or ``temperature``
            is not positive.

    Differs from the reference: the features are those of the given weights, or of ERM. There MoCo
    v2+ pretrains the backbone on the training images. The proxy predicts each image once, without
    augmentation, and the counts are those of all training images. There the proxy predicts the
    augmented images of every batch, and the counts are a moving average. Group mixup is left out,
    which is off there by default.
    """

    infers = ("train", "val")

    backbone: str = TRAINED
    base: Settings | None = None
    epochs: int = 50
    learning_rate: float = 1e-2
    batch_size: int = 64
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.epochs": self.epochs, "recipe.batch_size": self.batch_size})
        positive = {"learning_rate": self.learning_rate, "temperature": self.temperature}
        check_positive({f"recipe.{name}": value for name, value in positive.items()})

    def stages(self, run: Run) -> list[Config]:
        """Configs of the backbone, and of the last stage as plain ERM (no groups exist yet).

        Raises:
            ValueError: the strategy of the run is another one.
        """
        hint = f"set strategy.name={STRATEGY}"
        check_one_of((STRATEGY,), {"strategy.name": run.config.strategy["name"]}, hint=hint)
        return [self._config(run), run.stage_config(UNLABELLED)]

    def shareable(self, run: Run) -> list[Config]:
        """The backbone, if this run trains it."""
        return self.stages(run)[:1] if self.backbone == TRAINED else []

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of the backbone, if this run trains it, and of the last stage."""
        first, last = self.stages(run)
        trained = [Work(first, sizes, looks=2)] if self.backbone == TRAINED else []
        return [*trained, Work(last, sizes)]

    def labels_before(self) -> tuple[str, ...]:
        """Splits whose true group labels the run of its backbone has read."""
        return labels_of(self.backbone)

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if the run ``backbone`` is not finished, or its weights do not fit."""
        check_backbone(self.backbone, parts, config)

    def train(self, run: Run) -> Trained:
        """Fit the proxy, count its values, and train a new model with the adjustment."""
        config = self._config(run)
        frozen = Frozen(backbone_stage(run, config, self.backbone), config)
        proxy = processes.from_first(self._probe(frozen, run.config.seed))
        with torch.no_grad():
            logits = [proxy(frozen.features(split)) for split in self.infers]
        predicted = torch.cat(logits).argmax(dim=1)
        target = frozen.rows("train").target
        counts = soft_counts(logits[0], target, temperature=self.temperature)
        counts = counts[:, torch.unique(predicted)]  # a partition has only values that occur
        _report(predicted[: len(target)], target)
        examples = frozen.stage.examples
        rows = torch.cat([examples.rows(split) for split in self.infers])
        partition = run.infer(frozen.stage.everywhere(rows, predicted), examples)
        strategy = {"soft_counts": processes.from_first(counts.flatten().tolist())}
        return run.train_last({"strategy": strategy}, partition=partition)

    def _config(self, run: Run) -> Config:
        config = configs.changed(run.stage_config(UNLABELLED), self.base or {})
        return feeds_head(config, key="recipe.base.strategy")

    def _probe(self, frozen: Frozen, seed: int) -> nn.Linear:
        rows, generator = frozen.rows("train"), seeded_generator(seed)
        fitted = fit_heads(
            rows.features,
            rows.target,
            frozen.fresh_head(generator),
            descent=Descent(self.learning_rate, momentum=0.9),
            batches=shuffled_order(
                len(rows.target),
                batch_size=self.batch_size,
                steps=self.epochs * math.ceil(len(rows.target) / self.batch_size),
                generator=generator,
            ),
        )
        return fitted.heads.linear(0)


def _report(predicted: Tensor, target: Tensor) -> None:
    wrong = (predicted != target).double().mean().item()
    say(f"uLA: the proxy differs from the class of {wrong:.1%} of the training images")
