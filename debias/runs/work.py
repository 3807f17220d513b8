"""How much a recipe trains and predicts, for an estimate of what it costs."""

from typing import NamedTuple

from debias.config import Config


class Sizes(NamedTuple):
    """How many images a stage has.

    Attributes:
        groups: training images of each group, (target, bias) in the order of the targets.
        val: images that it validates on after each epoch.
        test: further images that it predicts once.
    """

    groups: tuple[int, ...]
    val: int
    test: int

    @property
    def train(self) -> int:
        """Training images."""
        return sum(self.groups)


class Work(NamedTuple):
    """What a stage costs: its epochs of training and validation, and a pass over all of its images
    at its end.

    Attributes:
        config: of the stage, with the sampler that it trains by.
        sizes: of its splits.
        times: how many such stages there are.
        looks: further passes over the training split.
    """

    config: Config
    sizes: Sizes
    times: int = 1
    looks: int = 0
