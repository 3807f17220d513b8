"""Draws of splits that depend on names and a seed alone, not on the order of rows or files."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import torch
from torch import Tensor

#: A split has at most this multiple of its share of a class, so that small groups, which have at
#: least one row in each split, do not change the sizes of the splits by much.
MOST = 1.5


def draw_splits(
    names: Sequence[str],
    target: Tensor,
    bias: Tensor,
    *,
    shares: Sequence[float],
    units: Sequence[str] | None = None,
    seed: int = 0,
) -> Tensor:
    """Draw the split of each row, stratified by group.

    The rows of a group are dealt in random order, one to each split, and each further one to the
    split that is furthest behind its share of the group. With many small groups, the splits that
    have ``MOST`` times their share of the class get no more.

    Args:
        names: N different names, which together with the seed give the order.
        target: ``(N,)`` or ``(N, L)`` int64 labels.
        bias: ``(N,)`` int64 bias values; -1 counts as a value of its own.
        shares: the share of each split. A split with the share 0 gets no rows.
        units: N texts. Rows with the same text are in the same split, and are dealt with the rarest
            of their groups. A row with an empty text is a unit of its own.
        seed: another seed gives another order.

    Returns:
        ``(N,)`` int64 positions in ``shares``.
    """
    classes = _numbers(target)
    groups = (torch.tensor(classes) * (int(bias.max()) + 2) + bias + 1).tolist()
    dealt = _Dealt(shares, groups, classes)
    split = [0] * len(names)
    for units_of_group in _by_group(groups, _units(names, units)):
        order = sorted(units_of_group, key=lambda rows: _key(seed, names, units, rows))
        outright = dealt.outright(order)
        for place, rows in enumerate(order):
            chosen = outright[place] if place < len(outright) else dealt.furthest_behind(rows)
            for row in rows:
                split[row] = chosen
                dealt.add(row, chosen)
    return torch.tensor(split, dtype=torch.int64)


def random_key(seed: int, name: str) -> bytes:
    """A key that sorts names in a random order, which depends on the seed."""
    return blake2b(f"{seed} {name}".encode(errors="backslashreplace"), digest_size=16).digest()


class _Dealt:
    """How many rows of each group and class every split has.

    Args:
        shares: the share of each split.
        groups: the group of each row.
        classes: the class of each row.
    """

    def __init__(
        self, shares: Sequence[float], groups: Sequence[int], classes: Sequence[int]
    ) -> None:
        self.shares = [(split, share) for split, share in enumerate(shares) if share > 0]
        self.shares.sort(key=lambda pair: -pair[1])
        self.group_of, self.class_of = groups, classes
        sizes = Counter(classes)
        self.most = {
            label: [math.ceil(MOST * n * share) for share in shares] for label, n in sizes.items()
        }
        self.groups = {group: [0] * len(shares) for group in set(groups)}
        self.classes = {label: [0] * len(shares) for label in sizes}

    def outright(self, units: Sequence[Sequence[int]]) -> list[int]:
        """The splits of the first units of a group: whole shares, if each split has one.

        It saves nearly all comparisons of large groups. Units of several rows have none.
        """
        whole = [(split, math.floor(share * len(units))) for split, share in self.shares]
        begun = any(self.groups[self.group_of[units[0][0]]])
        if begun or any(len(rows) > 1 for rows in units) or not all(count for _, count in whole):
            return []
        return [split for split, count in whole for _ in range(count)]

    def furthest_behind(self, rows: Sequence[int]) -> int:
        """The split with the smallest part of its share of a unit's group, then of its class.

        A split without any row of the group comes first.
        """
        of_group, label = self.groups[self.group_of[rows[0]]], self.class_of[rows[0]]
        of_class, most = self.classes[label], self.most[label]
        return min(
            self.shares,
            key=lambda pair: (
                of_class[pair[0]] >= most[pair[0]],
                (of_group[pair[0]] + 0.5) / pair[1] if of_group[pair[0]] else 0,  # Sainte-Laguë
                of_class[pair[0]] / pair[1],
            ),
        )[0]

    def add(self, row: int, split: int) -> None:
        """Count a row."""
        self.groups[self.group_of[row]][split] += 1
        self.classes[self.class_of[row]][split] += 1


def _numbers(target: Tensor) -> list[int]:
    """One number per class, or per combination of several labels."""
    every = target if target.ndim == 1 else torch.unique(target, dim=0, return_inverse=True)[1]
    numbers: list[int] = every.tolist()
    return numbers


def _units(names: Sequence[str], units: Sequence[str] | None) -> Iterable[list[int]]:
    """The rows of each unit."""
    if units is None:
        return ([row] for row in range(len(names)))
    members: dict[str | int, list[int]] = {}
    for row, unit in enumerate(units):
        members.setdefault(unit or row, []).append(row)
    return members.values()


def _by_group(groups: Sequence[int], units: Iterable[list[int]]) -> Iterator[list[list[int]]]:
    """The units by the rarest of their groups, largest group first. A row of it comes first."""
    sizes = Counter(groups)
    rank = {group: place for place, group in enumerate(sorted(sizes, key=lambda g: (-sizes[g], g)))}
    found: list[list[list[int]]] = [[] for _ in rank]
    for rows in units:
        rows.sort(key=lambda row: -rank[groups[row]])
        found[rank[groups[rows[0]]]].append(rows)
    return filter(None, found)


def _key(
    seed: int, names: Sequence[str], units: Sequence[str] | None, rows: Sequence[int]
) -> tuple[int, bytes]:
    """Large units first, then in random order."""
    unit = units[rows[0]] if units is not None else ""
    return -len(rows), random_key(seed, f"unit {unit}" if unit else f"row {names[rows[0]]}")
