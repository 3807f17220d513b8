"""How much a recipe trains and predicts, for an estimate of its cost."""

from typing import NamedTuple

from debias.config import Config


class Sizes(NamedTuple):
    """The numbers of images in a stage.

    Attributes:
        groups: number of training images in each group, ordered by target, then by bias.
        val: number of images for validation after each epoch.
        test: number of further images that are predicted once.
    """

    groups: tuple[int, ...]
    val: int
    test: int

    @property
    def train(self) -> int:
        """The number of training images."""
        return sum(self.groups)


class Work(NamedTuple):
    """The work of a stage: epochs of training and validation, and a final pass over all images.

    Attributes:
        config: config of the stage, with its sampler.
        sizes: numbers of images in its splits.
        times: number of such stages.
        looks: number of further passes over the training split.
    """

    config: Config
    sizes: Sizes
    times: int = 1
    looks: int = 0
