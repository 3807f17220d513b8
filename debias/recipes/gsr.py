"""Group-robust sample reweighting (GSR): row weights by their influence on every group."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_positive
from debias.group_inference.influence import check_hessian
from debias.heads.orders import halves
from debias.heads.reweighted import reweighted_heads
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer, refuse_single_images
from debias.runs.choice import HeadChoice


@dataclass(kw_only=True)
class GSR(LastLayer):
    """Refit the last layer on weighted rows, whose weights follow their influence on each group.

    The backbone is trained on a share of the training split. The head is fitted on the rest, whose
    group labels are not read. Half of the validation split guides the weights by the losses of its
    groups. The other half weights the groups by their errors, and selects the round. See
    :func:`debias.heads.reweighted.reweighted_heads` for equation, source and differences.

    Args:
        rounds: number of fits of the head. The weights change after each but the last.
        penalty: weight of the squared norm of the head.
        step: factor of the influence in a change of the weights.
        share: share of the training split on which the backbone is trained, in (0, 1).
        backbone: "trained", "pretrained", or the folder of a finished run (which was trained on the
            whole split).
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``rounds`` is below 1, ``penalty`` or ``step`` is not positive, or ``share`` is
            not in (0, 1).
    """

    reads = ("val",)

    rounds: int = 100
    penalty: float = 0.1
    step: float = 1.0
    share: float = 0.9

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.rounds": self.rounds})
        check_positive({"recipe.penalty": self.penalty, "recipe.step": self.step})
        if not 0 < self.share < 1:
            raise InputError(
                f"recipe.share must lie in (0, 1), to leave rows for the head; got {self.share}"
            )

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error also for a group of one validation image, which cannot be halved, and for
        a Hessian that does not fit into memory.
        """
        super().check(parts, config)
        refuse_single_images(parts)
        model: Any = parts.module.model
        images, classes = len(parts.examples.rows("train")), parts.examples.groups.rows
        fewer = min(images - round(self.share * images), model.feature_size + 1)
        remedy = f"raise recipe.share={self.share}, so that fewer images are held out"
        check_hessian(1, (classes - 1) * fewer, bytes_each=8, remedy=remedy)

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return the head of the round with the best worst group on half of validation."""
        rows, labelled = self.training_rows(frozen, held_out=True), frozen.labelled("val")
        guiding, judged = map(labelled.take, halves(labelled.group, seeded_generator(seed)))
        fitted = reweighted_heads(
            rows.features,
            rows.target,
            guiding,
            judged,
            classes=frozen.stage.examples.groups.rows,
            penalty=self.penalty,
            step=self.step,
            rounds=self.rounds,
        )
        grid = [{"round": int(fitted.rounds[0])}]
        self.choice = HeadChoice(grid, fitted.scores, 0, "half of val", judged.group, True)
        return fitted.heads.linear(0)
