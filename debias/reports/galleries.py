"""The pictures of a run's page: mistakes, changed inputs, and attention maps."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError
from debias.reports.record import Report

if TYPE_CHECKING:
    from torch import Tensor

    from debias.reports.predictions import Predictions
    from debias.types import Groups

#: Number of mistakes on the page, and of prepared images per group.
MISTAKES = 12
PREPARED = 2

#: Smallest and largest longer side of a picture on the page, in pixels. A dialog enlarges it.
SIDES = (208, 448)
#: The same for a picture under a map of the model's attention, and for a strip of three pictures.
MAP_SIDES = (208, 320)
STRIP_SIDES = (480, 720)

Image = NDArray[np.uint8]
#: A mask. Foreground is above 127 in a uint8 mask with values above 1, and above 0.5 in any other.
Mask = NDArray[Any]


class Views(NamedTuple):
    """The predictions of the test split, and functions that return pictures of a data set row.

    Attributes:
        predictions: predictions of the test split.
        pictures: returns the ``(H, W, 3)`` uint8 RGB picture of a row, and its ``(H, W)`` mask or
            ``None``. If it raises ``OSError`` or ``InputError``, the page shows only the caption.
        prepared: returns ``(H, W, 3)``: the picture beside the changed one that the model gets.
            ``None`` if the picture is not changed.
        overlays: returns ``(H, W, 3)``: the picture under a map of the model's attention. ``None``
            if there is no map.
    """

    predictions: Predictions
    pictures: Callable[[int], tuple[Image, Mask | None]] | None = None
    prepared: Callable[[int], Image | None] | None = None
    overlays: Callable[[int], Image | None] | None = None


@dataclass(frozen=True)
class Decision:
    """The prediction for one image, or for one label of an image.

    Attributes:
        index: row of the image in the data set.
        path: path of the picture.
        target: name of the true class.
        predicted: name of the predicted class.
        confidence: probability of the predicted class.
    """

    index: int
    path: str
    target: str
    predicted: str
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the predicted class is the true one."""
        return self.target == self.predicted


class Mistake(NamedTuple):
    """A wrong decision with its pictures.

    Attributes:
        decision: the decision.
        picture: the picture; ``None`` if it cannot be read.
        overlay: the picture under a map of the model's attention; ``None`` if there is no map.
    """

    decision: Decision
    picture: str | None
    overlay: str | None


def mistakes(report: Report, views: Views | None) -> list[Mistake] | None:
    """The most confident mistakes in the worst group, with their pictures.

    Returns:
        Up to ``MISTAKES`` mistakes. ``None`` if there are no pictures or no worst group.
    """
    worst = report.test.worst
    if views is None or views.pictures is None or worst is None:
        return None
    number = report.test.cells.index(worst)
    shown = confident_mistakes(*_by_cell(report, views.predictions), number, most=MISTAKES)
    return [Mistake(one, *_pictures(one, views)) for one in shown]


def prepared_images(report: Report, views: Views | None) -> list[tuple[int, str, str]] | None:
    """Pictures of the changed inputs: the first ``PREPARED`` images of each shown group.

    Returns:
        Number and name of the group, and a picture. ``None`` if the model gets unchanged pictures.
    """
    if views is None or views.prepared is None:
        return None
    pictures = []
    for number in report.test.shown():
        for row in first_rows(*_by_cell(report, views.predictions), number, most=PREPARED):
            strip = views.prepared(row)
            if strip is None:
                return None
            name = report.test.cells[number].name
            pictures.append((number, name, thumbnail(strip, None, sides=STRIP_SIDES)))
    return pictures


def attention(report: Report, views: Views | None) -> list[tuple[int, str, Decision, str]]:
    """Attention maps for two images of each shown group: if possible, one right and one wrong.

    Returns:
        Number and name of the group, the decision, and the picture under its map.
    """
    if views is None or views.overlays is None:
        return []
    pictures = []
    for number in report.test.shown():
        for decision in right_and_wrong(*_by_cell(report, views.predictions), number):
            picture = views.overlays(decision.index)
            if picture is not None:
                name = report.test.cells[number].name
                pictures.append((number, name, decision, thumbnail(picture, None, sides=MAP_SIDES)))
    return pictures


