"""What drawn sets for pre-training share: equally many pictures of each class in every split."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import generator
from debias.data.made.folder import MadePart, made
from debias.data.sets.arrays import arrays
from debias.errors import check_at_least, check_between
from debias.progress import each

#: Draws a picture ``(size, size, 3)`` of a class.
DrawPicture = Callable[[int, np.random.Generator], NDArray[np.uint8]]


class ProceduralDesign(NamedTuple):
    """Number of classes, pictures of each split, their side in pixels, and the seed."""

    classes: int
    train: int
    val: int
    test: int
    size: int
    seed: int

    def check(self, classes: str) -> None:
        """Refuse a wrong option; ``classes`` is the name of the option with their number.

        Raises:
            ValueError: an option is out of range.
        """
        check_at_least(2, {f"data.{classes}": self.classes})
        check_between("[16, 512]", {"data.size": self.size})
        check_at_least(0, {"data.seed": self.seed})
        sizes = {f"data.{split}": getattr(self, split) for split in SPLITS}
        reason = f"each of the {self.classes} {classes} needs a picture"
        check_at_least(self.classes, sizes, hint=reason)

    def class_rng(self, number: int) -> np.random.Generator:
        """The generator of what all pictures of a class have in common."""
        return generator(self.seed, len(SPLITS), number)

    def read(self, root: str, name: str, classes: str, unit: str, draw: DrawPicture) -> Examples:
        """The set, drawn on first use. Picture ``row`` of a split shows class ``row % classes``.

        Args:
            root: the folder below which the pictures are written.
            name: name of the set.
            classes: name of the option with the number of classes.
            unit: name of one class.
            draw: draws a picture. Its generator depends on seed, split and row alone.

        Raises:
            ValueError: the folder was made by another version of debias.
        """
        recipe = self._asdict()
        recipe = {classes: recipe.pop("classes"), **recipe}
        folder = made(root, name, recipe, lambda: [self._part(split, draw) for split in SPLITS])
        names = [f"{unit} {number}" for number in range(self.classes)]
        return arrays(root=str(folder), bias=None, target_names=names)

    def _part(self, split: str, draw: DrawPicture) -> MadePart:
        target = np.arange(getattr(self, split)) % self.classes
        images = np.empty((len(target), self.size, self.size, 3), np.uint8)
        for row in each(range(len(target)), f"drawing {split}", "picture"):
            rng = generator(self.seed, SPLITS.index(split), row)
            images[row] = draw(int(target[row]), rng)
        return MadePart(images, {"target": target, "split": np.full(len(target), split)})
