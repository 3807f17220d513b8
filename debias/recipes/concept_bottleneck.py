"""KnoBo: a last layer that decides by concepts, with a prior on what each of them speaks for."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path

import torch
from torch import Tensor, nn

from debias import processes
from debias.config import Config
from debias.data.concepts import Concepts, read_concepts, read_signs
from debias.data.examples import Examples
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_one_of, check_positive, shown
from debias.files import write_atomically
from debias.heads.concepts import Grounding, fit_bottleneck, ground_concepts, held_out_size
from debias.metrics.discovery.cooccurrence import associations, strongest
from debias.models.last_layers import ConceptHead
from debias.parts import Parts
from debias.progress import say
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.run import Run, Trained


@dataclass(kw_only=True)
class ConceptBottleneck(LastLayer):
    """Predict concepts from frozen features, and the class from nothing but these (KnoBo).

    1. A logistic regression per concept, on the images whose concept is known. See
       :func:`debias.heads.concepts.ground_concepts`.
    2. A linear head from the probabilities of the concepts to the classes, on the training images
       of the backbone. A table of signs is the prior of its weights. Validation selects the epoch.
       The worst group decides, or the worst class if the run selects without groups. See
       :func:`debias.heads.concepts.fit_bottleneck`.
    3. ``concepts.csv`` has the images of each concept in ``split``, its held-out accuracy, its
       weights, and Cramér's V with the class, with the bias and with the nearest other concept in
       the training images. A concept that goes with the bias can stand in for it.

    The head can use the bias only through the concepts. In biased images of ``split``, a concept
    goes with the bias, and its classifier may learn the bias instead. ``predicted_class`` and
    ``predicted_bias`` are the associations of the predicted concept.

    Source: Yang et al., "A Textbook Remedy for Domain Shifts: Knowledge Priors for Medical Image
    Analysis", NeurIPS 2024; reference code YueYANG1996/KnoBo.

    Args:
        concepts: a CSV file with the columns ``path`` and one per concept: 1, 0 or empty.
        prior: a CSV file with the columns ``class`` and one per concept: 1 if it speaks for the
            class, -1 if against it, 0 if unknown. ``None`` fits without a prior.
        split: "train" or "val": the split whose images ground the concepts.
        strength: weight of the prior, not negative.
        least_held_out: least held-out images with and without a concept. It needs ten times as many
            of each.
        inverse_penalty: inverse strength of the penalty of the classifiers of concepts, positive.
        epochs: epochs of the head, at least 1.
        learning_rate: learning rate of Adam, positive.
        batch_size: images per step of the head, at least 1.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: a setting is out of range, or ``split`` has another value.

    Differs from the reference: concepts are those of images of the data set; there, of a corpus of
    images with reports. A list of concepts, a corpus and signs by a language model are up to you.
    The backbone of the reference is CLIP. Validation judges by the worst group or class; there, by
    plain accuracy.
    """

    concepts: str
    prior: str | None = None
    split: str = "train"
    strength: float = 1.0
    least_held_out: int = 10
    inverse_penalty: float = 1.0
    epochs: int = 200
    learning_rate: float = 1e-3
    batch_size: int = 64
    columns: dict[str, Sequence[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        check_one_of(("train", "val"), {"recipe.split": self.split})
        check_at_least(0, {"recipe.strength": self.strength})
        sizes = ("least_held_out", "epochs", "batch_size")
        check_at_least(1, {f"recipe.{name}": getattr(self, name) for name in sizes})
        rates = ("inverse_penalty", "learning_rate")
        check_positive({f"recipe.{name}": getattr(self, name) for name in rates})

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error also if a table has a mistake, or no concept has enough images.

        Raises:
            ValueError: see :func:`debias.data.concepts.read_concepts` and ``read_signs``; or no
                concept can be grounded.
        """
        super().check(parts, config)
        concepts, _ = self._tables(parts.examples)
        labels = concepts.labels[parts.examples.rows(self.split)]
        rarer = torch.minimum((labels == 1).sum(dim=0), (labels == 0).sum(dim=0)).tolist()
        if held_out_size(max(rarer)) < self.least_held_out:
            least = 10 * self.least_held_out
            raise InputError(
                f"no concept of {self.concepts} has {least} images of {self.split} with it and "
                f"{least} without; the best one has {max(rarer)}. Label more images, take the "
                "other recipe.split, or lower recipe.least_held_out"
            )

    def _tables(self, examples: Examples) -> tuple[Concepts, Tensor | None]:
        """The concepts of the images, and the ``(K, C)`` prior."""
        concepts = read_concepts(Path(self.concepts), examples)
        if self.prior is None:
            return concepts, None
        signs = read_signs(Path(self.prior), examples.groups.target_names, concepts.names)
        return concepts, signs

    def train(self, run: Run) -> Trained:
        """Train or load the backbone, fit the head, and write ``concepts.csv``."""
        trained = super().train(run)
        processes.by_first(partial(_report, run.folder / "concepts.csv", self.columns))
        return trained

    def fit(self, frozen: Frozen, seed: int) -> nn.Module:
        """Return the head, which holds the classifiers of the concepts."""
        examples, generator = frozen.stage.examples, seeded_generator(seed)
        concepts, prior = self._tables(examples)
        grounding = ground_concepts(
            frozen.features(self.split),
            concepts.labels[examples.rows(self.split)],
            generator,
            least_held_out=self.least_held_out,
            inverse_penalty=self.inverse_penalty,
        )
        rows, held_out = (
            each._replace(features=grounding.probabilities(each.features))
            for each in (self.training_rows(frozen), frozen.rows("val"))
        )
        fitted = fit_bottleneck(
            rows, generator, classes=examples.groups.rows,
            prior=None if prior is None else prior[:, grounding.used], held_out=held_out,
            strength=self.strength, learning_rate=self.learning_rate, epochs=self.epochs,
            batch_size=self.batch_size,
        )  # fmt: skip
        predicted = (grounding.probabilities(frozen.features("train")) > 0.5).long()
        weights, biases = fitted.head.weight.detach(), fitted.head.bias.detach()
        self.columns = self._described(examples, concepts, grounding, weights, predicted)
        return ConceptHead(grounding.weights, grounding.biases, weights, biases)

    def _described(
        self,
        examples: Examples,
        concepts: Concepts,
        grounding: Grounding,
        weights: Tensor,
        predicted: Tensor,
    ) -> dict[str, Sequence[str]]:
        """The columns of ``concepts.csv``. ``predicted`` are those of the training images."""
        rows, read = examples.rows("train"), concepts.labels[examples.rows(self.split)]
        labels, target, bias = concepts.labels[rows], examples.target[rows], examples.bias[rows]
        association, nearest = strongest(labels)
        columns = {
            "concept": concepts.names,
            "with": [str(count) for count in (read == 1).sum(dim=0).tolist()],
            "without": [str(count) for count in (read == 0).sum(dim=0).tolist()],
            "accuracy": _cells(grounding.accuracy),
            "class": _cells(associations(labels, target)),
            "bias": _cells(associations(labels, bias)),
            "predicted_class": _cells(grounding.spread(associations(predicted, target))),
            "predicted_bias": _cells(grounding.spread(associations(predicted, bias))),
            "nearest": [(*concepts.names, "")[place] for place in nearest.tolist()],
            "nearest_association": _cells(association),
        }
        return columns | {
            f"weight/{name}": _cells(grounding.spread(row))
            for name, row in zip(examples.groups.target_names, weights, strict=True)
        }


def _cells(values: Tensor) -> list[str]:
    """Numbers as text; empty where they are not defined."""
    return ["" if math.isnan(value) else f"{value:.4g}" for value in values.tolist()]


def _report(path: Path, columns: dict[str, Sequence[str]]) -> None:
    """Write the columns, and say which concepts go with the bias more than with the class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *zip(*columns.values(), strict=True)])
    write_atomically(path, text.getvalue())
    for kind, what in (("", "concepts"), ("predicted_", "predicted concepts")):
        pairs = zip(columns[f"{kind}class"], columns[f"{kind}bias"], strict=True)
        stronger = [bool(bias) and float(bias) > float(target or 0) for target, bias in pairs]
        if any(stronger):
            names = shown([*compress(columns["concept"], stronger)])
            say(f"{what} that go with the bias more than with the class: {names}; see {path}")
