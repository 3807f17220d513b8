"""The held-out pictures on which a model is measured, in the model's own geometry."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.groups import GROUPS, proposals
from debias.audits.drawing import in_turns, taking_turns
from debias.audits.model import AuditedModel
from debias.audits.steps import Audited
from debias.data.examples import SPLITS

#: Why a step cannot run on data alone.
NO_RUN = "no run"


class HeldOut(NamedTuple):
    """Pictures that the model was not trained on.

    Attributes:
        positions: ``(M,)`` positions among the audited images.
        target: ``(M,)`` classes.
        pictures: ``(M, H, W, 3)`` uint8, as the model receives them.
        masks: ``(M, H, W)`` bool, or ``None``.
    """

    positions: NDArray[np.int64]
    target: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None


def no_run(audited: Audited) -> str:
    """Why a step of a model cannot run; empty if it can."""
    return "" if audited.model else NO_RUN


def model_of(audited: Audited) -> AuditedModel:
    """The model under audit. Call it only where :func:`no_run` is empty."""
    assert audited.model is not None
    return audited.model


def held_out_positions(audited: Audited) -> NDArray[np.int64]:
    """Positions of the test images; of the validation images if there is no test image."""
    for split in ("test", "val"):
        found = np.flatnonzero(audited.split == SPLITS.index(split))
        if len(found):
            return found
    return audited.judged


def held_out(audited: Audited, most: int, *, label: NDArray[np.int64] | None = None) -> HeldOut:
    """Read at most ``most`` held-out pictures.

    Args:
        audited: the images, with a model.
        most: number of pictures.
        label: ``(N,)`` labels of all audited images that take turns, such as groups; by default
            the classes.
    """
    positions = held_out_positions(audited)
    labels = audited.target if label is None else label
    drawn = taking_turns(labels[positions], most, np.random.default_rng([audited.seed, 7]))
    return read_pictures(audited, positions[drawn])


def held_out_in_turns(audited: Audited, most: int) -> HeldOut:
    """At most ``most`` held-out pictures, in an order in which the groups take turns."""
    positions = held_out_positions(audited)
    order = in_turns(turns_of_groups(audited)[positions], np.random.default_rng([audited.seed, 7]))
    return read_pictures(audited, positions[order[:most]])


def read_pictures(audited: Audited, positions: NDArray[np.int64]) -> HeldOut:
    """Read the pictures at some positions as the model receives them."""
    pictures, masks = model_of(audited).pictures(audited.examples, audited.rows[positions])
    return HeldOut(positions, audited.target[positions], pictures, masks)


def turns_of_groups(audited: Audited) -> NDArray[np.int64]:
    """``(N,)`` number of the group (class, what the first proposal says), or the class."""
    for first in proposals(audited)[:1] if GROUPS in audited.found else ():
        return audited.target * len(audited.classes) + first.word[audited.rows]
    return audited.target


def other_pictures(
    target: NDArray[np.int64], generator: np.random.Generator, *, other_class: bool
) -> NDArray[np.int64]:
    """``(N,)`` position of another picture for each picture, at random.

    Args:
        target: ``(N,)`` classes.
        generator: source of the draw.
        other_class: whether the other picture must be of another class.
    """
    places = np.arange(len(target))
    drawn = []
    for place, one in enumerate(target):
        allowed = places[target != one] if other_class else np.delete(places, place)
        drawn.append(int(generator.choice(allowed)) if len(allowed) else place)
    return np.array(drawn, np.int64)


def percent(share: float) -> str:
    """A share as a whole number of percent, such as "97 %"."""
    return f"{100 * share:.0f} %"
