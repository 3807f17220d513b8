"""What a run would cost: the images that it sees, and the speed of this machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from debias import components
from debias.build import resolve_accelerator
from debias.config import Config
from debias.models.classifier import timm_classifier
from debias.runs.run import Recipe, Run
from debias.runs.work import Sizes, Work
from debias.types import Groups

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
#: Steps are timed, after one that is not, until these seconds are over.
SECONDS = 1.0
#: Images of a step on a CPU, where larger batches take no less time for each image.
CPU_BATCH = 8


class ImageCounts(NamedTuple):
    """Images that a stage sees, a time for each pass: in steps of training, and in evaluation."""

    trained: int
    evaluated: int


class Speed(NamedTuple):
    """Images a second, in steps of training and in evaluation."""

    trained: float
    evaluated: float


class Estimate(NamedTuple):
    """What a run would cost.

    Attributes:
        epochs: of training, of all stages.
        seen: images of all stages.
        seconds: that ERM's steps on as many images would take; ``None`` where they do not fit into
            memory.
    """

    epochs: int
    seen: ImageCounts
    seconds: float | None


class Estimator:
    """Estimates runs of one benchmark; each network is timed once at each size and batch.

    Args:
        benchmark: a key of ``SIZES``.
    """

    def __init__(self, benchmark: str) -> None:
        self.sizes = Sizes(*SIZES[benchmark])
        self.speeds: dict[tuple[object, ...], Speed | None] = {}

    def estimate(self, config: Config, *, timed: bool = True) -> Estimate:
        """What a run of this config would cost; without ``timed`` its seconds are not known."""
        recipe: Recipe = components.construct("recipe", config.recipe, {})
        stages = recipe.work(Run(config, Path(config.out)), self.sizes)
        each = [images_of(work) for work in stages]
        seen = ImageCounts(sum(one.trained for one in each), sum(one.evaluated for one in each))
        epochs = sum(work.times * work.config.epochs for work in stages)
        return Estimate(epochs, seen, self._seconds(stages, each) if timed else None)

    def _seconds(self, stages: list[Work], seen: list[ImageCounts]) -> float | None:
        total = 0.0
        for work, images in zip(stages, seen, strict=True):
            speed = self._speed(work.config)
            if speed is None:
                return None
            total += images.trained / speed.trained + images.evaluated / speed.evaluated
        return total

    def _speed(self, config: Config) -> Speed | None:
        network, size = config.model["name"].partition(".")[0], config.preprocessing.get("size")
        key = (network, size, timed_batch(config), config.accelerator, config.precision)
        if key not in self.speeds:
            self.speeds[key] = speed_of(config)
        return self.speeds[key]


def images_of(work: Work) -> ImageCounts:
    """Images that a stage sees, in all its epochs and all the times that it is trained.

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
    """Images of an epoch by the config's own sampler, with a share ``ERRORS`` inferred as 1."""
    group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups))
    chosen = torch.arange(len(group)) < round(ERRORS * len(group))
    facts = {
        "group": group,
        "row": group // 2,
        "bias": group % 2,
        "chosen": chosen,
        "partition": chosen.long(),
        "groups": Groups(("0", "1"), ("0", "1")),
        "seed": config.seed,
    }
    return len(components.construct("sampler", config.sampler, facts))


def timed_batch(config: Config) -> int:
    """Images per step when a config's network is timed."""
    on_cpu = resolve_accelerator(config.accelerator) == "cpu"
    return min(config.batch_size, CPU_BATCH) if on_cpu else config.batch_size


def speed_of(config: Config) -> Speed | None:
    """The speed of a config's network, at its size, batch, accelerator and precision; loading
    images is left out.

    Weights are new, so that nothing is downloaded.

    Returns:
        Images a second; ``None`` where a step does not fit into the accelerator's memory.
    """
    device = torch.device(resolve_accelerator(config.accelerator))
    shape: Any = components.construct("preprocessing", config.preprocessing, {}).evaluation
    model = _network(config).to(device)
    count = timed_batch(config)
    images = torch.randn(count, 3, shape.height, shape.width, device=device)
    images = images.to(memory_format=torch.channels_last)
    target = torch.zeros(count, dtype=torch.long, device=device)
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16-mixed")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9)

    def train() -> None:
        """A step of ERM on the images."""
        optimizer.zero_grad()
        with mixed:
            loss = F.cross_entropy(model(images).logits, target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def evaluate() -> None:
        """A pass over the images."""
        with torch.inference_mode(), mixed:
            model(images)

    try:
        trained = count / _seconds(train, device)
        model.eval()
        return Speed(trained, count / _seconds(evaluate, device))
    except torch.cuda.OutOfMemoryError:
        return None


def _network(config: Config) -> nn.Module:
    """A config's network with new weights, laid out channels last."""
    options = config.model | {"pretrained": False, "weights": None}
    model: nn.Module = components.call(timm_classifier, "model", options, {"outputs": 2})
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    """Mean seconds of a step."""
    step()
    _wait_for(device)
    started, done = time.perf_counter(), 0
    while not done or time.perf_counter() - started < SECONDS:
        step()
        _wait_for(device)
        done += 1
    return (time.perf_counter() - started) / done


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
