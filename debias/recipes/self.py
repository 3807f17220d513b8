"""SELF: a last layer tuned on a few samples that tell the model most."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least
from debias.group_inference.disagreement import largest_disagreement, largest_losses
from debias.heads.linear import Rows
from debias.heads.orders import halves
from debias.heads.refits import selected_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import TRAINED, LastLayer
from debias.reports.predictions import read
from debias.runs.choice import HeadChoice
from debias.runs.run import Run, Stage

#: What a disagreement may be with.
EARLY = "early"


@dataclass(kw_only=True)
class SELF(LastLayer):
    """Fine-tune the last layer on a few informative samples of half of the validation split.

    A few class-balanced steps on samples of half of the validation split, from the head that the
    model has.

    Samples are those that the model gets most wrong, or, with ``disagreement="early"``, those on
    which it differs most from itself early in its training
    (:func:`debias.group_inference.disagreement.largest_disagreement`). How many they are, the
    learning rate, and what is early, are chosen by the worst group of the other half. See
    :func:`debias.heads.refits.selected_heads`.

    Args:
        counts: how many samples to choose from; those above the size of the half are left out.
        learning_rates: to choose from.
        batch_size: of the few steps; the code has 32 for Waterbirds and 100 for CelebA.
        disagreement: "early"; left out, samples are chosen by misclassification.
        early_epochs: after which of the backbone's epochs it is early, to choose from; each less
            than all of them.
        backbone: "trained", "pretrained", or the folder of a finished run. Only "trained" can be
            asked of its early epochs.
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: another disagreement, one of a backbone that is not trained here, or an epoch
            that is not early.

    Differs from the reference: two of the authors' four ways to choose samples are left out,
    disagreement with a dropped-out model, and misclassification by the early one; halves are drawn
    within groups where their labels are read. See also :func:`debias.heads.refits.selected_heads`.
    """

    halved = True

    counts: tuple[int, ...] = (20, 100, 500)
    learning_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    batch_size: int = 32
    disagreement: str | None = None
    early_epochs: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if self.disagreement not in (None, EARLY):
            raise InputError(
                f"recipe.disagreement must be {EARLY}, or null for misclassification; got "
                f"{self.disagreement}"
            )
        check_at_least(1, {"recipe.batch_size": self.batch_size})
        if not (self.counts and self.learning_rates) or min(self.counts) < 1:
            raise InputError(
                "recipe needs counts >= 1 and learning_rates to choose from; got "
                f"{self.counts} and {self.learning_rates}"
            )
        if self.disagreement is None:
            self.early_epochs = ()
            return
        option = f"recipe.disagreement={self.disagreement}"
        if self.backbone != TRAINED:
            raise InputError(
                f"{option} asks a backbone of its early epochs, which are there if it is trained "
                f"in this run: recipe.backbone={TRAINED}; got {self.backbone}"
            )
        if not self.early_epochs:
            raise InputError(f"{option} needs recipe.early_epochs to choose from; got none")

    def stages(self, run: Run) -> list[Config]:
        """The backbone's.

        Raises:
            ValueError: its training has no such early epoch.
        """
        stages = super().stages(run)
        for epochs in self.early_epochs:
            if not 1 <= epochs < stages[0].epochs:
                raise InputError(
                    f"recipe.early_epochs must be at least 1, and less than the {stages[0].epochs} "
                    f"epochs of the backbone, which is not early after them; got {epochs}"
                )
        return stages

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The best of all early epochs, counts and learning rates."""
        generator = seeded_generator(seed)
        rows = frozen.rows("val")
        half, other = halves(rows.group, generator)
        rates, held_out = torch.tensor(self.learning_rates), rows.take(other)
        features, target, _ = mine = rows.take(half)
        fit = partial(
            selected_heads, features, target, start=frozen.head, generator=generator,
            learning_rate=rates, held_out=held_out, batch_size=self.batch_size,
        )  # fmt: skip
        counts = [count for count in self.counts if count <= len(target)] or [len(target)]
        fits = [
            fit(choose(count=count))
            for choose in self._choices(frozen, half, mine)
            for count in counts
        ]
        tried = itertools.product(
            [{"early_epochs": early} for early in self.early_epochs] or [{}],
            counts,
            self.learning_rates,
        )
        grid = [{**early, "count": count, "learning_rate": rate} for early, count, rate in tried]
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
    """What a stage said of the validation split after so many epochs, as it wrote it down then.

    Args:
        stage: that was trained in this run.
        epochs: at least 1.

    Returns:
        ``(N, outputs)`` float32, in the order of the split's rows.

    Raises:
        ValueError: the stage left no such predictions.
    """
    return read(stage.folder / "predictions" / f"val-epoch={epochs - 1:03d}.csv").logits
