"""Deep feature reweighting: a last layer on group-balanced subsamples."""

from dataclasses import dataclass

from torch import nn

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import check_at_least, check_one_of
from debias.heads.sparse import STRENGTHS, sparse_head
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer, refuse_single_images
from debias.runs.choice import HeadChoice


@dataclass(kw_only=True)
class DFR(LastLayer):
    """Refit the last layer on group-balanced subsamples (deep feature reweighting).

    C is the inverse strength of the regularisation. With ``split="val"``, C is chosen by a fit on
    half of the validation split, scored on the other half. The head is then fitted on the whole
    split. With ``split="train"``, the head is fitted on the training split, and C is chosen on the
    validation split. See :func:`debias.heads.sparse.sparse_head` for equation, source and
    differences.

    Args:
        split: "val" or "train": the split whose images and group labels the head is fitted on.
        subsamples: number of fits that are averaged. The authors use 20 on validation and 10 on
            training.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``split`` is neither "val" nor "train", or ``subsamples`` is below 1.
    """

    split: str = "val"
    subsamples: int = 20

    def __post_init__(self) -> None:
        check_one_of(("val", "train"), {"recipe.split": self.split})
        check_at_least(1, {"recipe.subsamples": self.subsamples})
        self.reads = (self.split,)

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error also for a group of one validation image, if that split is halved."""
        super().check(parts, config)
        if self.split == "val":
            refuse_single_images(parts)

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return one head, which includes the scaling of the features."""
        fitted = sparse_head(
            frozen.labelled(self.split),
            seeded_generator(seed),
            classes=frozen.stage.examples.groups.rows,
            held_out=frozen.rows("val") if self.split == "train" else None,
            subsamples=self.subsamples,
        )
        on, grouped = ("half of val", True) if self.split == "val" else ("val", frozen.grouped)
        grid, best = [{"C": strength} for strength in STRENGTHS], int(fitted.scores.argmax())
        self.choice = HeadChoice(grid, fitted.scores, best, on, fitted.judged, grouped)
        return fitted.head.linear(0)
