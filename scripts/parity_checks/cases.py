"""Helpers of the comparisons: the difference of two results, random inputs, and test doubles."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from debias.types import Outputs


def apart(theirs: Any, ours: Any) -> float:
    """Largest difference of two arrays of one shape.

    It is divided by the largest absolute value of theirs, if that is above 1.
    """
    first, second = (torch.as_tensor(value).detach().double() for value in (theirs, ours))
    if first.shape != second.shape:
        raise ValueError(f"theirs has shape {tuple(first.shape)}, ours {tuple(second.shape)}")
    if not first.numel():
        return 0.0
    gap = float((first - second).abs().max() / first.abs().max().clamp(min=1))
    return math.inf if math.isnan(gap) else gap


def both(theirs: Callable[..., Tensor], ours: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Largest difference of two functions at the same inputs, in value and gradients."""
    results = []
    for function in (theirs, ours):
        given = [value.detach().clone().requires_grad_() for value in inputs]
        value = function(*given)
        results.append((value, *torch.autograd.grad(value.sum(), given, materialize_grads=True)))
    return max(apart(first, second) for first, second in zip(*results, strict=True))


class Replaced:
    """A module with some of its functions replaced, such as a draw of random numbers."""

    def __init__(self, module: Any, names: dict[str, Any]) -> None:
        self._module, self._names = module, names

    def __getattr__(self, name: str) -> Any:
        return self._names[name] if name in self._names else getattr(self._module, name)


def draws(seed: int) -> torch.Generator:
    """The random generator of a case."""
    return torch.Generator().manual_seed(seed)


def labelled(seed: int, *, samples: int = 32, classes: int = 5) -> tuple[Tensor, Tensor]:
    """Logits (small in some cases and large in others), and classes."""
    generator = draws(seed)
    logits = (0.1, 1.0, 3.0, 10.0)[seed % 4] * torch.randn(samples, classes, generator=generator)
    return logits, torch.randint(classes, (samples,), generator=generator)


class Given(nn.Module):
    """A classifier that returns given outputs; without features, its features are the logits."""

    def __init__(self, logits: Tensor, features: Tensor | None = None) -> None:
        super().__init__()
        self.outputs = Outputs(logits, logits if features is None else features)

    def forward(self, image: Tensor) -> Outputs:
        return self.outputs


class BodyNetwork(nn.Module):
    """A body, and a head that reads its features."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(image)
        return Outputs(self.head(features), features)


def noted(results: list[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that also keeps its results in a list."""

    def call(*given: Any, **options: Any) -> Any:
        results.append(function(*given, **options))
        return results[-1]

    return call


def bare(cls: Any, attributes: dict[str, Any]) -> Any:
    """An object of a class with these attributes, made without calling ``__init__``."""
    made = cls.__new__(cls)
    made.__dict__.update(attributes)
    return made
