"""Deep feature reweighting: a last layer on group-balanced subsamples."""

from dataclasses import dataclass

from torch import nn

from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_one_of
from debias.heads.sparse import STRENGTHS, sparse_head
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.choice import HeadChoice


@dataclass(kw_only=True)
class DFR(LastLayer):
    """Refit the last layer on group-balanced subsamples (deep feature reweighting).

    On validation rows, with their group labels, C chosen on halves of them; or on training rows, C
    chosen on validation. See :func:`debias.heads.sparse.sparse_head` for equation, source and
    differences.

    Args:
        split: "val" or "train", whose rows and group labels the head is fitted on.
        subsamples: how many fits are averaged; the authors take 20 on validation, 10 on training.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: another split, or no subsample.
    """

    split: str = "val"
    subsamples: int = 20

    def __post_init__(self) -> None:
        check_one_of(("val", "train"), {"recipe.split": self.split})
        check_at_least(1, {"recipe.subsamples": self.subsamples})
        self.reads = (self.split,)

    def check(self, parts: Parts) -> None:
        """Refuse also a group of one image in validation, where this is halved to choose C."""
        super().check(parts)
        counts = parts.examples.frequencies("val").tolist()
        if self.split == "val" and 1 in counts:
            raise InputError(
                f"{parts.examples.source} has one image of "
                f"{parts.examples.groups.names[counts.index(1)]} in val, which this recipe halves "
                "within groups: add another"
            )

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """One head, the scaling of the features folded in."""
        found = sparse_head(
            frozen.labelled(self.split),
            seeded_generator(seed),
            classes=frozen.stage.examples.groups.rows,
            held_out=frozen.rows("val") if self.split == "train" else None,
            subsamples=self.subsamples,
        )
        on, grouped = ("half of val", True) if self.split == "val" else ("val", frozen.grouped)
        grid, best = [{"C": strength} for strength in STRENGTHS], int(found.scores.argmax())
        self.choice = HeadChoice(grid, found.scores, best, on, found.judged, grouped)
        return found.head.linear(0)
