"""The step ``diversity``: how many different images each class has, and how classes lie apart."""

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.picture_numbers import averaged
from debias.audits.drawing import taking_turns
from debias.audits.lines import Section
from debias.audits.rows.diversity import neuron_distances, vendi_by_class
from debias.audits.rows.intrinsic import intrinsic_dimension, label_sharpness
from debias.audits.rows.whole_images import WHOLE_IMAGES, whole_image_numbers
from debias.audits.steps import Arrays, Audited, Step
from debias.data.examples import SPLITS

#: Name of the step.
DIVERSITY = "diversity"
#: Images of a class, and of all classes, that are compared in pairs; side of the small pictures.
EACH, MOST, SIDE = 500, 1000, 32
#: Most classes, and fewest images of a split, in the table.
CLASSES, FEWEST = 50, 20


def _compute(audited: Audited) -> Arrays:
    numbers, generator = whole_image_numbers(audited).astype(np.float64), _generator(audited)
    rows = audited.judged
    scores = vendi_by_class(numbers[rows], audited.target[rows], generator=generator, most=EACH)
    drawn = rows[taking_turns(audited.target[rows], MOST, generator)]
    small = _small(audited.pictures[drawn])
    classes = range(min(len(audited.classes), CLASSES))
    sharp = label_sharpness(small, audited.target[drawn])
    return {
        "vendi": np.pad(scores, (0, len(audited.classes) - len(scores)), constant_values=np.nan),
        "compared": np.array(_compared(audited.target[rows])),
        "dimension": np.array([_dimension(audited, one, generator) for one in classes]),
        "distance": np.array([_distance(audited, numbers, one) for one in classes]),
        "sharpness": np.array(sharp),
        "whole": np.array(intrinsic_dimension(small)),
    }


def _generator(audited: Audited) -> np.random.Generator:
    return np.random.default_rng(audited.seed)


def _compared(target: NDArray[np.int64]) -> int:
    """Number of images of each class in a draw for the Vendi score."""
    sizes = np.bincount(target)
    return min(int(sizes[sizes > 0].min()), EACH)


def _small(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``(M, 3072)`` pictures of 32x32 pixels, in [0, 1]."""
    return averaged(pictures, SIDE).reshape(len(pictures), -1).astype(np.float64) / 255


def _dimension(audited: Audited, one: int, generator: np.random.Generator) -> float:
    members = audited.judged[audited.target[audited.judged] == one]
    drawn = np.sort(generator.permutation(members)[:EACH])
    return intrinsic_dimension(_small(audited.pictures[drawn])) if len(drawn) else float("nan")


def _distance(audited: Audited, numbers: NDArray[np.float64], one: int) -> float:
    """Mean distance of the neurons in training and test images of a class; NaN with few images."""
    parts = [
        numbers[(audited.target == one) & (audited.split == SPLITS.index(split))]
        for split in ("train", "test")
    ]
    enough = min(len(part) for part in parts) >= FEWEST
    return float(neuron_distances(*parts).mean()) if enough else float("nan")


def _section(audited: Audited) -> Section:
    found = audited.found[DIVERSITY]
    compared = int(found["compared"])
    sharpest, sharp = (_number(value, ".2f") for value in found["sharpness"].tolist())
    text = (
        f"The Vendi score is the effective number of different images among {compared:,} of a "
        "class. A class with a low score may come from few scenes or sessions.",
        "The distance is that of the numbers of training and test images, as a share of their "
        "range. The dimension is that of small pictures.",
        f"All images together have dimension {_number(float(found['whole']), '.1f')}. Labels "
        f"change with sharpness {sharp} (0.1 % closest pairs of different classes; the closest "
        f"pair {sharpest}).",
    )
    header = ("class", "images", "Vendi score", "dimension", "train to test")
    rows = zip(audited.classes, found["vendi"], found["dimension"], found["distance"], strict=False)
    counts = np.bincount(audited.target[audited.judged], minlength=len(audited.classes))
    table = [
        (name, f"{count:,}", _number(score, ".1f"), _number(size, ".1f"), _number(away, ".3f"))
        for count, (name, score, size, away) in zip(counts.tolist(), rows, strict=False)
    ]
    return Section("Diversity", text, header=header, table=table)


def _number(value: float, form: str) -> str:
    return "–" if np.isnan(value) else format(float(value), form)


DIVERSITY_STEP = Step(DIVERSITY, (), _compute, lambda audited: (), _section, uses=WHOLE_IMAGES)
