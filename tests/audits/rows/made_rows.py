"""Audited images without files, for the steps that read pictures and labels alone."""

from pathlib import Path

import numpy as np
import torch

from debias.audits.steps import Audited
from debias.data.examples import Examples
from debias.types import Groups


class Held:
    """Pictures in memory, as a data set's own store."""

    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures = pictures

    def read(self, row: int) -> np.ndarray:
        return np.asarray(self.pictures[row])

    def fingerprint(self, row: int) -> bytes:
        return self.pictures[row].tobytes()


def audited_rows(
    pictures: np.ndarray, target: np.ndarray, split: np.ndarray, whole: np.ndarray | None = None
) -> Audited:
    """All pictures under audit, in the order in which an audit takes them: by split.

    Args:
        pictures: ``(N, S, S, 3)`` uint8, as an audit sees them.
        target: ``(N,)`` classes.
        split: ``(N,)`` splits.
        whole: the pictures of the store, if they are others.
    """
    order = np.argsort(split, kind="stable")
    names = tuple(f"{number:04}.png" for number in range(len(pictures)))
    groups = Groups(("cat", "dog"), ("unknown",))
    unknown = torch.full((len(names),), -1)
    examples = Examples(
        Path(),
        names,
        torch.from_numpy(target),
        unknown,
        torch.from_numpy(split),
        groups,
        Path("made"),
        held=Held(pictures if whole is None else whole),
    )
    given = (order, target[order], split[order], groups.target_names, pictures[order])
    return Audited(examples, *given, None, 0, None, {})
