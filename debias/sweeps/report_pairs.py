"""Test which methods of a sweep differ in worst-group accuracy, on the same images and seeds."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from debias.csv_files import read_csv
from debias.errors import InputError, shown
from debias.metrics.accuracy.significance import (
    holm,
    resampled_mean_difference,
    resampled_worst_groups,
    two_sided_p_value,
    worst_group_difference,
)
from debias.reports.comparison import ComparedMethod
from debias.reports.record import Report
from debias.reports.wording import PREDICT_AGAIN

#: Only this many of the best methods are compared: with more pairs, Holm's adjustment would hide
#: most differences.
MOST_METHODS = 8
#: Of the others, the report names this many.
MOST_NAMED = 20
#: Columns of predictions.
INTEGERS = ("target", "bias", "prediction")
#: A difference counts as real if its adjusted p-value is below this.
LEVEL = 0.05
#: A difference may lie outside its interval by this much, from rounding.
ROUNDING = 1e-9


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
        """Whether there are several seeds, the adjusted p-value is below ``LEVEL``, and the
        difference lies in its interval.

        Resampling lowers the worst of many small groups of similar accuracy. If it lowers that of
        one method more, the interval may lie beside the difference, and p is too small.
        """
        inside = self.low - ROUNDING <= self.difference <= self.high + ROUNDING
        return len(self.seeds) > 1 and self.p_value < LEVEL and inside


class Paired(NamedTuple):
    """The compared pairs of methods, and one line for each method, run or pair left out."""

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]


class Outcomes(NamedTuple):
    """The N test images of a run: a digest of them and their groups, groups, and correctness."""

    images: str
    group: NDArray[np.int64]
    right: NDArray[np.bool_]


#: The runs of a method by their seeds.
BySeed: TypeAlias = Mapping[int, Outcomes]
#: Label of the method and seed of a run.
Key: TypeAlias = tuple[str, int]


class Shared(NamedTuple):
    """Labels of two methods, and the seeds of both."""

    first: str
    second: str
    seeds: tuple[int, ...]

    @property
    def sides(self) -> tuple[list[Key], list[Key]]:
        """The runs of each method."""
        first, second = ([(label, seed) for seed in self.seeds] for label in self[:2])
        return first, second


def compare_pairs(methods: Sequence[ComparedMethod], seed: int) -> Paired:
    """Compare all pairs of methods on the same resamples of their test images.

    Args:
        methods: the methods, best first. Those after the first ``MOST_METHODS`` are left out.
        seed: seed of the bootstrap.

    Returns:
        The pairs, in the order of the methods. Runs without predictions and multi-label runs are
        left out, and so are pairs without a common seed or with different test images.
    """
    rest = shown([method.label for method in methods[MOST_METHODS:]], MOST_NAMED)
    beyond = f"not compared in pairs, as not among the best {MOST_METHODS}: {rest}"
    left_out = [beyond] if rest else []
    outcomes = {method.label: _outcomes(method, left_out) for method in methods[:MOST_METHODS]}
    pairs: list[Shared] = []
    for (first, ours), (second, theirs) in itertools.combinations(outcomes.items(), 2):
        seeds = tuple(one for one in ours if one in theirs)
        if len({by_seed[one].images for by_seed in (ours, theirs) for one in seeds}) == 1:
            pairs.append(Shared(first, second, seeds))
        elif ours and theirs:
            left_out.append(
                f"not compared: {first} and {second} share no seed, or have different test images"
            )
    return Paired(tuple(_compared(pairs, outcomes, seed)), tuple(left_out))


def _compared(pairs: Sequence[Shared], outcomes: Mapping[str, BySeed], seed: int) -> list[Pair]:
    """The pairs, with p-values that are adjusted for all of them."""
    generator = np.random.default_rng(seed)
    runs = {run: outcomes[run[0]][run[1]] for pair in pairs for side in pair.sides for run in side}
    worst = _resampled(runs, generator)
    found = [_pair(pair, runs, worst, generator) for pair in pairs]
    adjusted = holm(np.array([pair.p_value for pair in found])).tolist()
    return [pair._replace(p_value=value) for pair, value in zip(found, adjusted, strict=True)]


def _pair(
    pair: Shared,
    runs: Mapping[Key, Outcomes],
    worst: Mapping[Key, NDArray[np.float64]],
    generator: np.random.Generator,
) -> Pair:
    """Compare two methods. The p-value is not yet adjusted for the other pairs."""
    ours, theirs = pair.sides
    first, second = (np.stack([worst[run] for run in side], axis=1) for side in pair.sides)
    drawn = resampled_mean_difference(first, second, generator=generator)
    right, other = (np.stack([runs[run].right for run in side]) for side in (ours, theirs))
    differences = worst_group_difference(right, other, runs[ours[0]].group).tolist()
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    p_value = two_sided_p_value(drawn)
    return Pair(pair.first, pair.second, pair.seeds, tuple(differences), low, high, p_value)


def _resampled(
    runs: Mapping[Key, Outcomes], generator: np.random.Generator
) -> dict[Key, NDArray[np.float64]]:
    """``(B,)`` worst-group accuracies of each run. Runs with the same images share resamples."""
    alike: dict[str, list[Key]] = {}
    for run, outcomes in runs.items():
        alike.setdefault(outcomes.images, []).append(run)
    worst: dict[Key, NDArray[np.float64]] = {}
    for same in alike.values():
        right = np.stack([runs[run].right for run in same])
        drawn = resampled_worst_groups(right, runs[same[0]].group, generator=generator)
        worst |= dict(zip(same, drawn.T, strict=True))
    return worst


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
    try:
        columns = read_csv(path, ("index", "path", *INTEGERS), exact=True)
        target, bias, prediction = (columns.integer_array(name) for name in INTEGERS)
    except InputError as error:
        raise InputError(f"{error}; {PREDICT_AGAIN}") from None
    group = np.where(bias < 0, -1, target * len(run.data.biases) + bias)
    # without any bias label, the classes are compared
    group = group if (group >= 0).any() else target
    images = hashlib.sha256(repr((columns.cells["index"], columns.cells["path"])).encode())
    images.update(group.tobytes())
    return Outcomes(images.hexdigest(), group, prediction == target)
