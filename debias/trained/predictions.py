"""The predictions of new pictures, without labels: classes, probabilities, and a CSV of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from debias.files import write_atomically
from debias.types import Groups

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class ImagePredictions:
    """The predictions of N images that could be read, and the images that could not.

    Attributes:
        names: path of each image; its position if it is no file.
        logits: ``(N, outputs)`` float32 on the CPU.
        groups: names of the classes or labels.
        unreadable: path and reason of each image that could not be read.
    """

    names: tuple[str, ...]
    logits: Tensor
    groups: Groups
    unreadable: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Name of each output: the classes, or the labels."""
        names = self.groups.target_names
        return names[1::2] if self.groups.multi_label else names

    @property
    def predicted(self) -> Tensor:
        """Predicted classes ``(N,)``, or 0/1 labels ``(N, L)`` if multi-label."""
        return self.groups.predict(self.logits)

    @property
    def classes(self) -> list[str]:
        """Name of each image's predicted class; with several labels, those present, joined."""
        if not self.groups.multi_label:
            return [self.outputs[row] for row in self.predicted.tolist()]
        pairs = [zip(self.outputs, row, strict=True) for row in self.predicted.tolist()]
        return [" & ".join(name for name, present in pair if present) for pair in pairs]

    @property
    def probabilities(self) -> Tensor:
        """``(N, outputs)`` float32: softmax of the logits, or sigmoid with several labels."""
        return self.logits.sigmoid() if self.groups.multi_label else self.logits.softmax(dim=1)

    def columns(self) -> dict[str, list[object]]:
        """Columns of the table: path, class, the probability of each class, and error.

        Images that could not be read come last. They have a path and an error alone.
        """
        bad = len(self.unreadable)
        columns: dict[str, list[object]] = {"path": [*self.names, *self.unreadable]}
        if self.groups.multi_label:
            decided = zip(self.outputs, self.predicted.T.tolist(), strict=True)
            columns |= {f"prediction_{name}": [*values, *[None] * bad] for name, values in decided}
        else:
            columns["prediction"] = [*self.classes, *[None] * bad]
        scores = zip(self.outputs, self.probabilities.T.tolist(), strict=True)
        columns |= {f"probability_{name}": [*values, *[None] * bad] for name, values in scores}
        return columns | {"error": [*[None] * len(self), *self.unreadable.values()]}

    def table(self) -> pandas.DataFrame:
        """The columns as a DataFrame, with one row per image."""
        import pandas

        return pandas.DataFrame(self.columns())

    def text(self) -> str:
        """The columns as CSV, with six significant digits.

        Bytes of a file name that are not UTF-8 are written as in ``caf\\udce9.jpg``.
        """
        columns, text = self.columns(), io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in row)
        return text.getvalue().encode(errors="backslashreplace").decode()

    def write(self, path: Path) -> None:
        """Write the columns as CSV. The file appears whole or not at all."""
        write_atomically(path, self.text())
