"""The images of a run per split and group, as lines."""

from collections.abc import Iterator, Sequence

from debias.data.examples import SPLITS, Examples
from debias.data.noise import noise_line

#: A longer table has only this many rows: those with the fewest training images.
MOST_ROWS = 40


def image_lines(examples: Examples) -> list[str]:
    """A table of the number of images per group, below a line about noise in training, if any.

    If some bias labels are unknown, a second table has the number per class. Of many groups or
    classes, the ``MOST_ROWS`` with the fewest training images are listed.
    """
    groups = examples.groups
    masks = "yes" if "mask" in examples.provides else "no"
    lines = [f"{examples.source}: {len(examples)} images, masks: {masks}"]
    if examples.noise is not None:
        lines.append(noise_line(examples))
    unknown = [int((examples.bias[examples.rows(split)] < 0).sum()) for split in SPLITS]
    counts = [
        [*examples.frequencies(split).tolist(), count]
        for split, count in zip(SPLITS, unknown, strict=True)
    ]
    if sum(unknown) < len(examples):
        names = [*groups.names, "unknown bias"] if any(unknown) else groups.names
        lines += _table(["group", *SPLITS], names, counts)
        if empty := int((~examples.occurring).sum()):
            lines.append(f"{empty} of {groups.count} groups have no image in any split")
    else:
        lines += ["the bias of every image is unknown: there are no groups; results are per class"]
    if any(unknown):
        classes = [examples.class_counts(split).tolist() for split in SPLITS]
        lines += _table(["class", *SPLITS], groups.target_names, classes)
    return lines


def _table(
    header: Sequence[str], names: Sequence[str], counts: Sequence[Sequence[int]]
) -> Iterator[str]:
    rows = list(zip(names, *counts, strict=False))
    listed = [row for row in rows if any(row[1:])] if len(rows) > MOST_ROWS else rows
    if len(listed) > MOST_ROWS:
        smallest = sorted(range(len(listed)), key=lambda place: listed[place][1])[:MOST_ROWS]
        listed = [listed[place] for place in sorted(smallest)]
    width = max(len(row[0]) for row in [header, *listed])
    yield " ".join([f"{header[0]:{width}}", *(f"{split:>8}" for split in header[1:])])
    for name, *row in listed:
        yield " ".join([f"{name:{width}}", *(f"{count:8d}" for count in row)])
    if len(listed) < len(rows):
        yield f"... {len(rows) - len(listed)} more, with no image or with more training images"
