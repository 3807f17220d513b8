"""What each cue says of every image of a data set, also of the images that were not drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.cues.encoder import rung_numbers
from debias.audits.cues.ladder import MeasuredCue, probe_of
from debias.audits.cues.picture_numbers import Masks, Pixels
from debias.audits.cues.probing import CueProbe
from debias.audits.cues.rungs import RUNGS
from debias.audits.drawing import GEOMETRY
from debias.audits.model import AuditedModel
from debias.audits.steps import Audited
from debias.data.pictures.image_files import ImageFiles
from debias.progress import each

#: Images that are decoded at a time, of those that were not drawn.
CHUNK = 256


def cue_words(cues: Sequence[MeasuredCue], audited: Audited) -> NDArray[np.int64]:
    """What cues say of every image: the held-out word of a judged image, else the probe's.

    Args:
        cues: the cues.
        audited: the images. Those of the data set that were not drawn are decoded here, once.

    Returns:
        ``(len(cues), len(audited.examples))`` int64 classes; -1 if the cue needs the mask of an
        image without one.
    """
    word = np.full((len(cues), len(audited.examples)), -1)
    drawn = np.setdiff1d(np.arange(len(audited.rows)), audited.judged)
    masks = None if audited.masks is None else audited.masks[drawn]
    readers = [_CueReader(cue.name, probe_of(audited, cue.name), audited.encoder) for cue in cues]
    for place, (cue, reader) in enumerate(zip(cues, readers, strict=True)):
        word[place, audited.rows[audited.judged]] = cue.scores.argmax(axis=1)
        if len(drawn):
            word[place, audited.rows[drawn]] = reader.words(audited.pictures[drawn], masks)
    others = np.setdiff1d(np.arange(len(audited.examples) * bool(cues)), audited.rows)
    for start in each(range(0, len(others), CHUNK), "reading images that were not drawn", "batch"):
        rows = others[start : start + CHUNK]
        for part in _by_mask(rows, audited):
            decoded = _decoded(part, audited)
            word[:, part] = [reader.words(*decoded) for reader in readers]
    return word


def undrawn_state(audited: Audited) -> str:
    """Text that changes with the pictures and masks of the data set that were not drawn."""
    others = np.setdiff1d(np.arange(len(audited.examples)), audited.rows)
    return " ".join(_files(part, audited).content_key() for part in _by_mask(others, audited))


class _CueReader(NamedTuple):
    """Reads the word of one cue from pictures."""

    cue: str
    probe: CueProbe
    encoder: AuditedModel | None

    def words(self, pictures: Pixels, masks: Masks | None) -> NDArray[np.int64]:
        """``(N,)`` int64 class that the cue says of each picture; -1 without masks it needs."""
        if masks is None and RUNGS[self.cue].needs_masks:
            return np.full(len(pictures), -1)
        numbers = rung_numbers(self.cue, pictures, masks, self.encoder)
        word: NDArray[np.int64] = self.probe.scores(numbers).argmax(axis=1)
        return word


def _by_mask(rows: NDArray[np.int64], audited: Audited) -> list[NDArray[np.int64]]:
    """The rows with a mask, and those without one."""
    masks = audited.examples.masks
    masked = np.array([bool(masks and masks[row]) for row in rows.tolist()], dtype=bool)
    return [part for part in (rows[masked], rows[~masked]) if len(part)]


def _decoded(rows: NDArray[np.int64], audited: Audited) -> tuple[Pixels, Masks | None]:
    fetched = _files(rows, audited).fetch(torch.arange(len(rows)))
    masks = None if fetched.masks is None else fetched.masks.numpy() > 0
    return fetched.images.numpy(), masks


def _files(rows: NDArray[np.int64], audited: Audited) -> ImageFiles:
    return ImageFiles.of(audited.examples, torch.from_numpy(rows), GEOMETRY)
