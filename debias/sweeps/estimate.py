"""What a run would cost: the images that it sees, and the speed of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from debias import components
from debias.config import Config

if TYPE_CHECKING:
    from debias.runs.work import Work
    from debias.sweeps.speed import Speed

#: Training images of each group, validation and test images; 5,000 of MNIST's training images are
#: for validation.
SIZES = {
    "waterbirds": ((3498, 184, 56, 1057), 1199, 5794),
    "celeba": ((71629, 66874, 22880, 1387), 19867, 19962),
    "biased_mnist": ((55000,), 5000, 10000),
}
#: Share of the training images that a first model is taken to get wrong, where a stage repeats its
#: errors.
ERRORS = 0.05


class Seen(NamedTuple):
    """Images that a stage sees, a time for each pass: in steps of training, and in evaluation."""

    trained: int
    evaluated: int


class Estimate(NamedTuple):
    """What a run would cost.

    Attributes:
        epochs: of training, of all stages.
        seen: images of all stages.
        seconds: that ERM's steps on as many images would take; ``None`` where they do not fit into
            memory.
    """

    epochs: int
    seen: Seen
    seconds: float | None


class Estimator:
    """Estimates runs of one benchmark; each network is timed once at each size and batch.

    Args:
        benchmark: a key of ``SIZES``.
    """

    def __init__(self, benchmark: str) -> None:
        self.benchmark = benchmark
        self.speeds: dict[tuple[object, ...], Speed | None] = {}

    def estimate(self, config: Config, *, timed: bool = True) -> Estimate:
        """What a run of this config would cost; without ``timed`` its seconds are not known."""
        from debias.runs.run import Recipe, Run
        from debias.runs.work import Sizes

        recipe: Recipe = components.construct("recipe", config.recipe, {})
        stages = recipe.work(Run(config, Path(config.out)), Sizes(*SIZES[self.benchmark]))
        each = [images_of(work) for work in stages]
        seen = Seen(sum(one.trained for one in each), sum(one.evaluated for one in each))
        epochs = sum(work.times * work.config.epochs for work in stages)
        return Estimate(
            epochs, seen, self._seconds([work.config for work in stages], each) if timed else None
        )

    def _seconds(self, stages: list[Config], seen: list[Seen]) -> float | None:
        total = 0.0
        for config, images in zip(stages, seen, strict=True):
            speed = self._speed(config)
            if speed is None:
                return None
            total += images.trained / speed.trained + images.evaluated / speed.evaluated
        return total

    def _speed(self, config: Config) -> Speed | None:
        from debias.sweeps.speed import speed_of, timed_batch

        network, size = config.model["name"].partition(".")[0], config.preprocessing.get("size")
        key = (network, size, timed_batch(config), config.accelerator, config.precision)
        if key not in self.speeds:
            self.speeds[key] = speed_of(config)
        return self.speeds[key]


def images_of(work: Work) -> Seen:
    """Images that a stage sees, in all its epochs and all the times that it is trained.

    Example:
        >>> from debias.config import Config
        >>> from debias.runs.work import Sizes, Work
        >>> images_of(Work(Config(epochs=3), Sizes((90, 10), val=20, test=30), times=2))
        Seen(trained=600, evaluated=420)
    """
    sizes, epochs = work.sizes, work.config.epochs
    once = sizes.train + sizes.val + sizes.test + work.looks * sizes.train
    return Seen(
        work.times * epochs * epoch_of(work.config, sizes.groups),
        work.times * (epochs * sizes.val + once),
    )


def epoch_of(config: Config, groups: tuple[int, ...]) -> int:
    """Images of an epoch by the config's own sampler, with a share ``ERRORS`` inferred as 1."""
    import torch

    from debias.types import Groups

    group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups))
    facts = {
        "group": group,
        "row": group // 2,
        "bias": group % 2,
        "inferred": (torch.arange(len(group)) < round(ERRORS * len(group))).long(),
        "groups": Groups(("0", "1"), ("0", "1")),
        "seed": config.seed,
    }
    return len(components.construct("sampler", config.sampler, facts))
