"""Class-balanced last-layer retraining on half of the validation split."""

import math
from dataclasses import dataclass

from torch import nn

from debias.data.orders import seeded_generator
from debias.errors import check_at_least, check_positive
from debias.heads.orders import halves
from debias.heads.refits import balanced_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer


@dataclass(kw_only=True)
class ClassBalancedLastLayer(LastLayer):
    """Refit the last layer on class-balanced minibatches of half of the validation split.

    See :func:`debias.heads.refits.balanced_heads`.

    Args:
        epochs: number of passes over the half.
        learning_rate: learning rate of SGD.
        batch_size: images per minibatch.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``epochs`` or ``batch_size`` is below 1, or ``learning_rate`` is not positive.

    Differs from the reference: halves are drawn within classes, so that both contain all classes.
    Features are computed in evaluation mode on images without augmentation. The reference computes
    them in training mode on augmented images.
    """

    halved = "class"

    epochs: int = 100
    learning_rate: float = 3e-3
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.epochs": self.epochs, "recipe.batch_size": self.batch_size})
        check_positive({"recipe.learning_rate": self.learning_rate})

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return the head after the last step."""
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
            # the reference sets a momentum after it has created the optimiser without one
            momentum=0.0,
            batch_size=self.batch_size,
        )
        return fitted.heads.linear(0)
