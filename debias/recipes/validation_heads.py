"""Methods that fit the last layer anew on half of the validation split."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from debias.data.orders import seeded_generator
from debias.group_inference import largest_losses
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import TRAINED, LastLayer
from debias.training.heads import Rows, fresh_heads
from debias.training.heads_orders import halves
from debias.training.heads_refits import resampled_heads, selected_heads


class ClassBalancedLastLayer(LastLayer):
    """A new head on class-balanced minibatches of half of the validation split: no group labels at all.

    See :func:`debias.training.heads_refits.resampled_heads`.

    Args:
        epochs: passes over the half.
        learning_rate: of the descent.
        batch_size: of the descent.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: what the backbone's stage changes of the run's config.

    Differs from the reference: halves are drawn within classes, so that both have all of them.
    """

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
        self.epochs, self.learning_rate, self.batch_size = epochs, learning_rate, batch_size

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The head after the last step."""
        generator = seeded_generator(seed)
        rows, _ = halves_of(frozen.rows("val"), generator, by_class=True)
        classes, size = frozen.stage.examples.groups.rows, rows.features.shape[1]
        fitted = resampled_heads(
            rows.features,
            rows.target,
            rows.target,
            fresh_heads(1, classes=classes, size=size, generator=generator),
            generator,
            steps=max(self.epochs * len(rows.target) // self.batch_size, 1),
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
        )
        return fitted.heads.linear(0)


class SELF(LastLayer):
    """A few class-balanced steps on the samples of half of the validation split that the head gets most wrong.

    How many samples and the learning rate are chosen by the worst group of the other half. See
    :func:`debias.training.heads_refits.selected_heads`.

    Args:
        counts: how many samples to choose from; those above the size of the half are left out.
        learning_rates: to choose from.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: what the backbone's stage changes of the run's config.

    Differs from the reference: samples are chosen by misclassification, one of the authors' four ways; not by
    disagreement with an early-stopped or dropped-out model (:func:`debias.group_inference.largest_disagreement`).
    """

    def __init__(
        self,
        *,
        counts: list[int] = [20, 100, 500],  # noqa: B006
        learning_rates: list[float] = [1e-4, 1e-3, 1e-2],  # noqa: B006
        backbone: str = TRAINED,
        base: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, base)
        self.counts, self.learning_rates = counts, learning_rates

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The best of all counts and learning rates."""
        generator = seeded_generator(seed)
        rows, held_out = halves_of(frozen.rows("val"), generator, by_class=False)
        logits = frozen.head.logits(rows.features)[0]
        rates = torch.tensor(self.learning_rates)
        fits = []
        for count in [count for count in self.counts if count <= len(rows.target)] or [len(rows.target)]:
            chosen = largest_losses(logits, rows.target, count=count)
            fits.append(
                selected_heads(
                    rows.features, rows.target, chosen, frozen.head, generator, learning_rate=rates, held_out=held_out
                )
            )
        best = max(fits, key=lambda fit: float(fit.scores.max()))
        return best.heads.linear(best.best)


def halves_of(rows: Rows, generator: torch.Generator, *, by_class: bool) -> tuple[Rows, Rows]:
    """Two random halves with the same classes, or the same groups."""
    first, second = halves(rows.target if by_class else rows.group, generator)
    return rows.take(first), rows.take(second)
