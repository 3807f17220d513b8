"""The core types of the package: a batch, a model's outputs, a loss, a turn, the groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

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
        views: augmented copies of the same samples, for a strategy that compares them, or ``None``.
    """

    image: Tensor
    target: Tensor
    bias: Tensor
    index: Tensor  # type: ignore[assignment]
    mask: Tensor | None = None
    weight: Tensor | None = None
    background: Tensor | None = None
    views: tuple[Batch, ...] | None = None


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


class Attribute(NamedTuple):
    """One of several bias attributes.

    Attributes:
        name: its name, such as the name of its column.
        values: the names of its values.
        aligned: the (target, value) pairs that this shortcut favours; empty if it favours none, or
            if they are unknown.
    """

    name: str
    values: tuple[str, ...]
    aligned: tuple[tuple[int, int], ...] = ()


class ContextPair(NamedTuple):
    """A label and a second label that is its usual context, by their positions among the labels."""

    label: int
    context: int


@dataclass(frozen=True)
class Groups:
    """The groups, which are pairs (target, bias); a group has the number ``row * biases + bias``.

    A row is a target class. With several labels, an image has one row per label, which is
    ``2 * label + target``. With several bias attributes, a bias value is a combination of their
    values; see :meth:`product`. No other code numbers groups.

    Args:
        target_names: one name per row. Multi-label: a pair per label, absent first
            (``("not Smiling", "Smiling", "not Blond_Hair", "Blond_Hair")``).
        bias_names: one name per value of the bias attribute.
        aligned: the bias-aligned (target, bias) pairs, if they are known.
        multi_label: whether targets are ``(N, L)`` 0/1.
        attributes: the attributes whose combinations the bias values are. The first one varies
            slowest. Empty if there is only one attribute.
        contexts: the pairs (label, context), if they are known. The label nearly always occurs
            with its context. Both are positions of labels; see
            :class:`ContextPair`.

    Raises:
        ValueError: more than ``MOST_GROUPS`` groups, two groups of the same name, a label without
            its pair of names, an aligned pair out of range, or ``attributes`` that do not have
            different names and one combination per bias value.

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
    attributes: tuple[Attribute, ...] = ()
    contexts: tuple[ContextPair, ...] = ()

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
        if self.attributes:
            _check_attributes(self.attributes, self.biases)

    @classmethod
    def product(
        cls,
        target_names: Sequence[str],
        attributes: Sequence[Attribute],
        *,
        multi_label: bool = False,
    ) -> Groups:
        """The groups of several bias attributes. Each combination of their values is a bias value.

        A bias value is named after its combination, as in "urban & country". If attributes share a
        value, or have numbers as values, the name is "bg=urban & object=country". A (target, bias)
        pair is aligned if it is aligned in every attribute that has aligned pairs. One attribute
        alone gives the plain groups of its values.

        Args:
            target_names: as for :class:`Groups`.
            attributes: at least one attribute. The first one varies slowest.
            multi_label: as for :class:`Groups`.

        Raises:
            ValueError: as for :class:`Groups`.

        Example:
            >>> size, place = Attribute("size", ("big", "small")), Attribute("place", ("in", "out"))
            >>> groups = Groups.product(("cat", "dog"), (size, place))
            >>> groups.bias_names
            ('big & in', 'big & out', 'small & in', 'small & out')
            >>> groups.decode(torch.tensor([2, -1])).tolist()
            [[1, 0], [-1, -1]]
        """
        if len(attributes) == 1:
            (only,) = attributes
            return cls(tuple(target_names), only.values, only.aligned, multi_label)
        sizes = [len(target_names), *(len(attribute.values) for attribute in attributes)]
        if math.prod(sizes) > MOST_GROUPS:
            columns = [f"{len(each.values):,} values of {each.name}" for each in attributes]
            raise InputError(
                f"{' x '.join([f'{sizes[0]:,} target rows', *columns])} make {math.prod(sizes):,} "
                f"groups, more than {MOST_GROUPS:,}: take fewer bias attributes, or merge values"
            )
        names, aligned = _combinations(attributes), _aligned(sizes, attributes)
        return cls(tuple(target_names), names, aligned, multi_label, tuple(attributes))

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
    def label_names(self) -> tuple[str, ...]:
        """One name per label; only for multi-label targets."""
        return self.target_names[1::2]

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

    def check_several_labels(self, of: str) -> None:
        """Refuse targets of one class per sample, for a component that needs several labels.

        Args:
            of: name of the component, such as ``ContextCAM``.

        Raises:
            InputError: ``multi_label`` is false; the message names the component.
        """
        if not self.multi_label:
            raise InputError(
                f"{of} needs several labels per image, and the data has one class: name several "
                "targets, or take another method"
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

    def combine(self, values: Tensor) -> Tensor:
        """Bias value of each combination of attribute values, or -1 if one of them is unknown.

        Args:
            values: ``(N, A)`` int64 value of each attribute, or -1.

        Returns:
            ``(N,)`` int64 in [-1, biases).
        """
        combined = values[:, 0]
        for position, attribute in enumerate(self.attributes[1:], start=1):
            combined = combined * len(attribute.values) + values[:, position]
        return torch.where((values < 0).any(dim=1), -1, combined)

    def decode(self, bias: Tensor) -> Tensor:
        """Value of each attribute of each sample, or -1 if its bias is unknown.

        Args:
            bias: ``(N,)`` int64 in [0, biases), or -1.

        Returns:
            ``(N, A)`` int64, the inverse of :meth:`combine`. One column without ``attributes``.
        """
        rest, columns = bias, []
        for attribute in self.attributes[:0:-1]:
            columns.append(rest % len(attribute.values))
            rest = rest // len(attribute.values)
        values = torch.stack([rest, *columns[::-1]], dim=1)
        return torch.where(bias[:, None] < 0, -1, values)

    def alone(self, position: int) -> Groups:
        """The groups of one attribute, by its position in ``attributes``."""
        return Groups.product(
            self.target_names, (self.attributes[position],), multi_label=self.multi_label
        )

    def marginal(self, counts: Tensor, position: int) -> Tensor:
        """Sum counts of the groups to the groups of one attribute.

        Args:
            counts: ``(..., count)`` numbers of the groups.
            position: position of the attribute in ``attributes``.

        Returns:
            ``(..., alone(position).count)``.
        """
        sizes = [len(attribute.values) for attribute in self.attributes]
        before, after = math.prod(sizes[:position]), math.prod(sizes[position + 1 :])
        cells = counts.reshape(*counts.shape[:-1], self.rows, before, sizes[position], after)
        return cells.sum(dim=(-3, -1)).flatten(-2)

    def frequencies(self, target: Tensor, bias: Tensor) -> Tensor:
        """``(count,)`` int64: the number of samples in each group."""
        group = self.encode(target, bias).flatten()
        return torch.bincount(group[group >= 0], minlength=self.count)

    def predict(self, logits: Tensor) -> Tensor:
        """Predictions from logits: ``(N,)`` classes, or ``(N, L)`` 0/1 labels if multi-label."""
        return (logits > 0).long() if self.multi_label else logits.argmax(dim=1)


def _check_attributes(attributes: Sequence[Attribute], biases: int) -> None:
    """Check that attributes have different names, and one combination per bias value."""
    names = [attribute.name for attribute in attributes]
    for name in names:
        check_printable("bias attribute", name)
    if len(set(names)) < len(names):
        raise InputError(f"bias attributes must have different names; got {shown(names)}")
    if (product := math.prod(len(attribute.values) for attribute in attributes)) != biases:
        raise InputError(
            f"the attributes {shown(names)} have {product:,} combinations of values, and there are "
            f"{biases:,} bias values: use Groups.product"
        )


def _combinations(attributes: Sequence[Attribute]) -> tuple[str, ...]:
    """The name of each combination of values, with the names of attributes if values need them."""
    every = [value for attribute in attributes for value in attribute.values]
    clear = len(set(every)) == len(every) and not any(map(str.isdecimal, every))
    texts = [
        [value if clear else f"{attribute.name}={value}" for value in attribute.values]
        for attribute in attributes
    ]
    return tuple(map(" & ".join, itertools.product(*texts)))


def _aligned(sizes: Sequence[int], attributes: Sequence[Attribute]) -> tuple[tuple[int, int], ...]:
    """The (target, combination) pairs that are aligned in every attribute with aligned pairs."""
    favoured = [place for place, attribute in enumerate(attributes) if attribute.aligned]
    if not favoured:
        return ()
    mask = torch.ones(*sizes, dtype=torch.bool)
    for place in favoured:
        pairs = torch.zeros(sizes[0], sizes[place + 1], dtype=torch.bool)
        pairs[tuple(torch.tensor(attributes[place].aligned).T)] = True
        mask &= pairs.view(
            sizes[0], *(sizes[place + 1] if at == place else 1 for at in range(len(attributes)))
        )
    return tuple((target, bias) for target, bias in mask.flatten(1).nonzero().tolist())


class Observed(NamedTuple):
    """One value of every training sample, measured after an epoch, sorted by row.

    Attributes:
        index: ``(N,)`` int64 rows of the data set, in increasing order.
        target: ``(N,)`` int64 class of each row, or ``(N, L)`` if multi-label.
        bias: ``(N,)`` int64 bias value of each row, as in :class:`Batch`.
        values: ``(N,)`` float, what :meth:`Observer.measure` returned.
    """

    index: Tensor  # type: ignore[assignment]
    target: Tensor
    bias: Tensor
    values: Tensor


@runtime_checkable
class Observer(Protocol):
    """A strategy or an order that reads one value of every training sample after each epoch.

    :func:`debias.strategies.observing.observe` calls both methods. Whatever an observer keeps must
    be in its state, so that a resumed run continues with it.
    """

    def measure(self, model: nn.Module, batch: Batch) -> Tensor:
        """``(N,)`` float value of each sample, in evaluation mode and without gradient.

        Args:
            model: maps images to the :class:`Outputs` that evaluation uses.
            batch: a batch of training samples, as evaluation sees them.
        """

    def observe(self, seen: Observed) -> None:
        """Read the values of all training samples, which are the same in every process."""
