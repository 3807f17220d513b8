"""What drawn sets for pre-training share: equally many pictures of each class in every split."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import generator
from debias.data.made.folder import MadePart, made, with_labels
from debias.data.sets.arrays import arrays
from debias.errors import check_at_least, check_between
from debias.progress import each

#: Draws a picture ``(size, size, 3)`` of some classes.
DrawPicture = Callable[[list[int], np.random.Generator], NDArray[np.uint8]]


class ProceduralDesign(NamedTuple):
    """Number of classes, pictures of each split, their side in pixels, and the seed.

    With ``instances`` above 1, each picture has 1 to ``instances`` classes, which are labels.
    """

    classes: int
    train: int
    val: int
    test: int
    size: int
    seed: int
    instances: int = 1

    def check(self, classes: str) -> None:
        """Refuse a wrong option; ``classes`` is the name of the option with their number.

        Raises:
            ValueError: an option is out of range.
        """
        check_at_least(2, {f"data.{classes}": self.classes})
        check_at_least(1, {"data.instances": self.instances})
        check_between("[16, 512]", {"data.size": self.size})
        check_at_least(0, {"data.seed": self.seed})
        sizes = {f"data.{split}": getattr(self, split) for split in SPLITS}
        reason = f"each of the {self.classes} {classes} needs a picture"
        check_at_least(self.classes, sizes, hint=reason)

    def class_rng(self, number: int) -> np.random.Generator:
        """The generator of what all pictures of a class have in common."""
        return generator(self.seed, len(SPLITS), number)

    def shown(self, first: int, rng: np.random.Generator) -> list[int]:
        """The classes of a picture: ``first`` and, with several instances, from 0 to all others."""
        if self.instances == 1:
            return [first]
        return [first, *rng.integers(self.classes, size=rng.integers(self.instances)).tolist()]

    def read(self, root: str, name: str, classes: str, unit: str, draw: DrawPicture) -> Examples:
        """The set, drawn on first use. Picture ``row`` of a split shows class ``row % classes``.

        With several instances, it may show other classes too, and a class more than once.

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
        if self.instances == 1:
            del recipe["instances"]
        recipe = {classes: recipe.pop("classes"), **recipe}
        names = [f"{unit} {number}" for number in range(self.classes)]
        parts = partial(self._parts, draw, names if self.instances > 1 else [])
        folder = made(root, name, recipe, parts)
        examples = arrays(root=str(folder), bias=None, target_names=names)
        return examples if self.instances == 1 else with_labels(examples, folder, names)

    def _parts(self, draw: DrawPicture, labels: Sequence[str]) -> list[MadePart]:
        return [self._part(split, draw, labels) for split in SPLITS]

    def _part(self, split: str, draw: DrawPicture, labels: Sequence[str]) -> MadePart:
        target = np.arange(getattr(self, split)) % self.classes
        images = np.empty((len(target), self.size, self.size, 3), np.uint8)
        present = np.zeros((len(target), self.classes), np.int64)
        for row in each(range(len(target)), f"drawing {split}", "picture"):
            rng = generator(self.seed, SPLITS.index(split), row)
            shown = self.shown(int(target[row]), rng)
            images[row], present[row, shown] = draw(shown, rng), 1
        columns = {name: present[:, place] for place, name in enumerate(labels)}
        return MadePart(images, {"target": target, "split": np.full(len(target), split), **columns})
