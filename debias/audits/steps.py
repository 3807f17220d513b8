"""A step of an audit: what it computes once and keeps, and what it says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.lines import AuditLine, Section
from debias.audits.model import AuditedModel
from debias.data.examples import SPLITS, Examples

#: Arrays by name, as one step computes them. They are kept in a file, without pickled objects.
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Audited:
    """The images under audit, with all that steps may read.

    Args:
        examples: all rows of the data. An audit does not read their ``bias``.
        rows: ``(N,)`` int64 rows of ``examples`` that were drawn, by split and then file order.
        target: ``(N,)`` int64 classes.
        split: ``(N,)`` int64 positions in ``SPLITS``.
        classes: names of the classes.
        pictures: ``(N, S, S, 3)`` uint8 images, short side resized and centre cropped.
        masks: ``(N, S, S)`` bool foregrounds of the same geometry, or ``None`` without masks.
        seed: seed of all draws.
        encoder: the network whose features cues and rows are read from, or ``None``.
        found: what earlier steps computed, by name of the step.
        model: the trained model under audit, or ``None`` if the data alone are audited.
        stimuli: folder of the stimuli of association tests, or ``None``.
        mirror: whether an image and its mirror image are duplicates.
    """

    examples: Examples
    rows: NDArray[np.int64]
    target: NDArray[np.int64]
    split: NDArray[np.int64]
    classes: tuple[str, ...]
    pictures: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None
    seed: int
    encoder: AuditedModel | None
    found: dict[str, Arrays]
    model: AuditedModel | None = None
    stimuli: Path | None = None
    mirror: bool = False

    @property
    def judged(self) -> NDArray[np.int64]:
        """``(M,)`` positions of the images in which cues are looked for.

        They are those of the training split; or all, if it has fewer than two classes.
        """
        train = np.flatnonzero(self.split == SPLITS.index("train"))
        return train if len(np.unique(self.target[train])) > 1 else np.arange(len(self.target))

    @property
    def encoder_saw_labels(self) -> bool:
        """Whether the encoder is the backbone of a run: it was trained on labels of images."""
        return self.encoder is not None and self.encoder.run is not None


class Step(NamedTuple):
    """One step of an audit.

    Attributes:
        name: name in ``Audited.found``, in messages and in ``checks=``.
        needs: names of the steps whose arrays it reads.
        compute: the slow part. Its arrays are kept, so that a killed audit resumes after it.
        lines: what the arrays say; fast.
        section: the section of the page, or ``None`` if there is nothing to show; fast.
        unavailable: why the step cannot run on these images, in a few words, such as "no masks";
            empty if it can.
        write: writes the step's files, such as ``groups.csv``, into the folder of the audit; fast.
        version: number that grows when ``compute`` changes, so that older arrays are not reused.
        on_request: whether ``checks=all`` leaves it out, because it is slow or needs an option.
        uses: names of further steps whose arrays it reads if these steps can run.
        settings: text that changes with the options that ``compute`` reads. An audit with other
            options then computes again only this step and those that need it.
        files: patterns of the files that ``write`` writes, in the folder of the audit. Those of an
            earlier audit are removed at the start.
    """

    name: str
    needs: tuple[str, ...]
    compute: Callable[[Audited], Arrays]
    lines: Callable[[Audited], Sequence[AuditLine]]
    section: Callable[[Audited], Section | None]
    unavailable: Callable[[Audited], str] = lambda audited: ""
    write: Callable[[Audited, Path], None] = lambda audited, folder: None
    version: int = 1
    on_request: bool = False
    uses: tuple[str, ...] = ()
    settings: Callable[[Audited], str] = lambda audited: ""
    files: tuple[str, ...] = ()


def encoder_digest(audited: Audited) -> str:
    """Text that changes with the encoder, for the ``settings`` of a step that reads it."""
    return audited.encoder.digest if audited.encoder else ""
