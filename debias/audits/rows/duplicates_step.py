"""The step ``duplicates``: equal and nearly equal images, inside splits and across them."""

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.rows.duplicates import (
    SharedImages,
    duplicate_rows,
    pixel_digest,
    shared_images,
)
from debias.audits.steps import Arrays, Audited, Step
from debias.data.examples import SPLITS
from debias.files import write_atomically

#: Name of the step, and of its arrays: the set of each image, and whether another one is equal.
DUPLICATES, SETS, EXACT = "duplicates", "set", "exact"
DUPLICATES_FILE = "duplicates.csv"
#: Most sets that the page shows, each as pictures and as a row of the table.
SHOWN = 12


def _compute(audited: Audited) -> Arrays:
    """Images that look equal are decoded again, whole, to know whether all their pixels are."""
    found = duplicate_rows(audited.pictures, mirror=audited.mirror)
    store, rows = audited.examples.store, audited.rows
    alike = np.flatnonzero(found.exact).tolist()
    digests = {row: pixel_digest(store.read(int(rows[row]))) for row in alike}
    often = Counter(digests.values())
    exact = [row in digests and often[digests[row]] > 1 for row in range(len(rows))]
    return {SETS: found.sets, EXACT: np.array(exact, dtype=bool)}


def _shared(audited: Audited) -> SharedImages:
    sets = audited.found[DUPLICATES][SETS].astype(np.int64)
    return shared_images(sets, audited.split, audited.target)


def _lines(audited: Audited) -> list[AuditLine]:
    shared, total = _shared(audited), len(audited.rows)
    if not shared.repeated:
        words = f"no image of {total:,} repeats another, exactly or nearly"
        return [AuditLine(DUPLICATES, "", "none found", words)]
    lines = []
    if shared.leaking.any():
        words = "images with a copy in another split: a model is then judged on images it has seen"
        lines.append(_line("across splits", "warning", words, shared.leaking))
    if shared.conflicting.any():
        words = "images with a copy that has another class: one of the labels is wrong"
        lines.append(_line("across classes", "warning", words, shared.conflicting))
    words = f"{total:,} images show {total - shared.repeated:,} different ones"
    strength = "some" if shared.repeated >= 0.01 * total else "none found"
    lines.append(
        AuditLine(
            DUPLICATES, "in all", strength, words, shared.repeated / total, chance=0.0
        )._replace(measure="share of repeated images", images=shared.repeated)
    )
    return lines


def _line(name: str, strength: str, words: str, rows: NDArray[np.bool_]) -> AuditLine:
    count = int(rows.sum())
    positions = tuple(np.flatnonzero(rows)[:SHOWN].tolist())
    text = f"{count:,} {words} ({DUPLICATES_FILE})"
    line = AuditLine(DUPLICATES, name, strength, text, count / len(rows), chance=0.0)
    return line._replace(measure="share of the images", images=count, rows=positions)


def _repeated_sets(audited: Audited) -> list[NDArray[np.int64]]:
    """Positions of the images of each set with several, those across splits or classes first."""
    sets, shared = audited.found[DUPLICATES][SETS], _shared(audited)
    order = np.argsort(sets, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(sets[order])) + 1)
    worst = shared.leaking.astype(int) + 2 * shared.conflicting
    several = [part for part in parts if len(part) > 1]
    return sorted(several, key=lambda part: (-int(worst[part].max()), int(part[0])))


def _section(audited: Audited) -> Section | None:
    sets = _repeated_sets(audited)
    if not sets:
        return None
    shown = sets[:SHOWN]
    rows = [row for part in shown for row in part[:4].tolist()]
    captions = [
        f"{SPLITS[audited.split[row]]}, {audited.classes[audited.target[row]]}" for row in rows
    ]
    text = (
        f"{len(sets):,} sets of images are equal or nearly equal. No probe that measures a cue, "
        "doubts a label or stands in for a model learns from an image whose copy it judges.",
        f"{DUPLICATES_FILE} lists all of them.",
    )
    table = [_row(audited, number, part) for number, part in enumerate(shown, 1)]
    strip = Strip("Duplicates, set after set", tuple(rows), tuple(captions))
    header = ("set", "images", "equal pixels", "splits", "classes")
    return Section("Duplicates", text, header=header, table=table, strips=(strip,))


def _row(audited: Audited, number: int, part: NDArray[np.int64]) -> tuple[str, ...]:
    exact = int(audited.found[DUPLICATES][EXACT][part].sum())
    splits = Counter(SPLITS[one] for one in audited.split[part])
    classes = Counter(audited.classes[one] for one in audited.target[part])
    counts = [
        ", ".join(f"{name} {count}" for name, count in one.items()) for one in (splits, classes)
    ]
    return (str(number), str(len(part)), str(exact), *counts)


def _write(audited: Audited, folder: Path) -> None:
    """One line per image of a set with several: set, path, split, class, whether one is equal."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("set", "path", "split", "target", "exact"))
    exact, examples = audited.found[DUPLICATES][EXACT], audited.examples
    for number, part in enumerate(_repeated_sets(audited), 1):
        for row in part.tolist():
            labels = SPLITS[audited.split[row]], audited.classes[audited.target[row]]
            path = examples.images[int(audited.rows[row])]
            table.writerow((number, path, *labels, int(exact[row])))
    write_atomically(folder / DUPLICATES_FILE, text.getvalue())


DUPLICATES_STEP = Step(
    *(DUPLICATES, (), _compute, _lines, _section),
    write=_write,
    files=(DUPLICATES_FILE,),
    settings=lambda audited: f"mirror={audited.mirror}",
)
