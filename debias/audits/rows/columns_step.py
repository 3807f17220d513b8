"""The step ``columns``: which columns of the table go with the class, and with each other."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.lines import AuditLine, Section, ValueBar
from debias.audits.rows.associations import (
    LabelPair,
    association_bias,
    label_pairs,
    representation_bias,
)
from debias.audits.rows.source_columns import source_columns
from debias.audits.steps import Audited, Step
from debias.audits.strengths import strength
from debias.errors import one_line

#: Name of the step.
COLUMNS = "columns"
#: Most values of a column, and most columns.
VALUES, MOST = 20, 40
#: Fewest images that a pair must have, or would have if its values were independent.
EXPECTED = 5
#: Pairs of the table in either direction, and printed columns.
SHOWN, PRINTED = 10, 3


class TableColumn(NamedTuple):
    """A column of the table, of the images in which cues are looked for.

    Attributes:
        name: its title.
        texts: its different cells, sorted.
        value: ``(M,)`` int64 position of each image's cell in ``texts``.
    """

    name: str
    texts: tuple[str, ...]
    value: NDArray[np.int64]


class ColumnFit(NamedTuple):
    """The value of a column that tells one class best.

    Attributes:
        name: column and value.
        target: the class.
        inside: share of the class that has the value.
        outside: share of the other images that has it.
        p_value: of "value and class are independent", corrected for the pairs of value and class.
        images: number of images with the value.
    """

    name: str
    target: int
    inside: float
    outside: float
    p_value: float
    images: int

    @property
    def auroc(self) -> float:
        """AUROC of "has the value", or of "has it not", for the class."""
        return 0.5 + abs(self.inside - self.outside) / 2


def other_columns(audited: Audited) -> list[TableColumn]:
    """The columns with 2 to 20 values that do not just repeat class, split or bias label.

    A column with another value for each image, such as the paths, is none of them.
    """
    rows = audited.rows[audited.judged]
    bias, groups = audited.examples.bias, audited.examples.groups
    known = [audited.examples.target, audited.examples.split, bias, *groups.decode(bias).T]
    named = [column.numpy()[rows] for column in known]
    found = []
    for name, cells in source_columns(audited.examples).items():
        texts, value = np.unique([cells[row] for row in rows.tolist()], return_inverse=True)
        repeated = any(_same(value, other) for other in named)
        if 2 <= len(texts) <= min(VALUES, len(rows) - 1) and not repeated:
            found.append(TableColumn(name, tuple(texts.tolist()), value.astype(np.int64)))
    return found[:MOST]


def _same(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Whether two columns have the same values under other names, where the second is known."""
    first, second = first[second >= 0], second[second >= 0]
    pairs = len(np.unique(np.stack([first, second]), axis=1).T)
    return 1 < pairs == len(np.unique(first)) == len(np.unique(second))


def column_fits(columns: list[TableColumn], target: NDArray[np.int64]) -> list[ColumnFit]:
    """For each column, the value and the class that go together most, best column first.

    The p-value is that of Fisher's exact test times the number of pairs of value and class.

    Args:
        columns: the columns.
        target: ``(M,)`` classes.
    """
    classes = np.unique(target)
    pairs = len(classes) * sum(len(column.texts) for column in columns)
    best = [_best_fit(column, target, classes, pairs) for column in columns]
    return sorted(best, key=lambda fit: (-fit.auroc, fit.name))


def _best_fit(
    column: TableColumn, target: NDArray[np.int64], classes: NDArray[np.int64], pairs: int
) -> ColumnFit:
    """The value and the class whose ``inside`` and ``outside`` differ most."""
    from scipy.stats import fisher_exact
    from scipy.stats.contingency import crosstab

    counts = crosstab(column.value, target).count
    inside = counts / counts.sum(axis=0)
    others = counts.sum(axis=1, keepdims=True) - counts
    outside = others / others.sum(axis=0)
    place, number = np.unravel_index(np.abs(inside - outside).argmax(), counts.shape)
    has, own = column.value == place, target == classes[number]
    p_value = min(pairs * float(fisher_exact(crosstab(has, own).count)[1]), 1.0)
    return ColumnFit(
        f"{column.name} = {column.texts[place] or 'empty'}",
        int(classes[number]),
        float(inside[place, number]),
        float(outside[place, number]),
        p_value,
        int(has.sum()),
    )


