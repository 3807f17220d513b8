"""Estimate the cost of a run before it starts: images processed, and seconds on this machine."""

import math
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from debias import components
from debias.config import Config
from debias.devices import resolve_accelerator
from debias.merging import Section
from debias.methods import method
from debias.models.classifier import Classifier
from debias.own_parts import is_own
from debias.runs.run import Recipe, Run
from debias.runs.work import Work
from debias.sweeps.published import FACTS
from debias.types import Groups

#: Assumed error rate of a first model on the training images, for stages that repeat its errors.
ERRORS = 0.05
#: Seconds for which steps are timed.
SECONDS = 1.0
#: On a CPU, the timed batch doubles from ``CPU_BATCH`` on until a step takes ``LONG_STEP`` seconds:
#: then larger batches take no less time per image.
CPU_BATCH, LONG_STEP = 8, 0.5


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

    Each network is timed once per image size, accelerator, precision and, on a GPU, batch size.

    Args:
        benchmark: a key of ``published.FACTS``.
        images_per_second: speed of training on another machine; evaluation is three times as fast.
            ``None`` times the network on this machine.
    """

    def __init__(self, benchmark: str, images_per_second: float | None = None) -> None:
        self.sizes, self.images_per_second = FACTS[benchmark].sizes, images_per_second
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
            cost = step_cost(work.config.strategy["name"])
            total += cost * images.trained / speed.trained + images.evaluated / speed.evaluated
        return total

    def _speed(self, config: Config) -> Speed | None:
        if self.images_per_second is not None:
            return Speed(self.images_per_second, 3 * self.images_per_second)
        size = config.preprocessing.get("size")
        on_cpu = resolve_accelerator(config.accelerator) == "cpu"  # there the batch matters little
        batch = None if on_cpu else config.batch_size
        key = (_network_key(config.model), size, batch, config.accelerator, config.precision)
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
        groups: number of training images of each of four groups, or of all images as one group.
    """
    names = ("0", "1")[: len(groups)]
    group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups))
    chosen = torch.arange(len(group)) < round(ERRORS * len(group))
    facts = {
        "group": group,
        "row": group // 2,
        "bias": group % 2,
        "occurring": torch.tensor(groups) > 0,
        "chosen": chosen,
        "partition": chosen.long(),
        "groups": Groups(names, names),
        "seed": config.seed,
    }
    return len(components.construct("sampler", config.sampler, facts))


def step_cost(strategy: str) -> float:
    """Cost of a strategy's step in steps of ERM by the table of methods.

    It is 1 where the table has no number.

    Example:
        >>> [round(step_cost(name), 2) for name in ("erm", "lff", "debian", "soft_contrastive")]
        [1.0, 2.0, 2.67, 1.0]
    """
    try:
        return float(Fraction(method("strategy", strategy).cost))
    except ValueError:
        return 1.0


def speed_of(config: Config) -> Speed | None:
    """Time a config's network at its image size, batch size, accelerator and precision.

    On a CPU, the timed batch is the smallest at which the machine is busy, or the config's. The
    time to load images is not included. The weights are random, so that nothing is downloaded.

    Returns:
        Images per second. ``None`` if a step does not fit into the accelerator's memory.
    """
    device = torch.device(resolve_accelerator(config.accelerator))
    model = _network(config).to(device)
    count = config.batch_size if device.type != "cpu" else min(config.batch_size, CPU_BATCH)
    try:
        train, evaluate = _steps(config, model, count, device)
        while count < config.batch_size and _seconds(train, device, least=0) < LONG_STEP:
            count = min(2 * count, config.batch_size)
            train, evaluate = _steps(config, model, count, device)
        trained = count / _seconds(train, device)
        model.eval()
        return Speed(trained, count / _seconds(evaluate, device))
    except torch.cuda.OutOfMemoryError:
        return None


def _steps(
    config: Config, model: Classifier, count: int, device: torch.device
) -> tuple[Callable[[], None], Callable[[], None]]:
    """A step of training and one of evaluation on a batch of random images."""
    shape: Any = components.construct("preprocessing", config.preprocessing, {}).evaluation
    images = torch.randn(count, 3, shape.height, shape.width, device=device)
    model.use_channels_last(images[:1])
    if not model.contiguous:
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

    return train, evaluate


def _network_key(model: Section) -> str:
    """What determines the speed of a network: its name, without the weights, and its options."""
    others = ("pretrained", "weights", "freeze_batch_norm")
    options = {key: value for key, value in model.items() if key not in others}
    if not is_own(model["name"]):
        options["name"] = model["name"].partition(".")[0]
    return str(options)


def _network(config: Config) -> Classifier:
    """Build a config's network with random weights."""
    # networks of layers have no weights to leave out
    absent = {} if "layers" in config.model else {"pretrained": False, "weights": None}
    options = config.model | absent
    model: Classifier = components.construct("model", options, {"outputs": 2})
    return model


def _seconds(
    step: Callable[[], None], device: torch.device, *, least: float | None = None
) -> float:
    """Seconds of the fastest step, of all within ``least`` seconds, after an untimed one.

    On a CPU they are the processor time of one thread, divided by the number of threads. Other
    programs on the machine then change it little.
    """
    least, threads = SECONDS if least is None else least, torch.get_num_threads()
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    torch.set_num_threads(1 if on_cpu else threads)
    step()
    _wait_for(device)
    begun, fastest, steps = clock(), math.inf, 0
    while not steps or clock() - begun < least:
        started = clock()
        step()
        _wait_for(device)
        fastest, steps = min(fastest, clock() - started), steps + 1
    torch.set_num_threads(threads)
    return fastest / threads if on_cpu else fastest


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
