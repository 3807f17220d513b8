"""Training images of some groups left out of any data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.pictures.image_store import ImageStore
from debias.errors import InputError, near


@dataclass(frozen=True)
class ChosenImages:
    """Some images of a store.

    Args:
        store: all images.
        rows: the chosen ones, in order.
    """

    store: ImageStore
    rows: tuple[int, ...]

    def read(self, row: int) -> NDArray[np.uint8]:
        """The ``(H, W, 3)`` uint8 image of a row."""
        return self.store.read(self.rows[row])

    def fingerprint(self, row: int) -> bytes:
        """Bytes that differ if the image of the row has changed."""
        return self.store.fingerprint(self.rows[row])


def without_groups(examples: Examples, names: Sequence[str]) -> Examples:
    """A data set without the training images of some groups. The other splits keep theirs.

    Args:
        examples: the data set.
        names: names of groups, such as "waterbird-land".

    Raises:
        ValueError: a name is no group, or images have several labels.
    """
    if not names:
        return examples
    groups = examples.groups
    groups.check_single_label("data.without")
    for name in names:
        if name not in groups.names:
            raise InputError(
                f"data.without names {name!r}, which is no group; {near(name, groups.names)}"
            )
    numbers = torch.tensor([groups.names.index(name) for name in names], dtype=torch.int64)
    dropped = torch.isin(groups.encode(examples.target, examples.bias), numbers)
    kept = ~(dropped & (examples.split == SPLITS.index("train")))
    rows = tuple(kept.nonzero().flatten().tolist())
    return replace(
        examples,
        images=_chosen(examples.images, rows),
        masks=_chosen(examples.masks, rows),
        fills=_chosen(examples.fills, rows),
        units=_chosen(examples.units, rows),
        target=examples.target[kept],
        bias=examples.bias[kept],
        split=examples.split[kept],
        held=None if examples.held is None else ChosenImages(examples.held, rows),
    )


def _chosen(column: tuple[str, ...], rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(column[row] for row in rows) if column else ()
