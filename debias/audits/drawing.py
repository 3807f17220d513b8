"""The images that an audit looks at, and their size: at most so many per split, in turns."""

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.pictures.geometry import CentreCrop, Geometry, ShorterSide
from debias.errors import InputError

#: Shorter side to which images are resized, and side of the square that is cropped from the centre.
SHORTER, SIDE = 144, 128
GEOMETRY = Geometry((ShorterSide(SHORTER), CentreCrop(SIDE, SIDE)), SIDE, SIDE)


def drawn_rows(examples: Examples, *, images: int, seed: int) -> NDArray[np.int64]:
    """Draw at most ``images`` rows of each split. The classes take turns.

    The order does not depend on the order of the rows in the file, so that an audit does not
    either.

    Args:
        examples: the data set, with one class per image.
        images: most rows per split.
        seed: seed of the draw.

    Returns:
        ``(N,)`` int64 rows, by split and then by path.
    """
    target = examples.target.numpy()
    by_path = np.array(sorted(range(len(examples)), key=examples.images.__getitem__), np.int64)
    parts = []
    for position in range(len(SPLITS)):
        rows = by_path[examples.split.numpy()[by_path] == position]
        drawn = taking_turns(target[rows], images, np.random.default_rng([seed, position]))
        parts.append(rows[drawn])
    return np.concatenate(parts)


def taking_turns(
    label: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw ``count`` positions at random, one of each label in turn.

    Args:
        label: ``(N,)`` int64 labels.
        count: number of positions; all N if it is larger.
        generator: source of randomness.

    Returns:
        ``(min(count, N),)`` int64 positions, ascending.

    Example:
        >>> label = np.array([0, 0, 0, 0, 0, 1, 1])
        >>> np.bincount(label[taking_turns(label, 4, np.random.default_rng(0))]).tolist()
        [2, 2]
    """
    if count >= len(label):
        return np.arange(len(label))
    return np.sort(in_turns(label, generator)[:count])


def in_turns(label: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """``(N,)`` all positions in a random order in which the labels ``(N,)`` take turns."""
    shuffled = generator.permutation(len(label))
    turn = np.empty(len(label), np.int64)
    for value in set(label.tolist()):
        members = shuffled[label[shuffled] == value]
        turn[members] = np.arange(len(members))
    return np.lexsort((label, turn))


def check_audited(examples: Examples) -> None:
    """Check that an audit can say something about a data set.

    Raises:
        ValueError: images have several labels, or all images are of one class.
    """
    if examples.groups.multi_label:
        raise InputError(
            f"{examples.source} has several labels per image, and an audit looks at one class per "
            "image: name a single target, as in data.target=COLUMN"
        )
    if len(set(examples.target.tolist())) < 2:
        raise InputError(
            f"{examples.source} has images of one class only, and an audit looks for what tells "
            "classes apart: give data with two classes or more"
        )
