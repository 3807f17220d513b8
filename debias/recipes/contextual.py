"""Contextual: find the labels that need their context, then train further against it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from debias import components, processes
from debias.config import Config
from debias.errors import InputError, check_at_least, check_between
from debias.files import write_atomically
from debias.merging import Settings
from debias.metrics.shortcuts.context import biased_pairs, contextual_bias
from debias.parts import Parts
from debias.runs.run import Recipe, Run, Stage, Trained

#: Columns of ``pairs.csv``.
COLUMNS = ("label", "context", "contextual_bias")


@dataclass(kw_only=True)
class Contextual(Recipe):
    """Train a standard model, find its biased pairs, and train it further with the strategy.

    1. ``standard``: plain ERM on several labels.
    2. :func:`debias.metrics.shortcuts.context.biased_pairs` of its validation predictions are the
       labels that it finds less well without a context. ``pairs.csv`` has them, with their bias.
       How often two labels occur together is counted in training.
    3. The model is trained further with the run's strategy, such as ``context_cam`` or
       ``feature_split``, which gets these pairs.

    Source: Singh et al., "Don't Judge an Object by Its Context: Learning to Overcome Contextual
    Bias", CVPR 2020; reference code of a replication, princetonvisualai/ContextualBias.

    Args:
        standard: changes to the run's config for the first stage, such as
            ``{epochs: 100, optimizer: {lr: 0.1}}``.
        find: whether to find the pairs. ``false`` keeps those of the strategy or the data set.
        share: a context must be present in at least this share of the training images with the
            label, in [0, 1].
        top: largest number of pairs, at least 1.

    Raises:
        ValueError: ``share`` is outside [0, 1], or ``top`` is below 1.

    Differs from the reference: the first stage trains on the same images as the last one. There it
    trains on 80 % of them, and the last stage on all. A label that is never seen without a context
    is left out, and has the bias 0 there.
    """

    continues = True
    takes_groups = True
    takes_labels = True
    several_labels = True

    standard: Settings | None = None
    find: bool = True
    share: float = 0.2
    top: int = 20

    def __post_init__(self) -> None:
        check_between("[0, 1]", {"recipe.share": self.share}, of="Contextual")
        check_at_least(1, {"recipe.top": self.top}, of="Contextual")

    def stages(self, run: Run) -> list[Config]:
        """Configs of the first stage and of the last one, with ERM while the pairs are unknown.

        Raises:
            ValueError: the pairs are still found, and the strategy has no option for them, or has
                pairs of its own, which would be replaced.
        """
        first = run.stage_config(self.standard)
        if not self.find:
            return [first, run.last_config()]
        section = run.config.strategy
        name = section["name"]
        if "pairs" not in components.options(components.find("strategy", name)):
            raise InputError(
                "recipe.name=contextual finds pairs for the strategy, and "
                f"strategy.name={name} has no option pairs: take feature_split, context_cam or "
                "context_weighting, or set recipe.find=false"
            )
        if section.get("pairs"):
            raise InputError(
                "recipe.name=contextual finds the pairs of the strategy by itself; got "
                f"strategy.pairs={section['pairs']}: leave them out, or set recipe.find=false"
            )
        return [first, run.last_config({"strategy": {"name": "erm"}})]

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if an image has one class in place of several labels."""
        parts.examples.groups.check_several_labels("recipe.name=contextual")

    def train(self, run: Run) -> Trained:
        """Train the standard model, find its pairs, and train it further."""
        first = run.train_stage("standard", run.stage_config(self.standard))
        if not self.find:
            return run.train_last(start=first)
        pairs = self._pairs(first, run.folder / "pairs.csv")
        strategy = {**run.config.strategy, "pairs": pairs}
        return run.train_last({"strategy": strategy}, start=first)

    def _pairs(self, stage: Stage, record: Path) -> list[list[str]]:
        """The names of the biased pairs, most biased first; they are written to a file."""
        examples, predicted = stage.examples, stage.predictions("val")
        names, scores = examples.groups.label_names, predicted.logits.double().sigmoid()
        pairs = biased_pairs(
            scores,
            predicted.target,
            share=self.share,
            top=self.top,
            shared=examples.target[examples.rows("train")],
        )
        if not pairs:
            raise InputError(
                f"no two labels occur together in {self.share:.0%} of a label's training images, "
                "and in validation with and without each other: lower recipe.share"
            )
        biases = [contextual_bias(scores, predicted.target, pair).item() for pair in pairs]
        named = [[names[pair.label], names[pair.context]] for pair in pairs]
        rows = [[*pair, f"{bias:.4g}"] for pair, bias in zip(named, biases, strict=True)]
        processes.by_first(partial(_write, record, rows))
        return named


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_atomically(path, text.getvalue())