def _target(audited: Audited) -> NDArray[np.int64]:
    return audited.target[audited.judged]


def _lines(audited: Audited) -> list[AuditLine]:
    columns = other_columns(audited)
    found = (
        [_line(audited, fit) for fit in column_fits(columns, _target(audited))] if columns else []
    )
    return [line for line in found if line.strength != "none found"][:PRINTED]


def _line(audited: Audited, fit: ColumnFit) -> AuditLine:
    words = f"{100 * fit.inside:.0f} % of {audited.classes[fit.target]}, "
    words += f"{100 * fit.outside:.0f} % of the others"
    return AuditLine(
        "labels",
        one_line(fit.name),
        strength(fit.auroc, fit.p_value),
        one_line(words),
        fit.auroc,
        chance=0.5,
        measure="AUROC",
        images=fit.images,
    )


def _section(audited: Audited) -> Section | None:
    columns, target = other_columns(audited), _target(audited)
    if not columns:
        return None
    classes = TableColumn("class", audited.classes, target)
    names, owners, labels = _indicators([classes, *columns])
    sizes = labels.sum(axis=0).tolist()
    pairs = [
        pair
        for pair in label_pairs(labels)
        if owners[pair.first] != owners[pair.second] and _enough(pair, sizes, len(labels))
    ]
    shown = [*pairs[:SHOWN], *pairs[max(SHOWN, len(pairs) - SHOWN) :]]
    return Section(
        "Columns of the table",
        _sentences(columns, np.eye(len(audited.classes), dtype=np.int64)[target]),
        chance=0.5,
        bars=[ValueBar(fit.name, fit.auroc) for fit in column_fits(columns, target)],
        header=("value", "and", "images", "times as often as independent", "covariance"),
        table=[_pair_row(pair, names, labels) for pair in shown],
    )


def _indicators(columns: list[TableColumn]) -> tuple[list[str], list[int], NDArray[np.int64]]:
    """Name and column of each value, and ``(M, L)`` 0/1: which images have it."""
    names = [f"{one.name} = {text or 'empty'}" for one in columns for text in one.texts]
    owners = [number for number, one in enumerate(columns) for _ in one.texts]
    parts = [np.eye(len(one.texts), dtype=np.int64)[one.value] for one in columns]
    return names, owners, np.hstack(parts)


def _enough(pair: LabelPair, sizes: list[int], images: int) -> bool:
    return max(pair.images, sizes[pair.first] * sizes[pair.second] / images) >= EXPECTED


def _sentences(columns: list[TableColumn], classes: NDArray[np.int64]) -> list[str]:
    shares = {one.name: representation_bias(one.value) for one in columns}
    together = {one.name: association_bias(one.value, classes) for one in columns}
    uneven, nearest = max(shares, key=shares.__getitem__), max(together, key=together.__getitem__)
    return [
        f"Columns with 2 to {VALUES} values, of the images in which cues are looked for. The bars "
        "are the AUROC of the value that tells one class best. A column is no cue of the pictures, "
        "but a model may read from them what it says.",
        f"The shares of the values differ most from equal shares in {uneven} (by "
        f"{shares[uneven]:.2f}). The largest covariance with a class is that of {nearest} "
        f"({together[nearest]:.3f}; at most 0.25).",
        f"The table has the {SHOWN} pairs of values that occur together most often beyond "
        f"chance, and the {SHOWN} that do so least often.",
    ]


def _pair_row(pair: LabelPair, names: list[str], labels: NDArray[np.int64]) -> tuple[str, ...]:
    first, second = (labels[:, each].mean() for each in pair[:2])
    covariance = pair.images / len(labels) - first * second
    times = f"{np.exp(pair.information):.2f}"
    return names[pair.first], names[pair.second], f"{pair.images:,}", times, f"{covariance:.3f}"


# nothing is kept: the columns may change without the pictures
COLUMNS_STEP = Step(COLUMNS, (), lambda audited: {}, _lines, _section)
