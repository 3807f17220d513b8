"""Spread Spurious Attribute (SSA): predict training bias labels from the validation bias labels."""

import csv
import io
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from debias import processes
from debias.config import Config
from debias.data.examples import Examples
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_between
from debias.files import write_atomically
from debias.group_inference.pseudo_labels import balanced_pseudo_labels
from debias.heads.orders import halves
from debias.merging import Settings
from debias.parts import Parts
from debias.recipes.last_layer import refuse_single_images
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class SSA(Recipe):
    """Predict the bias labels of the training split from those of the validation split.

    1. ``teacher``: plain ERM learns to predict the bias from half of the validation split. It gives
       each training image a pseudo-label of the bias.
    2. ``fold-1`` to ``fold-K``: a new predictor per fold of the training split. It is trained on
       the same half, and on confident pseudo-labels of the *other* folds. The function
       :func:`debias.group_inference.pseudo_labels.balanced_pseudo_labels` selects them. The
       predictor then predicts the bias of its own fold.
    3. The run's own strategy, such as ``group_dro``, is trained with the bias labels that the fold
       predictors give.

    Source: Nam et al., "Spread Spurious Attribute: Improving Worst-group Accuracy with Spurious
    Attribute Estimation", ICLR 2022. ``groups.csv`` has the predicted bias values.
    ``stages/NAME/labels.csv`` has the training labels of a predictor.

    Args:
        predictor: changes to the run's config for the stages of the predictors.
        folds: number of folds K, at least 2.
        threshold: smallest confidence of a pseudo-label that is used, for the smallest group, in
            [0, 1].

    Raises:
        ValueError: ``folds`` is below 2, or ``threshold`` is not in [0, 1].

    Differs from the paper: pseudo-labels come from a fully trained predictor and are selected once,
    not again every few steps. The predictors are those of the last epoch. The paper uses those that
    are best on the other half of the validation split, on which they validate. The run's last stage
    selects on the whole validation split.
    """

    infers = ("train",)
    reads = ("val",)
    relabels = True

    predictor: Settings | None = None
    folds: int = 3
    threshold: float = 0.95

    def __post_init__(self) -> None:
        check_at_least(2, {"recipe.folds": self.folds}, of="SSA")
        check_between("[0, 1]", {"recipe.threshold": self.threshold}, of="SSA")

    def stages(self, run: Run) -> list[Config]:
        """Configs of a predictor, with the class as target in place of the bias, and of the last
        stage as plain ERM (no groups exist yet).
        """
        return [run.stage_config(self.predictor), run.stage_config()]

    def shareable(self, run: Run) -> list[Config]:
        """None: the data of the predictors are known only in training."""
        return []

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of the teacher, of one predictor per fold, and of the last stage. A predictor is
        assumed to use all pseudo-labels of the other folds.
        """
        predictor, last = self.stages(run)
        labelled, fold = sizes.val // 2, sizes.train // self.folds
        held_out = sizes.val - labelled
        return [
            Work(predictor, Sizes((labelled,), held_out, sizes.train)),
            Work(
                predictor, Sizes((labelled, sizes.train - fold), held_out, fold), times=self.folds
            ),
            Work(last, sizes),
        ]

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if images have no files, training images are degraded, or validation
        cannot be halved within groups.
        """
        if parts.examples.held is not None:
            raise InputError(
                "SSA needs image files, since its stages read tables of paths; "
                f"{parts.examples.source} has none: write the images as files, or use another "
                "recipe"
            )
        if parts.examples.noise is not None and parts.examples.noise.steps:
            raise InputError(
                "SSA does not allow data.image_noise, since its predictors read the image files as "
                "they are: leave it out, or use another recipe"
            )
        refuse_single_images(parts)
        halves_of_validation(parts.examples, seeded_generator(config.seed))

    def train(self, run: Run) -> Trained:
        """Train the teacher, one predictor per fold, and then the last stage."""
        examples = run.build(run.stage_config(self.predictor)).examples
        generator = seeded_generator(run.config.seed)
        labelled, held_out = halves_of_validation(examples, generator)
        train, bias = examples.rows("train"), examples.bias.clone()
        # a combination of several attributes may not exist, and is then no class of a predictor
        values = torch.unique(bias[labelled])
        bias[train] = values[0]  # hides the true bias; test rows of a predictor need some label
        rows = {"train": labelled, "val": held_out, "test": train}
        teacher = self._predict(run, "teacher", examples, bias, rows)
        bias[train] = values[teacher.argmax(dim=1)]
        counts = examples.groups.frequencies(examples.target[labelled], bias[labelled])
        fold = torch.randperm(len(train), generator=generator) % self.folds
        inferred = torch.full_like(bias, -1)
        for one in range(self.folds):
            own, others = train[fold == one], train[fold != one]
            group = examples.groups.encode(examples.target[others], bias[others])
            confidence = teacher[fold != one].softmax(dim=1).amax(dim=1)
            confident = others[
                balanced_pseudo_labels(confidence, group, counts, threshold=self.threshold)
            ]
            rows = {"train": torch.cat([labelled, confident]), "val": held_out, "test": own}
            logits = self._predict(run, f"fold-{one + 1}", examples, bias, rows)
            inferred[own] = values[logits.argmax(dim=1)]
        return run.train_last(partition=run.infer(inferred, examples))

    def _predict(
        self, run: Run, name: str, examples: Examples, bias: Tensor, rows: dict[str, Tensor]
    ) -> Tensor:
        path = run.folder / "stages" / name / "labels.csv"
        groups, values = examples.groups, torch.unique(bias[rows["train"]])
        labels = torch.searchsorted(values, bias)
        processes.by_first(partial(write_labels, path, examples, labels, rows))
        data = {
            "name": "table",
            "csv": str(path),
            "root": str(examples.root),
            "target_names": [groups.bias_names[value] for value in values.tolist()],
            "bias_names": list(groups.target_names),
            "max_pixels": examples.max_pixels,
            "follow_links": examples.follow_links,
        }
        # the cache stores images per split, and each stage has other splits: it would fill the disk
        config = replace(run.stage_config(self.predictor), data=data, select="average", cache=False)
        return run.train_stage(name, config).predictions("test").logits


def halves_of_validation(examples: Examples, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Divide the rows of the validation split at random into two halves, within each group.

    Raises:
        ValueError: a validation image has no bias label.
    """
    rows = examples.rows("val")
    group = examples.groups.encode(examples.target[rows], examples.bias[rows])
    if bool((group < 0).any()):
        raise InputError(
            "SSA needs a bias label for each validation image; got images without one in "
            f"{examples.source}. Label them or leave them out"
        )
    first, second = halves(group, generator)
    return rows[first], rows[second]


def write_labels(path: Path, examples: Examples, bias: Tensor, rows: dict[str, Tensor]) -> None:
    """Write the data set of a bias predictor as a table. Its targets are bias values, and its bias
    column is the class.

    Both columns hold positions among the names, since a name may itself be a number.

    Args:
        path: the CSV file to write.
        examples: the data set.
        bias: ``(len(examples),)`` int64 bias value of each row. Those of rows in "test" have no
            effect.
        rows: rows of the data set for each split of the table.
    """
    lines = [
        (examples.images[row], int(bias[row]), int(examples.target[row]), split)
        for split, chosen in rows.items()
        for row in chosen.tolist()
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "target", "bias", "split"), *lines])
    write_atomically(path, text.getvalue())
