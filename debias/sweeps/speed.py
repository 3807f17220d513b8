"""How fast this machine trains and evaluates a network: a few steps of ERM on random pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from debias import components
from debias.build import resolve_accelerator
from debias.config import Config
from debias.models import timm_classifier

#: Steps are timed, after one that is not, until these seconds are over.
SECONDS = 1.0
#: Images of a step on a CPU, where larger batches take no less time for each image.
CPU_BATCH = 8


class Speed(NamedTuple):
    """Images a second, in steps of training and in evaluation."""

    trained: float
    evaluated: float


def timed_batch(config: Config) -> int:
    """Images of the steps by which a config's network is timed."""
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
