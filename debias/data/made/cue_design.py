"""Values of the cues of a drawn set: equal in training, in conflict in the test (WCST-ML)."""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import Integers, generator
from debias.data.sets.arrays import arrays
from debias.errors import InputError, check_at_least, near


class CueDesign(NamedTuple):
    """What the images of a drawn set show.

    Attributes:
        factors: names of everything that varies, such as the shape and the colour.
        cues: those of them that agree in training. The others are drawn independently.
        names: the names of the values of each factor, equally many.
        train: number of training images.
        val: number of validation images.
        each: test images of each combination of the cues in which they do not all agree. With one
            cue, of each of its values.
        seed: seed of all draws.
    """

    factors: tuple[str, ...]
    cues: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    train: int
    val: int
    each: int
    seed: int

    @property
    def labels(self) -> int:
        """Number of values of each factor."""
        return len(self.names[0])

    def check(self) -> None:
        """Check the cues and the numbers.

        Raises:
            ValueError: a cue is unknown or named twice, or a number is too small.
        """
        for cue in self.cues:
            if cue not in self.factors:
                raise InputError(f"cues names {cue!r}; {near(cue, self.factors)}")
        if not self.cues or len(set(self.cues)) < len(self.cues):
            raise InputError(f"cues must be different, at least one; got cues={list(self.cues)}")
        check_at_least(self.labels, {"train": self.train, "val": self.val})
        check_at_least(1, {"each": self.each})
        check_at_least(0, {"seed": self.seed})

    def values(self, split: str) -> Integers:
        """``(N, factors)`` values of the images of a split, equally many of each combination."""
        part = SPLITS.index(split)
        agreeing = [(label,) * len(self.cues) for label in range(self.labels)]
        if split == "test":
            every = itertools.product(range(self.labels), repeat=len(self.cues))
            cells = [cell for cell in every if len(set(cell)) > 1] or agreeing
            shown = np.repeat(np.array(cells), self.each, axis=0)
        else:
            count = self.train if split == "train" else self.val
            shown = np.array(agreeing)[np.arange(count) % self.labels]
        size = (len(shown), len(self.factors))
        values: Integers = generator(self.seed, part).integers(self.labels, size=size)
        values[:, [self.factors.index(cue) for cue in self.cues]] = shown
        return values

    def columns(self, split: str, values: Integers) -> dict[str, NDArray[np.str_]]:
        """The cells of the table of a split: the split and the name of each value."""
        named = {
            factor: np.array(names)[values[:, place]]
            for place, (factor, names) in enumerate(zip(self.factors, self.names, strict=True))
        }
        return {"split": np.full(len(values), split), **named}

    def read(self, folder: Path) -> Examples:
        """Read the drawn images. The first cue is the target, the others are bias attributes."""
        target, *others = self.cues
        names = dict(zip(self.factors, map(list, self.names), strict=True))
        pairs: list[list[int | str]] = [[label, label] for label in range(self.labels)]
        return arrays(
            root=str(folder),
            target=target,
            bias=others or None,
            target_names=names[target],
            bias_names={cue: names[cue] for cue in others} if others else None,
            aligned=dict.fromkeys(others, pairs) if others else None,
        )
