"""The core types of the package: a batch, a model's outputs, a loss, a turn, the groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_printable, shown

#: Largest number of groups: metrics hold numbers of every group, and reports a row.
MOST_GROUPS = 1_000_000


class Batch(NamedTuple):
    """One batch of images; ``None`` fields survive collation and device transfer.

    Attributes:
        image: ``(N, 3, H, W)`` float, normalised.
        target: ``(N,)`` int64 class index; ``(N, C)`` float class probabilities after mixing; or
            ``(N, L)`` int64 0/1 when multi-label.
        bias: ``(N,)`` int64 value of the bias attribute, or the inferred value that replaces it in
            training; -1 if unknown.
        index: ``(N,)`` int64 row in the data set, for per-sample state.
        mask: ``(N, 1, H, W)`` float foreground in [0, 1], or ``None``.
        weight: ``(N,)`` float sample weight, or ``None``. Strategies whose loss is a mean over
            samples use it. Those that weight samples, groups or environments themselves ignore it.
            No data set of this package has it.
        background: ``(N, 3, H, W)`` float images, normalised, with the foreground filled in, or
            ``None``.
    """

    image: Tensor
    target: Tensor
    bias: Tensor
    index: Tensor  # type: ignore[assignment]
    mask: Tensor | None = None
    weight: Tensor | None = None
    background: Tensor | None = None


class Outputs(NamedTuple):
    """The outputs of a classifier: ``(N, C)`` logits, and the ``(N, D)`` inputs of its head."""

    logits: Tensor
    features: Tensor


class Loss(NamedTuple):
    """A scalar to minimise, and the detached terms to log (scalars, or one value per group).

    ``weights`` has the weight in the total, at this step, of terms that a method adds to the task's
    loss. Training warns if such a term is numerically zero, since it then has no effect.
    """

    total: Tensor
    terms: dict[str, Tensor]
    weights: Mapping[str, float] = MappingProxyType({})


class Turn(NamedTuple):
    """One player's update: the player, and the function of model and batch that gives its loss.

    The function is called only when the turn is taken, after the turns before it.
    """

    player: str
    objective: Callable[[nn.Module, Batch], Loss]


@dataclass(frozen=True)
class Groups:
    """The groups, which are pairs (target, bias); a group has the number ``row * biases + bias``.

    A row is a target class. With several labels, an image has one row per label, which is
    ``2 * label + target``. No other code numbers groups.

    Args:
        target_names: one name per row. Multi-label: a pair per label, absent first
            (``("not Smiling", "Smiling", "not Blond_Hair", "Blond_Hair")``).
        bias_names: one name per value of the bias attribute.
        aligned: the bias-aligned (target, bias) pairs, if they are known.
        multi_label: whether targets are ``(N, L)`` 0/1.

    Raises:
        ValueError: more than ``MOST_GROUPS`` groups, two groups of the same name, a label without
            its pair of names, or an aligned pair out of range.

    Example:
        >>> groups = Groups(("landbird", "waterbird"), ("land", "water"), aligned=((0, 0), (1, 1)))
        >>> groups.encode(torch.tensor([0, 1, 1]), torch.tensor([1, 0, -1])).tolist()
        [1, 2, -1]
        >>> groups.names
        ('landbird-land', 'landbird-water', 'waterbird-land', 'waterbird-water')
    """

    target_names: tuple[str, ...]
    bias_names: tuple[str, ...]
    aligned: tuple[tuple[int, int], ...] = ()
    multi_label: bool = False

    def __post_init__(self) -> None:
        if self.count > MOST_GROUPS:
            raise InputError(
                f"{self.rows:,} target rows and {self.biases:,} bias values make {self.count:,} "
                f"groups, more than {MOST_GROUPS:,}: number classes and bias values from 0 without "
                "gaps, or take another column"
            )
        for name in (*self.target_names, *self.bias_names):
            check_printable("class or bias value", name)
        if len(set(self.names)) < self.count:
            raise InputError(
                f"two groups have the same name among {shown(self.names)}: rename a class or bias"
            )
        if self.multi_label and self.rows % 2:
            raise InputError(
                "target names of several labels must be pairs, absent and present; got "
                f"{self.target_names}"
            )
        outside = [
            pair
            for pair in self.aligned
            if not (0 <= pair[0] < self.rows and 0 <= pair[1] < self.biases)
        ]
        if outside:
            raise InputError(
                f"aligned pairs must lie within {self.rows} targets and {self.biases} biases; got "
                f"{outside}"
            )

    @property
    def rows(self) -> int:
        """The number of target values: one per class, or two (absent, present) per label."""
        return len(self.target_names)

    @property
    def biases(self) -> int:
        """The number of values of the bias attribute."""
        return len(self.bias_names)

    @property
    def count(self) -> int:
        """The number of groups."""
        return self.rows * self.biases

    @property
    def outputs(self) -> int:
        """The number of logits of a classifier: one per class, or one per label."""
        return self.rows // 2 if self.multi_label else self.rows

    @property
    def names(self) -> tuple[str, ...]:
        """One name per group, in the order of ``encode``."""
        return tuple(f"{target}-{bias}" for target in self.target_names for bias in self.bias_names)

    def check_single_label(self, of: str) -> None:
        """Refuse multi-label targets, for a component that needs one class per sample.

        Args:
            of: name of the component, such as ``GroupDRO``.

        Raises:
            InputError: ``multi_label`` is true; the message names the component.
        """
        if self.multi_label:
            raise InputError(
                f"{of} needs one class per sample: name a single target, not several labels"
            )

    @property
    def classes(self) -> Groups:
        """The same targets with a single bias value, so that each group is one target row."""
        return Groups(self.target_names, ("all images",), (), self.multi_label)

    def row(self, target: Tensor) -> Tensor:
        """Target row of each sample.

        Args:
            target: ``(N,)`` class indices, which are the rows; or ``(N, L)`` 0/1 labels, whose rows
                are ``2 * label + target``.
        """
        if not self.multi_label:
            return target
        return target + 2 * torch.arange(self.outputs, device=target.device)

    def encode(self, target: Tensor, bias: Tensor) -> Tensor:
        """Group of each sample, or -1 if its bias is unknown.

        Args:
            target: ``(N,)`` int64 in [0, rows), or ``(N, L)`` int64 0/1 when multi-label.
            bias: ``(N,)`` int64 in [0, biases), or -1.

        Returns:
            int64 in [-1, count), of the shape of ``target``.
        """
        bias = bias.reshape(bias.shape + (1,) * (target.ndim - bias.ndim))
        return torch.where(bias < 0, -1, self.row(target) * self.biases + bias)

    def frequencies(self, target: Tensor, bias: Tensor) -> Tensor:
        """``(count,)`` int64: the number of samples in each group."""
        group = self.encode(target, bias).flatten()
        return torch.bincount(group[group >= 0], minlength=self.count)

    def predict(self, logits: Tensor) -> Tensor:
        """Predictions from logits: ``(N,)`` classes, or ``(N, L)`` 0/1 labels if multi-label."""
        return (logits > 0).long() if self.multi_label else logits.argmax(dim=1)
