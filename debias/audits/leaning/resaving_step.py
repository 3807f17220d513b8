"""The step that saves held-out pictures again as JPEG: does a model follow the quality of files?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from debias.audits.cues.probing import unit_folds
from debias.audits.cues.units import audited_units
from debias.audits.encoders.traces import FAMILIES
from debias.audits.leaning.paired import Change, paired_change
from debias.audits.leaning.rows import held_out, model_of, no_run, percent
from debias.audits.lines import AuditLine, Section
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.steps import Arrays, Audited, Step
from debias.progress import each

NAME = "resaving"
#: Pictures that are saved again, and the processings of the family "jpeg": quality 75 first.
MOST = 300
QUALITIES = ("75 4:2:0", "85 4:2:0", "95 4:2:0")
#: Losses of accuracy from which on the quality of files is taken, and strongly so.
SOME, STRONG = 0.05, 0.2


def right_at_worst(
    right: NDArray[np.bool_], target: NDArray[np.int64], half: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Right answers if each class is saved at the quality that harms it most.

    The quality of a class is chosen on one half of the pictures and judged on the other half, since
    the lowest of several accuracies is too low on the pictures on which it was chosen.

    Args:
        right: ``(Q, N)`` bool, whether each picture is classified correctly at each quality.
        target: ``(N,)`` classes.
        half: ``(N,)`` bool, the half of each picture.

    Returns:
        ``(N,)`` bool.

    Example:
        >>> right = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)  # class 0 at quality 0, 1 at 1
        >>> half = np.array([0, 1, 0, 1], bool)
        >>> right_at_worst(right, np.array([0, 0, 1, 1]), half).tolist()
        [False, False, False, False]
    """
    found: NDArray[np.bool_] = right[0].copy()
    for one in np.unique(target):
        for side in (False, True):
            judged, chosen = (target == one) & (half == side), (target == one) & (half != side)
            if chosen.any():
                found[judged] = right[right[:, chosen].mean(axis=1).argmin(), judged]
    return found


def _compute(audited: Audited) -> Arrays:
    shown, model = held_out(audited, MOST), model_of(audited)
    saved = [
        model.decided(_saved_again(audited, shown.positions, quality))
        for quality in each(QUALITIES, "saving pictures again", "quality")
    ]
    units = audited_units(audited)[shown.positions]
    half = unit_folds(units, shown.target, np.arange(len(units)), folds=2) == 0
    right = np.stack([model.decided(shown.pictures), *saved]) == shown.target
    return {"positions": shown.positions, "right": right, "half": half}


def _saved_again(audited: Audited, positions: NDArray[np.int64], quality: str) -> NDArray[np.uint8]:
    """Whole pictures, saved as JPEG and then brought to the geometry of the model."""
    save, geometry = FAMILIES["jpeg"][quality], model_of(audited).network.geometry
    whole = map(audited.examples.store.read, audited.rows[positions].tolist())
    images = (save(Image.fromarray(pixels), 0.0).convert("RGB") for pixels in whole)
    return np.stack([geometry.image(np.asarray(image)) for image in images])


def _changes(audited: Audited) -> Iterator[tuple[str, Change]]:
    """What each quality changes, and last the worst quality of each class."""
    arrays = audited.found[NAME]
    target = audited.target[arrays["positions"]]
    whole, *right = arrays["right"].astype(bool)
    for quality, one in zip(QUALITIES, right, strict=True):
        yield f"saved again at JPEG {quality.partition(' ')[0]}", paired_change(whole, one, target)
    worst = right_at_worst(np.stack(right), target, arrays["half"].astype(bool))
    yield (
        "worst case: each class at the quality that harms it most",
        paired_change(whole, worst, target),
    )


def _lines(audited: Audited) -> list[AuditLine]:
    (_, lowest), *_, (_, worst) = _changes(audited)
    loss = -worst.high
    words = (
        f"accuracy {percent(worst.before)} on the files, {percent(lowest.after)} if saved again "
    )
    words += f"at JPEG 75, {percent(worst.after)} with the worst quality for each class"
    return [
        AuditLine(
            *("taken", "JPEG quality"),
            "strong" if loss >= STRONG else "some" if loss >= SOME else "none found",
            words,
            *(-worst.difference, loss, -worst.low, 0.0),
            "loss of accuracy",
            worst.images,
        )
    ]


def _section(audited: Audited) -> Section:
    return Section(
        "Pictures saved again",
        [
            "The held-out pictures are saved again as JPEG before they are resized as in the run. "
            "In the worst case, each class has the quality at which the model knows it least: how "
            "wrong the model can be if the quality of files depends on the class.",
            "The quality of a class is chosen on one half of the pictures, and judged on the other "
            "half.",
        ],
        header=("pictures", "accuracy", "minus that of the files", "interval", "p"),
        table=[
            (
                name,
                percent(change.after),
                f"{100 * change.difference:+.1f}",
                f"{100 * change.low:.1f} to {100 * change.high:.1f}",
                f"{change.p_value:.2g}",
            )
            for name, change in _changes(audited)
        ],
    )


RESAVING_STEP = Step(NAME, (DUPLICATES,), _compute, _lines, _section, no_run)
