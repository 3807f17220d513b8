"""Methods that fit the last layer anew on half of the validation split."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import InputError
from debias.group_inference import largest_disagreement, largest_losses
from debias.heads.linear import Rows
from debias.heads.orders import halves
from debias.heads.refits import balanced_heads, selected_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import TRAINED, LastLayer
from debias.reports.predictions import read
from debias.runs.choice import Choice
from debias.runs.run import Run, Stage

#: What a disagreement may be with.
EARLY = "early"


class ClassBalancedLastLayer(LastLayer):
    """Refit the last layer on class-balanced minibatches of half of the validation split.

    See :func:`debias.heads.refits.balanced_heads`.

    Args:
        epochs: passes over the half.
        learning_rate: of the descent.
        batch_size: of the descent.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: a size is below 1.

    Differs from the reference: halves are drawn within classes, so that both have all of them;
    features are those of evaluation mode and plain images, where its network computes in training
    mode on augmented ones.
    """

    halved = True

    def __init__(
        self,
        *,
        epochs: int = 100,
        learning_rate: float = 3e-3,
        batch_size: int = 32,
        backbone: str = TRAINED,
        base: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, base)
        if min(epochs, batch_size) < 1:
            raise InputError(
                f"recipe needs epochs >= 1 and batch_size >= 1; got {epochs} and {batch_size}"
            )
        self.epochs, self.learning_rate, self.batch_size = epochs, learning_rate, batch_size

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The head after the last step."""
        generator = seeded_generator(seed)
        rows = frozen.rows("val")
        rows = rows.take(halves(rows.target, generator)[0])
        fitted = balanced_heads(
            rows.features,
            rows.target,
            rows.target,
            frozen.fresh_head(generator),
            generator,
            steps=self.epochs * math.ceil(len(rows.target) / self.batch_size),
            learning_rate=self.learning_rate,
            # the reference names a momentum to an optimiser that has been made without
            momentum=0.0,
            batch_size=self.batch_size,
        )
        return fitted.heads.linear(0)


class SELF(LastLayer):
    """Fine-tune the last layer on a few informative samples of half of the validation split.

    A few class-balanced steps on samples of half of the validation split, from the head that the
    model has.

    Samples are those that the model gets most wrong, or, with ``disagreement="early"``, those on
    which it differs most from itself early in its training
    (:func:`debias.group_inference.largest_disagreement`). How many they are, the learning rate, and
    what is early, are chosen by the worst group of the other half. See
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

    def __init__(
        self,
        *,
        counts: list[int] = [20, 100, 500],  # noqa: B006
        learning_rates: list[float] = [1e-4, 1e-3, 1e-2],  # noqa: B006
        batch_size: int = 32,
        disagreement: str | None = None,
        early_epochs: list[int] = [1],  # noqa: B006
        backbone: str = TRAINED,
        base: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, base)
        if disagreement not in (None, EARLY):
            raise InputError(
                f"recipe.disagreement must be {EARLY}, or null for misclassification; got "
                f"{disagreement}"
            )
        if disagreement and backbone != TRAINED:
            raise InputError(
                f"recipe.disagreement={disagreement} asks a backbone of its early epochs, which "
                f"are there if it is trained in this run: recipe.backbone={TRAINED}; got {backbone}"
            )
        if min([batch_size, *counts], default=0) < 1 or not (counts and learning_rates):
            raise InputError(
                "recipe needs batch_size >= 1, and counts >= 1 and learning_rates to choose from; "
                f"got {batch_size}, {counts} and {learning_rates}"
            )
        if disagreement and not early_epochs:
            raise InputError(
                f"recipe.disagreement={disagreement} needs recipe.early_epochs to choose from; got "
                "none"
            )
        self.counts, self.learning_rates, self.batch_size = counts, learning_rates, batch_size
        self.early_epochs = early_epochs if disagreement else []

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
            self.choice = Choice(
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
