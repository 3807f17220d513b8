"""The pictures of a run's page: mistakes, what the model is given, and where it looks."""

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

#: How many mistakes the grid shows, and how many prepared images of a group.
MISTAKES = 12
PREPARED = 2

Image = NDArray[np.uint8]
#: Foreground is anything above half of the range of its type, or 0.5.
Mask = NDArray[Any]


class Views(NamedTuple):
    """The predictions of the test split, and functions of a data set row that give pictures of it.

    Attributes:
        predictions: of the test split.
        pictures: gives the ``(H, W, 3)`` uint8 RGB picture, and its ``(H, W)`` mask or ``None``. A
            picture that cannot be read leaves its caption.
        prepared: gives the picture beside what the model is given of it, ``(H, W, 3)``; ``None`` if
            they are the same.
        overlays: gives the picture with what the model looks at laid over it, ``(H, W, 3)``;
            ``None`` without any.
    """

    predictions: Predictions
    pictures: Callable[[int], tuple[Image, Mask | None]] | None = None
    prepared: Callable[[int], Image | None] | None = None
    overlays: Callable[[int], Image | None] | None = None


@dataclass(frozen=True)
class Decision:
    """What was predicted of a data set row, or of one of its labels.

    Attributes:
        index: the row.
        path: of the picture.
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
        """Whether the prediction is true."""
        return self.target == self.predicted


def mistakes(report: Report, views: Views | None) -> list[tuple[Decision, str | None]] | None:
    """The worst group's most confident mistakes and their pictures; ``None`` where there is nothing
    to show them by.
    """
    worst = report.test.worst
    if views is None or views.pictures is None or worst is None:
        return None
    number = report.test.cells.index(worst)
    found = confident_mistakes(*_by_cell(report, views.predictions), number, most=MISTAKES)
    return [(mistake, _picture(mistake, views)) for mistake in found]


def prepared_images(report: Report, views: Views | None) -> list[tuple[int, str, str]] | None:
    """Number and name of a group, and a picture of it, for a few images of shown groups."""
    if views is None or views.prepared is None:
        return None
    found = []
    for number in report.test.shown():
        for row in first_rows(*_by_cell(report, views.predictions), number, most=PREPARED):
            strip = views.prepared(row)
            if strip is None:
                return None
            name = report.test.cells[number].name
            found.append((number, name, thumbnail(strip, None, side=480)))
    return found


def attention(report: Report, views: Views | None) -> list[tuple[int, str, Decision, str]]:
    """Number and name of a group, a decision, and a picture of where the model looks.

    Two images of each group that the charts show, one right and one wrong if there are.
    """
    if views is None or views.overlays is None:
        return []
    found = []
    for number in report.test.shown():
        for decision in right_and_wrong(*_by_cell(report, views.predictions), number):
            picture = views.overlays(decision.index)
            if picture is not None:
                name = report.test.cells[number].name
                found.append((number, name, decision, thumbnail(picture, None)))
    return found


def confident_mistakes(
    predictions: Predictions, groups: Groups, group: int, *, most: int
) -> list[Decision]:
    r"""The wrong predictions of one group, most confident first; equally confident ones by index.

    Confidence is the softmax probability of the predicted class; when multi-label, the sigmoid
    probability of the predicted state of the label. They are ordered by
    :math:`\log p - \log(1 - p)`, which does not saturate at 1.

    Args:
        predictions: of one split.
        groups: numbering and names of the groups.
        group: number of the group.
        most: how many to return at most.
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
    """The first data set rows of one group."""
    place, _ = _members(predictions, groups, group)
    rows = dict.fromkeys(place[:, 0].tolist())
    return [int(predictions.index[row]) for row in list(rows)[:most]]


def right_and_wrong(predictions: Predictions, groups: Groups, group: int) -> list[Decision]:
    """Two rows of one group, the first right and the first wrong; or two of one kind."""
    place, right = _members(predictions, groups, group)
    kinds = [place[right], place[~right]]
    shown = [kind[:1] for kind in kinds] if all(len(kind) for kind in kinds) else [place[:2]]
    return [_decision(predictions, groups, at) for kind in shown for at in kind]


def thumbnail(image: Image, mask: Mask | None, *, side: int = 208) -> str:
    """A picture as a JPEG ``data:`` address, its mask outlined in white on black.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        mask: ``(H, W)`` foreground, anything above half of its type's range (or 0.5); ``None``
            where there is none.
        side: the longer side of the result, in pixels.
    """
    import cv2

    scale = side / max(image.shape[:2])
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
    """Predictions and groups; the groups are the classes where no image has a known bias."""
    if report.test.kind == "group":
        return predictions, report.groups
    return replace(predictions, bias=predictions.bias.clamp(min=0)), report.groups.classes


def _picture(mistake: Decision, views: Views) -> str | None:
    try:
        return thumbnail(*views.pictures(mistake.index)) if views.pictures else None
    except (OSError, InputError):
        return None


def _members(predictions: Predictions, groups: Groups, group: int) -> tuple[Tensor, Tensor]:
    """Places of a group in the target, ``(M, 1)``, or ``(M, 2)`` when multi-label, and whether each
    is right.
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
    """Log-odds of what was predicted, in float64 and of the shape of the target."""
    logits = logits.double()
    if groups.multi_label:
        return logits.abs()
    chosen = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, chosen, float("-inf")).logsumexp(dim=1)
    return logits.gather(1, chosen).squeeze(1) - others


def _binary(mask: Mask) -> NDArray[np.bool_]:
    half = 127 if mask.dtype == np.uint8 and mask.max(initial=0) > 1 else 0.5
    return np.asarray(mask.squeeze() > half)