def confident_mistakes(
    predictions: Predictions, groups: Groups, group: int, *, most: int
) -> list[Decision]:
    r"""The wrong predictions of one group, most confident first, and otherwise by index.

    The confidence is the softmax probability of the predicted class. For multi-label targets, it is
    the sigmoid probability of the predicted state of the label. The order is by
    :math:`\log p - \log(1 - p)`, which does not saturate at 1.

    Args:
        predictions: predictions of one split.
        groups: numbering and names of the groups.
        group: number of the group.
        most: maximum number of predictions to return.
    """
    place, right = _members(predictions, groups, group)
    place = place[~right]
    certainty = _certainty(predictions.logits[place[:, 0]], groups)
    if groups.multi_label:
        certainty = certainty.gather(1, place[:, 1:]).squeeze(1)
    index = predictions.index[place[:, 0]].tolist()
    ranks = zip((-certainty).tolist(), index, range(len(place)), strict=True)
    return [_decision(predictions, groups, place[i]) for *_, i in sorted(ranks)[:most]]


def first_rows(predictions: Predictions, groups: Groups, group: int, *, most: int) -> list[int]:
    """Data set rows of the first ``most`` images of one group."""
    place, _ = _members(predictions, groups, group)
    rows = dict.fromkeys(place[:, 0].tolist())
    return [int(predictions.index[row]) for row in list(rows)[:most]]


def right_and_wrong(predictions: Predictions, groups: Groups, group: int) -> list[Decision]:
    """Two decisions of one group: the first right and the first wrong one.

    If all decisions are right, or all wrong, these are the first two.
    """
    place, right = _members(predictions, groups, group)
    kinds = [place[right], place[~right]]
    shown = [kind[:1] for kind in kinds] if all(len(kind) for kind in kinds) else [place[:2]]
    return [_decision(predictions, groups, at) for kind in shown for at in kind]


def thumbnail(image: Image, mask: Mask | None, *, sides: tuple[int, int] = SIDES) -> str:
    """Encode a picture as a JPEG ``data:`` address, with a white outline of its mask.

    Args:
        image: ``(H, W, 3)`` uint8 RGB picture.
        mask: ``(H, W)`` mask, see ``Mask``; ``None`` draws no outline.
        sides: smallest and largest longer side of the result, in pixels.
    """
    import cv2

    longer = max(image.shape[:2])
    scale = min(max(longer, sides[0]), sides[1]) / longer
    size = tuple(max(1, round(length * scale)) for length in (image.shape[1], image.shape[0]))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if mask is not None:
        inside = _binary(mask).astype(np.uint8)
        inside = cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, outlines, -1, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.drawContours(small, outlines, -1, (255, 255, 255), 2, cv2.LINE_AA)
    small = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _by_cell(report: Report, predictions: Predictions) -> tuple[Predictions, Groups]:
    """The predictions and groups of a report; classes act as groups if no bias label is known."""
    if report.test.kind == "group":
        return predictions, report.groups
    return replace(predictions, bias=predictions.bias.clamp(min=0)), report.groups.classes


def _pictures(mistake: Decision, views: Views) -> tuple[str | None, str | None]:
    """The picture of a mistake and the one under its map; both ``None`` if it is unreadable."""
    try:
        picture = thumbnail(*views.pictures(mistake.index)) if views.pictures else None
        overlay = views.overlays(mistake.index) if views.overlays else None
    except (OSError, InputError):
        return None, None
    return picture, None if overlay is None else thumbnail(overlay, None, sides=MAP_SIDES)


def _members(predictions: Predictions, groups: Groups, group: int) -> tuple[Tensor, Tensor]:
    """The members of a group, and whether each is predicted right.

    A member is its position in the target: ``(M, 1)``, or ``(M, 2)`` for multi-label targets.
    """
    target = predictions.target
    place = (groups.encode(target, predictions.bias) == group).nonzero()
    return place, (predictions.prediction(groups) == target)[tuple(place.T)]


def _decision(predictions: Predictions, groups: Groups, place: Tensor) -> Decision:
    row = int(place[0])
    one, at = slice(row, row + 1), (0, *place[1:].tolist())
    logits = predictions.logits[one]
    names, predicted = groups.target_names, groups.predict(logits)
    return Decision(
        int(predictions.index[row]),
        predictions.paths[row],
        names[int(groups.row(predictions.target[one])[at])],
        names[int(groups.row(predicted)[at])],
        _certainty(logits, groups)[at].sigmoid().item(),
    )


def _certainty(logits: Tensor, groups: Groups) -> Tensor:
    """Log-odds of the predicted class or state, in float64, with the shape of the target."""
    logits = logits.double()
    if groups.multi_label:
        return logits.abs()
    chosen = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, chosen, float("-inf")).logsumexp(dim=1)
    return logits.gather(1, chosen).squeeze(1) - others


def _binary(mask: Mask) -> NDArray[np.bool_]:
    half = 127 if mask.dtype == np.uint8 and mask.max(initial=0) > 1 else 0.5
    return np.asarray(mask.squeeze() > half)
