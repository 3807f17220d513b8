"""The step ``slices``: images on which a model errs, with pictures and words."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.ladder import CUES
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.slices.describing import described_slice
from debias.audits.slices.errors import fitted_half, predicted_images, sliced_rows
from debias.audits.slices.judging import JudgedSlice, different_slices, judged_slices
from debias.audits.slices.spotlight import spotlights
from debias.audits.steps import Arrays, Audited, Step
from debias.errors import one_line
from debias.files import write_atomically
from debias.group_inference.slices import PredictedImages, domino_slices, facts_slices

#: Name of the step, and its file.
SLICES, SLICES_FILE = "slices", "slices.csv"
#: Fewest images of both halves together, and of a class in the fitted half for FACTS.
FEWEST, FEWEST_OF_A_CLASS = 40, 40
#: Slices of the page and of the file, and pictures of each.
SHOWN, PICTURES = 4, 8
#: Least weight of an image in the file, and of an image that counts as one of the slice.
LISTED, MEMBER = 0.05, 0.5
#: Slices of FACTS per class, and spotlights.
OF_A_CLASS, BALLS = 2, 3
#: Least number of fitted images of a spotlight, and of a component on average.
LEAST_OF_A_BALL = IMAGES_PER_COMPONENT = 20


class NamedSlice(NamedTuple):
    """A slice of the page.

    Attributes:
        name: class and number, such as "waterbird 2".
        judged: what was measured.
        weight: ``(V,)`` weight of each image of the step.
    """

    name: str
    judged: JudgedSlice
    weight: NDArray[np.float64]


def _compute(audited: Audited) -> Arrays:
    rows = sliced_rows(audited)
    images = predicted_images(audited, rows)
    generator = np.random.default_rng(audited.seed)
    fitted = fitted_half(audited, rows, generator)
    weights = np.hstack(_found(images, fitted, generator))
    return {
        "rows": rows,
        "judged": ~fitted,
        "weights": weights.astype(np.float32),
        "correct": images.probabilities.argmax(axis=1) == images.target,
    }


def _found(
    images: PredictedImages, fitted: NDArray[np.bool_], generator: np.random.Generator
) -> list[NDArray[np.float64]]:
    """``(V, T)`` weights of all images in the slices of each method."""
    found = [found_by_mixture(images, fitted, generator)]
    for one in np.unique(images.target):
        inside = images.target == one
        if (inside & fitted).sum() >= FEWEST_OF_A_CLASS:
            part = facts_slices(
                images.take(inside & fitted),
                images.take(inside),
                generator=generator,
                slices=OF_A_CLASS,
                components=min(36, int((inside & fitted).sum()) // IMAGES_PER_COMPONENT),
                blind=True,
            )
            weights = np.zeros((len(images), part.memberships.shape[1]))
            weights[inside] = part.memberships
            found.append(weights)
    return [*found, _balls(images, fitted)]


def found_by_mixture(
    images: PredictedImages, fitted: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.float64]:
    """``(V, T)`` memberships of all images in Domino's slices.

    Few images have fewer components, so that a component has images enough to be judged.
    """
    cells = images.probabilities.shape[1] ** 2
    few = max(int(fitted.sum()) // IMAGES_PER_COMPONENT, min(cells, 25))
    part = images.take(fitted)
    count = min(25, few)
    found = domino_slices(part, images, generator=generator, components=count, blind=True)
    return found.memberships


def _balls(images: PredictedImages, fitted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of spotlights, relative to the largest one; on features of variance 1."""
    features = images.reduced(fitted, most=32).astype(np.float32)
    own = images.probabilities[np.arange(len(images)), images.target]
    losses = -np.log(np.maximum(own, 1e-6)).astype(np.float32)
    smallest = min(0.5, max(0.02, LEAST_OF_A_BALL / int(fitted.sum())))
    found = spotlights(features[fitted], losses[fitted], count=BALLS, smallest=smallest)
    columns = [one.weights(features) for one in found]
    scaled = [column / max(float(column[fitted].max()), 1e-12) for column in columns]
    return np.stack(scaled, axis=1).astype(np.float64).clip(0, 1)


