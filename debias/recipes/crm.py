"""Compositional risk minimisation (CRM): energies that add up, and groups without an image."""

from dataclasses import dataclass

import torch
from torch import nn

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_positive
from debias.heads.energies import checked_prior, fit_energies
from debias.heads.linear import fresh_heads, worst_group_accuracies
from debias.heads.orders import shuffled_order
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.choice import HeadChoice


@dataclass(kw_only=True)
class CRM(LastLayer):
    """Fit additive energies of class and bias on the training split, also with empty groups (CRM).

    The last layer predicts as if all groups were equally frequent, even those without a training
    image. Each class and each bias value needs some. See :func:`debias.heads.energies.fit_energies`
    for equation, source and differences.

    Args:
        weight_decays: values of weight decay to try. The validation split chooses one, by the worst
            group, or by the worst class if the run selects without groups.
        steps: number of minibatch steps.
        learning_rate: learning rate of SGD with a momentum of 0.9.
        batch_size: images per minibatch.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``weight_decays`` is empty or has a negative value, ``steps`` or ``batch_size``
            is below 1, or ``learning_rate`` is not positive.

    Differs from the reference: weight decay is searched on a wider grid (there from 1e-6 to 1e-3,
    with the learning rate), because the features are frozen. The quick run of the reference on
    features has none, and 5,001 steps with batches of 2,048.
    """

    reads = ("train",)

    weight_decays: tuple[float, ...] = (0.0, 0.01, 0.1, 1.0)
    steps: int = 1000
    learning_rate: float = 0.01
    batch_size: int = 1024

    def __post_init__(self) -> None:
        if not self.weight_decays or min(self.weight_decays) < 0:
            raise InputError(
                "recipe.weight_decays must hold at least one number, all >= 0; got "
                f"{self.weight_decays}"
            )
        sizes = {"recipe.steps": self.steps, "recipe.batch_size": self.batch_size}
        check_at_least(1, sizes, of="CRM")
        check_positive({"recipe.learning_rate": self.learning_rate}, of="CRM")

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error also for a bias value without a training image. Empty groups are allowed.

        Raises:
            ValueError: a class or a bias value has no training image of known bias.
        """
        super().check(parts, config)
        examples = parts.seen("train")
        rows = examples.rows("train")
        sizes = {"classes": examples.groups.rows, "biases": examples.groups.biases}
        checked_prior(examples.target[rows], examples.bias[rows], **sizes)

    def fit(self, frozen: Frozen, seed: int) -> nn.Module:
        """Return the head with the best worst-group (or worst-class) accuracy on validation."""
        examples, held_out = frozen.stage.parts.seen("train"), frozen.rows("val")
        rows, generator = examples.rows("train"), seeded_generator(seed)
        features, target = frozen.features("train"), examples.target[rows]
        classes, biases = examples.groups.rows, examples.groups.biases
        start = fresh_heads(
            1, classes=classes + biases, size=features.shape[1], generator=generator
        ).weights
        known = (examples.bias[rows] >= 0).nonzero().flatten()
        order = shuffled_order(
            len(known), batch_size=self.batch_size, steps=self.steps, generator=generator
        )
        fitted = fit_energies(
            features, target, examples.bias[rows], start=start, classes=classes,
            batches=known[order], learning_rate=self.learning_rate,
            weight_decay=torch.tensor(self.weight_decays),
        )  # fmt: skip
        heads = [fitted.head(one) for one in range(len(self.weight_decays))]
        with torch.no_grad():
            predictions = torch.stack([head(held_out.features).argmax(dim=1) for head in heads])
        scores = worst_group_accuracies(predictions, held_out.target, held_out.group)
        best, grid = int(scores.argmax()), [{"weight_decay": one} for one in self.weight_decays]
        self.choice = HeadChoice(grid, scores, best, "val", held_out.group, frozen.grouped)
        return heads[best]
