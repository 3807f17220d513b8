"""Digests of the rows of a data set, which are the same on every disk."""

import hashlib
from collections.abc import Iterator

from debias.data.examples import SPLITS, Examples
from debias.data.listing import below_shared_folder


def row_digest(examples: Examples, *, bias: bool = True) -> str:
    """SHA-256 of the sorted rows, each ``path<tab>class<tab>bias<tab>split<newline>``.

    Paths are relative to the deepest folder that has all images, so that the root may be above it.
    Classes and bias values are names, and an unknown bias is empty.
    The classes of several labels are separated by commas.

    Args:
        examples: the data set.
        bias: whether rows have their bias value. Otherwise it is empty.
    """
    digest = hashlib.sha256()
    for row in sorted(_rows(examples, bias=bias)):
        digest.update(row.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _rows(examples: Examples, *, bias: bool) -> Iterator[str]:
    groups = examples.groups
    targets = groups.row(examples.target).reshape(len(examples), -1).tolist()
    biases = ("", *groups.bias_names)  # -1 is the unknown value
    paths = below_shared_folder(examples.images)
    columns = (paths, targets, examples.bias.tolist(), examples.split.tolist())
    for path, rows, value, split in zip(*columns, strict=True):
        target = ",".join(groups.target_names[row] for row in rows)
        yield f"{path}\t{target}\t{biases[value + 1] if bias else ''}\t{SPLITS[split]}\n"
