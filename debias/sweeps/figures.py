"""The figures of published tables, and how each is read from a finished run."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch

from debias.metrics.accuracy.scalars import mean_accuracy
from debias.reports.record import Report
from debias.sweeps.reproducing.epochs_on_test import epochs_on_test


class Figure(NamedTuple):
    """A figure of published tables.

    Attributes:
        title: its name in tables.
        read: returns it as a fraction of 1, or ``None`` if the run does not have it.
    """

    title: str
    read: Callable[[Report], float | None]


def tested(report: Report, *, key: str) -> float | None:
    """A number of the test split, at the selected epoch."""
    return report.test.scalars.get(key)


def trained(report: Report, *, key: str) -> float | None:
    """A number of the training split, at the selected epoch."""
    return report.train.scalars.get(key)


def best_epoch(report: Report, *, key: str) -> float | None:
    """The greatest test number over all epochs: selection by test, as some papers do.

    It is an upper bound of what any rule can select, and no result.

    Returns:
        ``None`` if the test numbers of the epochs are unknown, see :func:`epochs_on_test`.
    """
    values = [value for epoch in epochs_on_test(report) if (value := epoch.get(key)) is not None]
    return max(values, default=None)


def of_first_bias(report: Report) -> float | None:
    """Accuracy of the test images with the first bias value, such as pictures without a mark."""
    cells = [cell for cell in report.test.groups[:: len(report.data.biases)] if cell.count]
    right = sum(cell.count * (cell.accuracy or 0.0) for cell in cells)
    return right / sum(cell.count for cell in cells) if cells else None


def subset(report: Report, *, conflicting: tuple[bool, ...]) -> float | None:
    """Mean accuracy of the test groups that conflict with exactly some of the bias attributes.

    Args:
        report: the record of a run with several bias attributes.
        conflicting: for each attribute, whether the groups conflict with its shortcut.

    Returns:
        ``None`` if the run has another number of attributes, or no such group has images.
    """
    attributes, biases = report.data.attributes, len(report.data.biases)
    if len(attributes) != len(conflicting):
        return None
    accuracies = [
        torch.nan if cell.accuracy is None else cell.accuracy for cell in report.test.groups
    ]
    group = torch.arange(len(accuracies))
    target, values = group // biases, report.groups.decode(group % biases)
    chosen = torch.ones(len(group), dtype=torch.bool)
    for i, attribute in enumerate(attributes):
        aligned = {(pair[0], pair[1]) for pair in attribute.aligned}
        pairs = zip(target.tolist(), values[:, i].tolist(), strict=True)
        conflicts = torch.tensor([pair not in aligned for pair in pairs])
        chosen &= conflicts == conflicting[i]
    mean = mean_accuracy(torch.tensor(accuracies), chosen).item()
    return None if mean != mean else mean


def mean_of_subsets(report: Report) -> float | None:
    """Mean of the four subsets of two bias attributes."""
    pairs = [(a, b) for a in (False, True) for b in (False, True)]
    means = [subset(report, conflicting=pair) for pair in pairs]
    defined = [mean for mean in means if mean is not None]
    return sum(defined) / len(defined) if defined else None


def _of(title: str, read: Callable[..., float | None], key: str) -> Figure:
    return Figure(title, partial(read, key=key))


def _subset(first: bool, second: bool) -> Figure:
    words = [("conflicting" if one else "aligned") for one in (first, second)]
    return Figure(" and ".join(words), partial(subset, conflicting=(first, second)))


#: The column ``metric`` of ``published.csv``: each figure by its name. Accuracies are of the test
#: split at the selected epoch, unless the title says otherwise.
FIGURES: Mapping[str, Figure] = {
    "average": _of("average", tested, "average"),
    "worst_group": _of("worst group", tested, "worst_group"),
    "group_balanced": _of("mean over groups", tested, "group_balanced"),
    "bias_aligned": _of("aligned groups", tested, "bias_aligned"),
    "bias_conflicting": _of("conflicting groups", tested, "bias_conflicting"),
    "bias_conflicting_samples": _of(
        "images that conflict with the bias", tested, "bias_conflicting_samples"
    ),
    "first_bias": Figure("images of the first bias value", of_first_bias),
    "train_average": _of("training images", trained, "average"),
    "best_average": _of("average, best test epoch", best_epoch, "average"),
    "best_group_balanced": _of("mean over groups, best test epoch", best_epoch, "group_balanced"),
    "aligned_aligned": _subset(False, False),
    "aligned_conflicting": _subset(False, True),
    "conflicting_aligned": _subset(True, False),
    "conflicting_conflicting": _subset(True, True),
    "mean_of_subsets": Figure("mean of the four subsets", mean_of_subsets),
}
