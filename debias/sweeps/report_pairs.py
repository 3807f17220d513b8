"""Which methods of a sweep differ in the worst group, on the same images and seeds."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.uncertainty import (
    holm,
    percentile_interval,
    resampled_worst_group_difference,
    two_sided_p_value,
    worst_group_difference,
)
from debias.reports.comparison import ComparedMethod
from debias.reports.predictions import read
from debias.reports.record import Report

#: More methods than these, the best, are not compared with each other: the pairs would be too many
#: to tell apart.
MOST_METHODS = 8
#: Holm's p-value below which a difference counts as real.
LEVEL = 0.05


class Pair(NamedTuple):
    """Two methods, and what the first is ahead of the second on its worst group.

    Args:
        first: label of the one with the better mean.
        second: label of the other.
        seeds: that both have.
        differences: of the worst-group accuracies, seed by seed.
        low: end of the 95 % bootstrap interval of their mean.
        high: its other end.
        p_value: that the sign is chance, adjusted by Holm's method for all pairs.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    low: float
    high: float
    p_value: float

    @property
    def difference(self) -> float:
        """Mean over the seeds."""
        return sum(self.differences) / len(self.differences)

    @property
    def real(self) -> bool:
        """Whether there are several seeds and, over all the pairs, p is below ``LEVEL``."""
        return len(self.seeds) > 1 and self.p_value < LEVEL


class Paired(NamedTuple):
    """Every pair that could be compared, and a line for whatever could not."""

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]


class Outcomes(NamedTuple):
    """A run's N test images: paths, ``(N,)`` rows, groups, and whether each is right."""

    paths: tuple[str, ...]
    image: Tensor
    group: Tensor
    right: Tensor


def compare_pairs(methods: Sequence[ComparedMethod], generator: torch.Generator) -> Paired:
    """Compare all pairs of methods by ``resampled_worst_group_difference`` on their test images.

    Args:
        methods: best first; of more than ``MOST_METHODS`` the rest is left out.
        generator: source of randomness, on the CPU.

    Returns:
        The pairs, in the order of the methods. Left out are runs without predictions or of several
        labels, and pairs without a common seed or of other test images.
    """
    left_out = [f"not compared in pairs: {method.label}" for method in methods[MOST_METHODS:]]
    found = {method.label: _outcomes(method, left_out) for method in methods[:MOST_METHODS]}
    pairs: list[Pair] = []
    for (first, ours), (second, theirs) in itertools.combinations(found.items(), 2):
        shared = {seed: (ours[seed], theirs[seed]) for seed in ours if seed in theirs}
        if shared and _same_images([run for both in shared.values() for run in both]):
            pairs.append(_pair(first, second, shared, generator))
        elif ours and theirs:
            left_out.append(
                f"not compared: {first} and {second} have no seed in common, or other test images"
            )
    adjusted = holm(torch.tensor([pair.p_value for pair in pairs], dtype=torch.float64)).tolist()
    found_pairs = zip(pairs, adjusted, strict=True)
    return Paired(
        tuple(pair._replace(p_value=value) for pair, value in found_pairs), tuple(left_out)
    )


def _pair(
    first: str,
    second: str,
    shared: Mapping[int, tuple[Outcomes, Outcomes]],
    generator: torch.Generator,
) -> Pair:
    """Of two methods; its p-value is its own, not yet adjusted for the other pairs."""
    ours, theirs = (torch.stack([both[side].right for both in shared.values()]) for side in (0, 1))
    group = next(iter(shared.values()))[0].group
    drawn = resampled_worst_group_difference(ours, theirs, group, generator=generator)
    low, high = (float(end) for end in percentile_interval(drawn))
    differences = tuple(worst_group_difference(ours, theirs, group).tolist())
    p_value = float(two_sided_p_value(drawn))
    return Pair(first, second, tuple(shared), differences, low, high, p_value)


def _outcomes(method: ComparedMethod, left_out: list[str]) -> dict[int, Outcomes]:
    found = {}
    for run in method.runs:
        try:
            found[run.seed] = _read(run, method.label)
        except InputError as error:
            left_out.append(f"not compared in pairs: {error}")
    return found


def _read(run: Report, label: str) -> Outcomes:
    """The outcomes of a run.

    Raises:
        InputError: it has several labels, or no predictions that can be read.
    """
    path = run.folder / "predictions" / "test.csv"
    if not path.is_file():
        raise InputError(f"{label} seed {run.seed} has no {path.name}")
    if run.data.multi_label:
        raise InputError(f"{label} seed {run.seed} has several labels")
    rows = read(path)
    right = rows.prediction(run.groups) == rows.target
    group = run.groups.encode(rows.target, rows.bias)
    # without any known bias, the classes are compared
    group = rows.target if bool((group < 0).all()) else group
    return Outcomes(tuple(rows.paths), rows.index, group, right)


def _same_images(runs: Sequence[Outcomes]) -> bool:
    first = runs[0]
    return all(
        run.paths == first.paths
        and torch.equal(first.image, run.image)
        and torch.equal(first.group, run.group)
        for run in runs
    )
