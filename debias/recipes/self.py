"""SELF: a last layer fine-tuned on a few informative samples."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from debias import processes
from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_positive
from debias.group_inference.disagreement import largest_disagreement, largest_losses
from debias.heads.linear import Rows
from debias.heads.orders import halves
from debias.heads.refits import selected_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import TRAINED, LastLayer
from debias.reports.predictions import read
from debias.runs.choice import HeadChoice
from debias.runs.run import Run, Stage

#: Value of the option ``disagreement``: the final model against the model of an early epoch.
EARLY = "early"


@dataclass(kw_only=True)
class SELF(LastLayer):
    """Fine-tune the last layer on a few informative samples of half of the validation split.

    The trained head takes a few class-balanced steps on these samples. By default they are the
    samples with the greatest loss. With ``disagreement="early"`` they are those on which the
    predictions of the final model differ most from those of an early epoch
    (:func:`debias.group_inference.disagreement.largest_disagreement`). The other half of the
    validation split chooses the number of samples, the learning rate and the early epoch, by its
    worst group (or class). See :func:`debias.heads.refits.selected_heads`.

    Args:
        counts: numbers of samples to try. Numbers above the size of the half are left out.
        learning_rates: learning rates to try.
        batch_size: images per minibatch. The authors' code has 32 for Waterbirds and 100 for
            CelebA.
        disagreement: "early", or ``None`` to choose samples by their loss.
        early_epochs: numbers of backbone epochs to try as the early model. Each is below the number
            of epochs of the backbone.
        backbone: "trained", "pretrained", or the folder of a finished run. ``disagreement`` needs
            "trained".
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``disagreement`` is neither "early" nor ``None``; it is "early" with another
            backbone than "trained" or without ``early_epochs``; ``batch_size`` or a count is below
            1; ``counts`` or ``learning_rates`` is empty; or a learning rate is not positive.

    Differs from the reference: two of the authors' four ways to choose samples are left out:
    disagreement with a dropout model, and misclassification by the early model. If the selection
    rule reads groups, each group is divided between the halves. See also
    :func:`debias.heads.refits.selected_heads`.
    """

    halved = "group"

    counts: tuple[int, ...] = (20, 100, 500)
    learning_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    batch_size: int = 32
    disagreement: str | None = None
    early_epochs: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if self.disagreement not in (None, EARLY):
            raise InputError(
                f"recipe.disagreement must be {EARLY}, or null to choose samples by their loss; "
                f"got {self.disagreement}"
            )
        check_at_least(1, {"recipe.batch_size": self.batch_size})
        if not (self.counts and self.learning_rates) or min(self.counts) < 1:
            raise InputError(
                "recipe.counts and recipe.learning_rates must each hold at least one number, and "
                f"counts must be >= 1; got {self.counts} and {self.learning_rates}"
            )
        check_positive({"recipe.learning_rates": min(self.learning_rates)})
        if self.disagreement is None:
            self.early_epochs = ()
            return
        option = f"recipe.disagreement={self.disagreement}"
        if self.backbone != TRAINED:
            raise InputError(
                f"{option} needs predictions of early epochs, so recipe.backbone must be {TRAINED};"
                f" got {self.backbone}"
            )
        if not self.early_epochs:
            raise InputError(f"{option} needs at least one number in recipe.early_epochs; got none")

    def stages(self, run: Run) -> list[Config]:
        """Config of the one stage, which trains the backbone.

        Raises:
            ValueError: a number in ``early_epochs`` is below 1, or not below the backbone's epochs.
        """
        stages = super().stages(run)
        for epochs in self.early_epochs:
            if not 1 <= epochs < stages[0].epochs:
                raise InputError(
                    f"recipe.early_epochs must be at least 1, and less than the {stages[0].epochs} "
                    f"epochs of the backbone; got {epochs}"
                )
        return stages

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return the head with the best early epoch, count and learning rate on the other half."""
        generator = seeded_generator(seed)
        rows = frozen.rows("val")
        half, other = halves(rows.group, generator)
        rates, held_out = torch.tensor(self.learning_rates), rows.take(other)
        features, target, _ = fitting = rows.take(half)
        fit = partial(
            selected_heads, features, target, start=frozen.head, generator=generator,
            learning_rate=rates, held_out=held_out, batch_size=self.batch_size,
        )  # fmt: skip
        counts = [count for count in self.counts if count <= len(target)] or [len(target)]
        fits = [
            fit(choose(count=count))
            for choose in self._choices(frozen, half, fitting)
            for count in counts
        ]
        settings = itertools.product(
            [{"early_epochs": early} for early in self.early_epochs] or [{}],
            counts,
            self.learning_rates,
        )
        grid = [{**early, "count": count, "learning_rate": rate} for early, count, rate in settings]
        best = max(range(len(fits)), key=lambda number: float(fits[number].scores.max()))
        chosen = best * len(rates) + fits[best].best
        scores = torch.cat([fit.scores for fit in fits])
        if len(grid) > 1:
            self.choice = HeadChoice(
                grid, scores, chosen, "half of val", held_out.group, frozen.grouped
            )
        return fits[best].heads.linear(fits[best].best)

    def _choices(self, frozen: Frozen, half: Tensor, rows: Rows) -> list[Callable[..., Tensor]]:
        final = frozen.head.logits(rows.features)[0]
        if not self.early_epochs:
            return [partial(largest_losses, final, rows.target)]
        early = (validation_logits(frozen.stage, epochs) for epochs in self.early_epochs)
        return [partial(largest_disagreement, logits[half], final) for logits in early]


def validation_logits(stage: Stage, epochs: int) -> Tensor:
    """Read a stage's logits of the validation split after a number of epochs, from its files.

    Args:
        stage: a stage that was trained in this run.
        epochs: number of completed epochs, at least 1.

    Returns:
        ``(N, outputs)`` float32, in the order of the split's rows.

    Raises:
        ValueError: the folder of the stage has no predictions of that epoch.
    """
    path = stage.folder / "predictions" / f"val-epoch={epochs - 1:03d}.csv"
    return processes.by_first(partial(read, path)).logits