def named_slices(audited: Audited, step: str = SLICES) -> list[NamedSlice]:
    """The different slices that do worse than the others of their class, worst first.

    Args:
        audited: the images.
        step: name of the step that found the slices.
    """
    arrays = audited.found[step]
    rows, judged = arrays["rows"].astype(np.int64), arrays["judged"].astype(bool)
    weights = arrays["weights"].astype(np.float64)
    members, target = weights > MEMBER, audited.target[rows]
    measured = judged_slices(
        members[judged], target[judged], arrays["correct"][judged].astype(bool)
    )
    worse = [one for one in measured if one.strength != "none found"]
    named, numbers = [], dict.fromkeys(range(len(audited.classes)), 0)
    for one in different_slices(worse, members)[:SHOWN]:
        numbers[one.target] += 1
        name = f"{audited.classes[one.target]} {numbers[one.target]}"
        named.append(NamedSlice(name, one, weights[:, one.number]))
    return named


def _lines(audited: Audited) -> list[AuditLine]:
    found = named_slices(audited)
    if not found:
        judged = int(audited.found[SLICES]["judged"].astype(bool).sum())
        words = f"no slice of the {judged:,} judged images does much worse than its class"
        return [AuditLine(SLICES, "", "none found", words)]
    return [slice_line(audited, one, _rows(audited)) for one in found]


def slice_line(audited: Audited, one: NamedSlice, positions: NDArray[np.int64]) -> AuditLine:
    """The line of a slice.

    Args:
        audited: the images.
        one: the slice.
        positions: ``(V,)`` positions of the images that its weights are of.
    """
    judged = one.judged
    words = (
        f"accuracy {100 * judged.accuracy:.0f} % on {judged.images} images, "
        f"{100 * judged.others:.0f} % on the others of their class"
    )
    words += described_slice(audited, positions, one.weight, judged.target)
    line = AuditLine(SLICES, one.name, judged.strength, one_line(words), judged.accuracy)
    return line._replace(
        low=judged.low,
        high=judged.high,
        chance=judged.others,
        measure="accuracy; chance is that of the other images of the class",
        images=judged.images,
        rows=shown_rows(one, positions),
    )


def _rows(audited: Audited) -> NDArray[np.int64]:
    return audited.found[SLICES]["rows"].astype(np.int64)


def shown_rows(one: NamedSlice, positions: NDArray[np.int64]) -> tuple[int, ...]:
    """Positions of the images with the largest weights."""
    order = np.argsort(-one.weight, kind="stable")[:PICTURES]
    return tuple(positions[order[one.weight[order] > MEMBER]].tolist())


def _section(audited: Audited) -> Section | None:
    found = named_slices(audited)
    if not found:
        return None
    model = "the model" if audited.model is not None else "a linear probe of whole images"
    judged = audited.found[SLICES]["judged"].astype(bool)
    text = (
        f"Slices are images that look alike and on which {model} errs. They were found on "
        f"{int((~judged).sum()):,} images and judged on {int(judged.sum()):,} others.",
        f"{SLICES_FILE} has the weight of each image in each slice.",
    )
    header = ("slice", "judged images", "accuracy", "95 % interval", "others of the class", "what")
    table = [_table_row(audited, one) for one in found]
    strips = tuple(Strip(f"Slice {one.name}", shown_rows(one, _rows(audited))) for one in found)
    return Section("Slices", text, header=header, table=table, strips=strips)


def _table_row(audited: Audited, one: NamedSlice) -> tuple[str, ...]:
    judged = one.judged
    what = described_slice(audited, _rows(audited), one.weight, judged.target)
    return (
        one.name,
        f"{judged.images:,}",
        f"{100 * judged.accuracy:.1f} %",
        f"{100 * judged.low:.1f} – {100 * judged.high:.1f} %",
        f"{100 * judged.others:.1f} %",
        what.lstrip("; "),
    )


def _write(audited: Audited, folder: Path) -> None:
    """One line per image and slice: path, slice, weight."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "slice", "weight"))
    paths = [audited.examples.images[row] for row in audited.rows[_rows(audited)].tolist()]
    for one in named_slices(audited):
        for place in np.argsort(-one.weight, kind="stable").tolist():
            if one.weight[place] >= LISTED:
                table.writerow((paths[place], one.name, f"{one.weight[place]:.3f}"))
    write_atomically(folder / SLICES_FILE, text.getvalue())


def _unavailable(audited: Audited) -> str:
    return "" if len(sliced_rows(audited)) >= FEWEST else f"fewer than {FEWEST} images"


SLICES_STEP = Step(
    *(SLICES, (DUPLICATES, CUES), _compute, _lines, _section, _unavailable),
    write=_write,
    files=(SLICES_FILE,),
    version=3,
)
