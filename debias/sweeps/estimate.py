"""Estimate the cost of a run before it starts: images processed, and seconds on this machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from debias import components
from debias.config import Config
from debias.devices import resolve_accelerator
from debias.models.classifier import Classifier
from debias.own_parts import is_own
from debias.runs.run import Recipe, Run
from debias.runs.work import Sizes, Work
from debias.types import Groups

#: Sizes of each benchmark: training images of each group, validation images, test images. For
#: Biased MNIST, 5,000 of MNIST's training images form the validation split.
SIZES = {
    "waterbirds": ((3498, 184, 56, 1057), 1199, 5794),
    "celeba": ((71629, 66874, 22880, 1387), 19867, 19962),
    "biased_mnist": ((55000,), 5000, 10000),
}
#: Assumed error rate of a first model on the training images, for stages that repeat its errors.
ERRORS = 0.05
#: Seconds for which steps are timed, after one untimed step.
SECONDS = 1.0
#: Largest timed batch on a CPU, where larger batches take no less time per image.
CPU_BATCH = 8


class ImageCounts(NamedTuple):
    """Numbers of images processed in training steps and in evaluation; each pass counts again."""

    trained: int
    evaluated: int


class Speed(NamedTuple):
    """Images per second, in training steps and in evaluation."""

    trained: float
    evaluated: float


class Estimate(NamedTuple):
    """The estimated cost of a run.

    Attributes:
        epochs: training epochs of all stages.
        images: images processed in all stages.
        seconds: time of ERM steps on as many images. ``None`` if a step does not fit into memory,
            or if no step was timed.
    """

    epochs: int
    images: ImageCounts
    seconds: float | None


class Estimator:
    """Estimates the cost of runs of one benchmark.

    Each network is timed once per image size, batch size, accelerator and precision.

    Args:
        benchmark: a key of ``SIZES``.
    """

    def __init__(self, benchmark: str) -> None:
        self.sizes = Sizes(*SIZES[benchmark])
        self.speeds: dict[tuple[object, ...], Speed | None] = {}

    def estimate(self, config: Config, *, timed: bool = True) -> Estimate:
        """Estimate the cost of a run. ``timed=False`` times no steps, and leaves out seconds."""
        recipe: Recipe = components.construct("recipe", config.recipe, {})
        stages = recipe.work(Run(config, Path(config.out)), self.sizes)
        counts = [images_of(work) for work in stages]
        images = ImageCounts(
            sum(one.trained for one in counts), sum(one.evaluated for one in counts)
        )
        epochs = sum(work.times * work.config.epochs for work in stages)
        return Estimate(epochs, images, self._seconds(stages, counts) if timed else None)

    def _seconds(self, stages: list[Work], counts: list[ImageCounts]) -> float | None:
        total = 0.0
        for work, images in zip(stages, counts, strict=True):
            speed = self._speed(work.config)
            if speed is None:
                return None
            total += images.trained / speed.trained + images.evaluated / speed.evaluated
        return total

    def _speed(self, config: Config) -> Speed | None:
        name, size = config.model["name"], config.preprocessing.get("size")
        network = str(config.model) if is_own(name) else name.partition(".")[0]
        key = (network, size, timed_batch(config), config.accelerator, config.precision)
        if key not in self.speeds:
            self.speeds[key] = speed_of(config)
        return self.speeds[key]


def images_of(work: Work) -> ImageCounts:
    """Count the images that a stage processes, over all epochs and all its trainings.

    Example:
        >>> from debias.config import Config
        >>> from debias.runs.work import Sizes, Work
        >>> images_of(Work(Config(epochs=3), Sizes((90, 10), val=20, test=30), times=2))
        ImageCounts(trained=600, evaluated=420)
    """
    sizes, epochs = work.sizes, work.config.epochs
    once = sizes.train + sizes.val + sizes.test + work.looks * sizes.train
    trained = work.times * epochs * epoch_of(work.config, sizes.groups)
    return ImageCounts(trained, work.times * (epochs * sizes.val + once))


def epoch_of(config: Config, groups: tuple[int, ...]) -> int:
    """Count the images of one epoch of a config's sampler.

    A share ``ERRORS`` of the training images has the inferred value 1.

    Args:
        config: config of the run.
        groups: number of training images of each group.
    """
    group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups))
    chosen = torch.arange(len(group)) < round(ERRORS * len(group))
    facts = {
        "group": group,
        "row": group // 2,
        "bias": group % 2,
        "occurring": torch.tensor(groups) > 0,
        "chosen": chosen,
        "partition": chosen.long(),
        "groups": Groups(("0", "1"), ("0", "1")),
        "seed": config.seed,
    }
    return len(components.construct("sampler", config.sampler, facts))


def timed_batch(config: Config) -> int:
    """Batch size for timing a config's network: its own, but at most ``CPU_BATCH`` on a CPU."""
    on_cpu = resolve_accelerator(config.accelerator) == "cpu"
    return min(config.batch_size, CPU_BATCH) if on_cpu else config.batch_size


def speed_of(config: Config) -> Speed | None:
    """Time a config's network at its image size, batch size, accelerator and precision.

    The time to load images is not included. The weights are random, so that nothing is downloaded.

    Returns:
        Images per second. ``None`` if a step does not fit into the accelerator's memory.
    """
    device = torch.device(resolve_accelerator(config.accelerator))
    shape: Any = components.construct("preprocessing", config.preprocessing, {}).evaluation
    count = timed_batch(config)
    images = torch.randn(count, 3, shape.height, shape.width, device=device)
    model = _network(config).to(device)
    model.use_channels_last(images[:1])
    images = images.to(memory_format=torch.channels_last)
    target = torch.zeros(count, dtype=torch.long, device=device)
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16-mixed")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9)

    def train() -> None:
        """Do one ERM step on the images."""
        optimizer.zero_grad()
        with mixed:
            loss = F.cross_entropy(model(images).logits, target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def evaluate() -> None:
        """Compute the outputs for the images once."""
        with torch.inference_mode(), mixed:
            model(images)

    try:
        trained = count / _seconds(train, device)
        model.eval()
        return Speed(trained, count / _seconds(evaluate, device))
    except torch.cuda.OutOfMemoryError:
        return None


def _network(config: Config) -> Classifier:
    """Build a config's network with random weights."""
    options = config.model | {"pretrained": False, "weights": None}
    model: Classifier = components.construct("model", options, {"outputs": 2})
    return model


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    """Mean seconds of a step, over at least ``SECONDS`` seconds, after one untimed step."""
    step()
    _wait_for(device)
    started, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() - started < SECONDS:
        step()
        _wait_for(device)
        steps += 1
    return (time.perf_counter() - started) / steps


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
