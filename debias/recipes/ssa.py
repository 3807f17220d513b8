"""Spread Spurious Attribute: the bias labels of validation are spread to training."""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from debias.config import Config
from debias.data.examples import Examples
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_between
from debias.files import write_atomically
from debias.group_inference.pseudo_labels import balanced_pseudo_labels
from debias.heads.orders import halves
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class SSA(Recipe):
    """Predict the bias labels of the training split from those of the validation split.

    1. ``teacher``: plain ERM on the bias of half of the validation split guesses that of every
       training image.
    2. ``fold-1`` to ``fold-K``: the same, on that half and on those guesses for the *other* folds
       of the training split that
       :func:`debias.group_inference.pseudo_labels.balanced_pseudo_labels` lets in, guesses the bias
       of one fold.
    3. The run's own strategy is trained on the guesses of all folds, such as ``group_dro``.

    Source: Nam et al., "Spread Spurious Attribute: Improving Worst-group Accuracy with Spurious
    Attribute Estimation", ICLR 2022. ``groups.csv`` has the guessed values;
    ``stages/NAME/labels.csv`` what a predictor was trained on.

    Args:
        predictor: what the predictors' stages change of the run's config.
        folds: K, at least 2.
        threshold: confidence from which guesses of the smallest group are let in, in [0, 1].

    Raises:
        ValueError: ``folds`` or ``threshold`` is out of range.

    Differs from the paper: guesses are made by a predictor trained to its end and let in once, not
    again every few steps; the predictors are those of their last epoch, not those that are best on
    the other half of the validation split, which they validate on. The run's own stage selects on
    the whole validation split.
    """

    infers = ("train",)
    reads = ("val",)

    predictor: Settings | None = None
    folds: int = 3
    threshold: float = 0.95

    def __post_init__(self) -> None:
        check_at_least(2, {"recipe.folds": self.folds}, of="SSA")
        check_between("[0, 1]", {"recipe.threshold": self.threshold}, of="SSA")

    def stages(self, run: Run) -> list[Config]:
        """A predictor, as if of the class, and the last stage but for what reads the guesses."""
        return [run.stage_config(self.predictor), run.stage_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """A teacher, a predictor for each fold on at most all the others, and the last stage."""
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

    def train(self, run: Run) -> Trained:
        """Train the teacher, a predictor for each fold, and then the model."""
        examples = run.build(run.stage_config(self.predictor)).examples
        generator = seeded_generator(run.config.seed)
        labelled, held_out = halves_of_validation(examples, generator)
        train, bias = examples.rows("train"), examples.bias.clone()
        bias[train] = 0  # what is not guessed yet is not known
        teacher = self._predict(
            run, "teacher", examples, bias, {"train": labelled, "val": held_out, "test": train}
        )
        bias[train] = teacher.argmax(dim=1)
        counts = examples.groups.frequencies(examples.target[labelled], bias[labelled])
        fold = torch.randperm(len(train), generator=generator) % self.folds
        inferred = torch.full_like(bias, -1)
        for one in range(self.folds):
            asked, others = train[fold == one], train[fold != one]
            group = examples.groups.encode(examples.target[others], bias[others])
            confidence = teacher[fold != one].softmax(dim=1).amax(dim=1)
            sure = others[
                balanced_pseudo_labels(confidence, group, counts, threshold=self.threshold)
            ]
            rows = {"train": torch.cat([labelled, sure]), "val": held_out, "test": asked}
            inferred[asked] = self._predict(run, f"fold-{one + 1}", examples, bias, rows).argmax(
                dim=1
            )
        return run.train_last(partition=run.infer(inferred, examples))

    def _predict(
        self, run: Run, name: str, examples: Examples, bias: Tensor, rows: dict[str, Tensor]
    ) -> Tensor:
        path = run.folder / "stages" / name / "labels.csv"
        write_labels(path, examples, bias, rows)
        groups = examples.groups
        data = {
            "name": "table",
            "csv": str(path),
            "root": str(examples.root),
            "target_names": list(groups.bias_names),
            "bias_names": list(groups.target_names),
        }
        # decoded pictures are kept by split, and every stage splits again: they would fill the disk
        config = replace(run.stage_config(self.predictor), data=data, select="average", cache=False)
        return run.train_stage(name, config).predictions("test").logits


def halves_of_validation(examples: Examples, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of the validation split in two random halves with the same groups.

    Raises:
        ValueError: a bias is unknown there.
    """
    rows = examples.rows("val")
    group = examples.groups.encode(examples.target[rows], examples.bias[rows])
    if bool((group < 0).any()):
        raise InputError(
            f"SSA learns from the bias labels of the validation split, and {examples.source} lacks "
            "some"
        )
    first, second = halves(group, generator)
    return rows[first], rows[second]


def write_labels(path: Path, examples: Examples, bias: Tensor, rows: dict[str, Tensor]) -> None:
    """Write the data set of a predictor as a table whose targets are values of the bias, and whose
    bias is the class.

    Both are numbers, their place among the names: a name may be a number itself.

    Args:
        path: of the CSV file.
        examples: the data set.
        bias: ``(len(examples),)`` int64 target of each row; that of rows in "test" counts for
            nothing.
        rows: of the data set, by the split of the table.
    """
    lines = [
        (examples.images[row], int(bias[row]), int(examples.target[row]), split)
        for split, chosen in rows.items()
        for row in chosen.tolist()
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "target", "bias", "split"), *lines])
    write_atomically(path, text.getvalue())
