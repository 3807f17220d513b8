"""The nouns of every other module: a batch, a model's outputs, a loss, a turn, the groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_printable, shown

#: Every metric holds some numbers of each group, and every report a row.
MOST_GROUPS = 1_000_000


class Batch(NamedTuple):
    """One batch of images; ``None`` fields survive collation and device transfer.

    Attributes:
        image: ``(N, 3, H, W)`` float, normalised.
        target: ``(N,)`` int64 class index; ``(N, C)`` float class probabilities after mixing; or
            ``(N, L)`` int64 0/1 when multi-label.
        bias: ``(N,)`` int64 value of the bias attribute, or of the partition that stands in for it
            in training; -1 where unknown.
        index: ``(N,)`` int64 row in the data set, for per-sample state.
        mask: ``(N, 1, H, W)`` float foreground in [0, 1], or ``None``.
        weight: ``(N,)`` float sample weight, or ``None``; read where a strategy's loss is a mean
            over samples, not where it weighs them, groups or environments itself. No data set of
            this package has it.
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
    """What a classifier returns: ``(N, C)`` logits and the ``(N, D)`` features its head read."""

    logits: Tensor
    features: Tensor


class Loss(NamedTuple):
    """A scalar to minimise, and the detached terms to log (scalars, or one value per group).

    ``weights`` says how much a term counts in the total at this step, for each term that a method
    adds to the task's loss and that does nothing where it is numerically zero. Training then warns.
    """

    total: Tensor
    terms: dict[str, Tensor]
    weights: Mapping[str, float] = MappingProxyType({})


class Turn(NamedTuple):
    """Who moves at this step, and on what objective, which is called when the turn comes."""

    player: str
    objective: Callable[[nn.Module, Batch], Loss]


@dataclass(frozen=True)
class Groups:
    """The groups (target, bias), and the only place that numbers them:
    ``group = row * biases + bias``.

    A row is a target class; with several labels an image has one row per label,
    ``2 * label + target``.

    Args:
        target_names: one name per row. Multi-label: a pair per label, absent first
            (``("not Smiling", "Smiling", "not Blond_Hair", "Blond_Hair")``).
        bias_names: one name per value of the bias attribute.
        aligned: the (target, bias) pairs that the shortcut favours, where these are known.
        multi_label: whether targets are ``(N, L)`` 0/1.

    Raises:
        ValueError: more than ``MOST_GROUPS`` groups, two of the same name, a label without its pair
            of names, or an aligned pair out of range.

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
                "several labels need a pair of names each, absent and present; got "
                f"{self.target_names}"
            )
        outside = [
            pair
            for pair in self.aligned
            if not (0 <= pair[0] < self.rows and 0 <= pair[1] < self.biases)
        ]
        if outside:
            raise InputError(
                f"aligned pairs {outside} lie outside {self.rows} targets and {self.biases} biases"
            )

    @property
    def rows(self) -> int:
        """How many target rows there are: classes, or two per label."""
        return len(self.target_names)

    @property
    def biases(self) -> int:
        """How many values the bias attribute has."""
        return len(self.bias_names)

    @property
    def count(self) -> int:
        """How many groups there are."""
        return self.rows * self.biases

    @property
    def outputs(self) -> int:
        """How many logits a classifier of these targets has: classes, or labels."""
        return self.rows // 2 if self.multi_label else self.rows

    @property
    def names(self) -> tuple[str, ...]:
        """One name per group, in the order of ``encode``."""
        return tuple(f"{target}-{bias}" for target in self.target_names for bias in self.bias_names)

    def check_single_label(self, of: str) -> None:
        """Refuse multi-label targets for what needs one class per sample.

        Args:
            of: what needs it, such as ``GroupDRO``.

        Raises:
            InputError: naming it.
        """
        if self.multi_label:
            raise InputError(
                f"{of} needs one class per sample: name a single target, not several labels"
            )

    @property
    def classes(self) -> Groups:
        """The same targets with one bias value, so that each group is a target row."""
        return Groups(self.target_names, ("all images",), (), self.multi_label)

    def row(self, target: Tensor) -> Tensor:
        """Row of each target: ``(N,)`` class indices as they are, ``(N, L)`` 0/1 labels as
        ``2 * label + target``.
        """
        if not self.multi_label:
            return target
        return target + 2 * torch.arange(self.outputs, device=target.device)

    def encode(self, target: Tensor, bias: Tensor) -> Tensor:
        """Group of each sample, -1 where the bias is unknown.

        Args:
            target: ``(N,)`` int64 in [0, rows), or ``(N, L)`` int64 0/1 when multi-label.
            bias: ``(N,)`` int64 in [0, biases), or -1.

        Returns:
            int64 in [-1, count), of the shape of ``target``.
        """
        bias = bias.reshape(bias.shape + (1,) * (target.ndim - bias.ndim))
        return torch.where(bias < 0, -1, self.row(target) * self.biases + bias)

    def frequencies(self, target: Tensor, bias: Tensor) -> Tensor:
        """``(count,)`` int64: how many samples each group has."""
        group = self.encode(target, bias).flatten()
        return torch.bincount(group[group >= 0], minlength=self.count)

    def predict(self, logits: Tensor) -> Tensor:
        """What logits choose: ``(N,)`` classes, or ``(N, L)`` 0/1 labels if multi-label."""
        return (logits > 0).long() if self.multi_label else logits.argmax(dim=1)
