"""The worst group's most confident mistakes, and pictures small enough for a page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from debias.reports.predictions import Predictions
    from debias.types import Groups

Image = NDArray[np.uint8]
#: Gives the ``(H, W, 3)`` uint8 RGB picture of a data set row, and its ``(H, W)`` mask or ``None``.
Pictures = Callable[[int], tuple[Image, NDArray[Any] | None]]
#: Gives a picture of a data set row beside what the model is given of it, ``(H, W, 3)``; ``None``
#: if they are the same.
Prepared = Callable[[int], Image | None]
#: Gives the picture of a data set row with what the model looks at laid over it, ``(H, W, 3)``;
#: ``None`` without any.
Overlays = Callable[[int], Image | None]


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction: data set row, file, names of the true and the predicted class,
    confidence in [0, 1].
    """

    index: int
    path: str
    target: str
    predicted: str
    confidence: float


class Decision(NamedTuple):
    """What was predicted of one data set row: names of the true and the predicted class, and
    whether it is right.
    """

    row: int
    target: str
    predicted: str
    right: bool


def confident_mistakes(
    predictions: Predictions, groups: Groups, group: int, *, most: int
) -> list[Mistake]:
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
    import torch

    prediction = predictions.prediction(groups)
    wrong = (groups.encode(predictions.target, predictions.bias) == group) & (
        prediction != predictions.target
    )
    place = wrong.nonzero()
    certainty = _certainty(predictions, groups)[tuple(place.T)]
    order = sorted(
        range(len(place)),
        key=lambda i: (-certainty[i].item(), predictions.index[place[i, 0]].item()),
    )
    true, chosen = (
        groups.row(values)[tuple(place.T)].tolist() for values in (predictions.target, prediction)
    )
    row = place[:, 0].tolist()
    return [
        Mistake(
            index=int(predictions.index[row[i]]),
            path=predictions.paths[row[i]],
            target=groups.target_names[true[i]],
            predicted=groups.target_names[chosen[i]],
            confidence=torch.sigmoid(certainty[i]).item(),
        )
        for i in order[:most]
    ]


def first_rows(predictions: Predictions, groups: Groups, group: int, *, most: int) -> list[int]:
    """The first data set rows of one group."""
    members = groups.encode(predictions.target, predictions.bias) == group
    found: list[int] = predictions.index[members if members.ndim == 1 else members.any(dim=1)][
        :most
    ].tolist()
    return found


def right_and_wrong(predictions: Predictions, groups: Groups, group: int) -> list[Decision]:
    """Two rows of one group, the first right and the first wrong; or two of one kind."""
    prediction, target = predictions.prediction(groups), predictions.target
    place = (groups.encode(target, predictions.bias) == group).nonzero()
    right = (prediction == target)[tuple(place.T)]
    kinds = [place[right], place[~right]]
    shown = [kind[:1] for kind in kinds] if all(len(kind) for kind in kinds) else [place[:2]]
    true, chosen = groups.row(target), groups.row(prediction)
    return [
        Decision(
            int(predictions.index[at[0]]),
            groups.target_names[int(true[tuple(at)])],
            groups.target_names[int(chosen[tuple(at)])],
            bool(true[tuple(at)] == chosen[tuple(at)]),
        )
        for kind in shown
        for at in kind
    ]


def thumbnail(image: Image, mask: NDArray[Any] | None, *, side: int = 208) -> str:
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
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82]
    )
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _certainty(predictions: Predictions, groups: Groups) -> Any:
    """Log-odds of what was predicted, in float64 and of the shape of the target."""
    logits = predictions.logits.double()
    if groups.multi_label:
        return logits.abs()
    chosen = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, chosen, float("-inf")).logsumexp(dim=1)
    return logits.gather(1, chosen).squeeze(1) - others


def _binary(mask: NDArray[Any]) -> NDArray[np.bool_]:
    half = 127 if mask.dtype == np.uint8 and mask.max(initial=0) > 1 else 0.5
    return np.asarray(mask.squeeze() > half)
