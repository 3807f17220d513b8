"""A step of an audit: what it computes once and keeps, and what it says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.lines import AuditLine, Section
from debias.audits.model import AuditedModel
from debias.data.examples import Examples

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
        encoder: name of the frozen network for features, or "none".
        found: what earlier steps computed, by name of the step.
        model: the trained model under audit, or ``None`` if the data alone are audited.
    """

    examples: Examples
    rows: NDArray[np.int64]
    target: NDArray[np.int64]
    split: NDArray[np.int64]
    classes: tuple[str, ...]
    pictures: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None
    seed: int
    encoder: str
    found: dict[str, Arrays]
    model: AuditedModel | None = None


class Step(NamedTuple):
    """One step of an audit.

    Attributes:
        name: name in ``Audited.found``, in messages and in ``checks=``.
        needs: names of the steps whose arrays it reads.
        compute: the slow part. Its arrays are kept, so that a killed audit resumes after it.
        lines: what the arrays say; fast.
        section: the section of the page, or ``None`` if there is nothing to show; fast.
        unavailable: why the step cannot run on these images, as one sentence; empty if it can.
        write: writes the CSV files of the step into the folder of the audit; fast.
    """

    name: str
    needs: tuple[str, ...]
    compute: Callable[[Audited], Arrays]
    lines: Callable[[Audited], Sequence[AuditLine]]
    section: Callable[[Audited], Section | None]
    unavailable: Callable[[Audited], str] = lambda audited: ""
    write: Callable[[Audited, Path], None] = lambda audited, folder: None
