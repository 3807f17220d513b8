"""Made sets of an audit in memory: noise with planted cues, measured by the cue ladder."""

from pathlib import Path

import numpy as np
import torch

from debias.audits.cues.ladder import CUES, MeasuredCue, measure, measured_cues
from debias.audits.steps import Audited
from debias.data.examples import Examples
from debias.types import Groups
from tests.audits.made_pictures import smooth_noise

SIDE = 48


def noise(rows: int, seed: int, *, side: int = SIDE):
    generator = np.random.default_rng(seed)
    return np.stack([smooth_noise(generator, side) for _ in range(rows)])


def agreeing(target, share: float, seed: int):
    """Values that equal the class in this share of the rows of each class, exactly."""
    value, generator = target.copy(), np.random.default_rng([seed, 7])
    for c in np.unique(target):
        members = generator.permutation(np.flatnonzero(target == c))
        against = members[: round((1 - share) * len(members))]
        value[against] = (c + 1) % (target.max() + 1)
    return value


def tinted(pictures, where, amount: int = 20):
    shown = pictures.astype(int)
    shown[where == 1, :, :, 0] += amount
    return shown.clip(0, 255).astype(np.uint8)


def roughened(pictures, where, amount: int = 12):
    """Adds a checkerboard, which has no colour and no place of its own."""
    row, column = np.indices(pictures.shape[1:3])
    board = np.where((row + column) % 2, amount, -amount)[..., None]
    shown = pictures.astype(int)
    shown[where == 1] += board
    return shown.clip(0, 255).astype(np.uint8)


def made_audit(pictures, target, *, masks=None, split=None, bias=None) -> Audited:
    rows, classes = len(target), int(target.max()) + 1
    names = tuple("abcdefghijklmnopqrstuvwxyz"[:classes])
    split = np.zeros(rows, np.int64) if split is None else split
    examples = Examples(
        root=Path("made"),
        images=tuple(f"{row:04}.png" for row in range(rows)),
        target=torch.from_numpy(target),
        bias=torch.full((rows,), -1) if bias is None else torch.from_numpy(bias),
        split=torch.from_numpy(split),
        groups=Groups(names, ("0", "1")),
        source=Path("made.csv"),
    )
    return Audited(examples, np.arange(rows), target, split, names, pictures, masks, 0, None, {})


def climbed(audited: Audited) -> list[MeasuredCue]:
    """The measured rungs that hide the object, the first finding first."""
    audited.found[CUES] = measure(audited)
    cues = [cue for cue in measured_cues(audited) if not cue.rung.shows_object]
    return sorted(cues, key=lambda cue: bool(cue.explained_by))
