"""Test which methods of a sweep differ in worst-group accuracy, on the same images and seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from debias.errors import InputError, shown
from debias.reports.comparison import ComparedMethod
from debias.reports.record import Report

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Only this many of the best methods are compared: with more pairs, Holm's adjustment would hide
#: most differences.
MOST_METHODS = 8
#: Of the others, the report names this many.
MOST_NAMED = 20
#: A difference counts as real if its adjusted p-value is below this.
LEVEL = 0.05


class Pair(NamedTuple):
    """Two methods, and the difference of their worst-group accuracies (first minus second).

    Args:
        first: label of the method with the better mean.
        second: label of the other method.
        seeds: the seeds that both methods have.
        differences: the difference for each seed.
        low: lower end of the 95 % bootstrap interval of the mean difference.
        high: upper end of this interval.
        p_value: two-sided p-value of the difference, adjusted for all pairs by Holm's method.
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
        """Mean difference of the worst-group accuracies over the seeds."""
        return sum(self.differences) / len(self.differences)

    @property
    def real(self) -> bool:
        """Whether there are several seeds and the adjusted p-value is below ``LEVEL``."""
        return len(self.seeds) > 1 and self.p_value < LEVEL


class Paired(NamedTuple):
    """The compared pairs of methods, and one line for each method, run or pair left out."""

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]


class Outcomes(NamedTuple):
    """The N test images of a run: paths, ``(N,)`` rows in the data set, groups, and correctness."""

    paths: tuple[str, ...]
    image: Tensor
    group: Tensor
    right: Tensor


def compare_pairs(
    methods: Sequence[ComparedMethod], generator: Callable[[], torch.Generator]
) -> Paired:
    """Compare all pairs of methods by ``resampled_worst_group_difference`` on their test images.

    Args:
        methods: the methods, best first. Those after the first ``MOST_METHODS`` are left out.
        generator: returns the random generator of the bootstrap, on the CPU. It is not called if
            no pair can be compared.

    Returns:
        The pairs, in the order of the methods. Runs without predictions and multi-label runs are
        left out, and so are pairs without a common seed or with different test images.
    """
    rest = shown([method.label for method in methods[MOST_METHODS:]], MOST_NAMED)
    beyond = f"not compared in pairs, as not among the best {MOST_METHODS}: {rest}"
    left_out = [beyond] if rest else []
    outcomes = {method.label: _outcomes(method, left_out) for method in methods[:MOST_METHODS]}
    pairs: list[Pair] = []
    for (first, ours), (second, theirs) in itertools.combinations(outcomes.items(), 2):
        shared = {seed: (ours[seed], theirs[seed]) for seed in ours if seed in theirs}
        if shared and _same_images([run for both in shared.values() for run in both]):
            pairs.append(_pair(first, second, shared, generator()))
        elif ours and theirs:
            left_out.append(
                f"not compared: {first} and {second} share no seed, or have different test images"
            )
    return Paired(tuple(_adjusted(pairs) if pairs else ()), tuple(left_out))


def _adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with p-values adjusted for all of them."""
    import torch

    from debias.metrics.accuracy.uncertainty import holm

    p_values = torch.tensor([pair.p_value for pair in pairs], dtype=torch.float64)
    adjusted = zip(pairs, holm(p_values).tolist(), strict=True)
    return [pair._replace(p_value=value) for pair, value in adjusted]


def _pair(
    first: str,
    second: str,
    shared: Mapping[int, tuple[Outcomes, Outcomes]],
    generator: torch.Generator,
) -> Pair:
    """Compare two methods. The p-value is not yet adjusted for the other pairs."""
    import torch

    from debias.metrics.accuracy import uncertainty

    ours, theirs = (torch.stack([both[side].right for both in shared.values()]) for side in (0, 1))
    group = next(iter(shared.values()))[0].group
    drawn = uncertainty.resampled_worst_group_difference(ours, theirs, group, generator=generator)
    low, high = (float(end) for end in uncertainty.percentile_interval(drawn))
    differences = tuple(uncertainty.worst_group_difference(ours, theirs, group).tolist())
    p_value = float(uncertainty.two_sided_p_value(drawn))
    return Pair(first, second, tuple(shared), differences, low, high, p_value)


def _outcomes(method: ComparedMethod, left_out: list[str]) -> dict[int, Outcomes]:
    by_seed = {}
    for run in method.runs:
        try:
            by_seed[run.seed] = _read(run, method.label)
        except InputError as error:
            left_out.append(f"not compared in pairs: {error}")
    return by_seed


def _read(run: Report, label: str) -> Outcomes:
    """Read the outcomes of a run from its test predictions.

    Raises:
        InputError: the run is multi-label, or its ``predictions/test.csv`` is missing or damaged.
    """
    path = run.folder / "predictions" / "test.csv"
    if not path.is_file():
        raise InputError(f"{label} seed {run.seed} has no {path.name}")
    if run.data.multi_label:
        raise InputError(f"{label} seed {run.seed} has several labels")
    from debias.reports.predictions import read  # imports torch

    rows = read(path)
    right = rows.prediction(run.groups) == rows.target
    group = run.groups.encode(rows.target, rows.bias)
    # without any bias label, the classes are compared
    group = rows.target if bool((group < 0).all()) else group
    return Outcomes(tuple(rows.paths), rows.index, group, right)


def _same_images(runs: Sequence[Outcomes]) -> bool:
    import torch

    first = runs[0]
    return all(
        run.paths == first.paths
        and torch.equal(first.image, run.image)
        and torch.equal(first.group, run.group)
        for run in runs
    )
