"""Masks from the Grad-CAM maps of a first stage, which the last stage reads."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from debias.data.masks.files import write_masks
from debias.data.masks.grabcut import Made
from debias.data.masks.makers import Maker
from debias.data.pictures.geometry import Pixels
from debias.errors import InputError
from debias.evaluation.attention import attention_maps, check_maps
from debias.merging import Settings
from debias.parts import Parts
from debias.runs.run import Recipe, Run, Stage

#: The places of a row's map that are its mask: ``(H, W)`` float of the picture's size to bool.
Cut = Callable[[int, Tensor], Tensor]


@dataclass(kw_only=True)
class MapMasks(Recipe):
    """A recipe whose last stage reads masks that are cut from the maps of its first stage.

    The masks are ``masks/<image without its suffix>.png`` in the run's folder. The last stage reads
    them in place of the data set's own; what is measured on foregrounds needs
    ``debias evaluate RUN data.masks=FOLDER`` with those. Needs the extra ``attribution``.

    Args:
        first: what the first stage changes of the run's config.
        layer: dotted name of the layer that the maps are of; left out, the last that still knows
            places.
    """

    first: Settings | None = None
    layer: str | None = None

    @abstractmethod
    def cut(self, run: Run, stage: Stage, rows: Tensor, maps: Tensor) -> Cut:
        """How the maps ``(M, h, w)`` of the training rows ``(M,)`` become masks."""

    @property
    def no_mask(self) -> str:
        """The error where every mask is empty."""
        return "no map has any place: train the first stage for longer"

    def check(self, parts: Parts) -> None:
        """Refuse several labels an image, and a model without maps."""
        check_maps(parts, layer=self.layer)

    def masks(self, run: Run, stage: Stage) -> Settings:
        """Write the masks that are missing; return the options of the data that read them.

        Raises:
            ValueError: every mask is empty.
        """
        folder, rows = run.folder / "masks", stage.examples.rows("train")
        if not (folder / "done").is_file():
            progress = run.config.progress
            maps = attention_maps(stage.parts, rows, layer=self.layer, progress=progress)
            cut = self.cut(run, stage, rows, maps)
            make = mask_maker(dict(zip(rows.tolist(), maps, strict=True)), cut)
            records = write_masks(stage.examples, rows.tolist(), make, folder, threads=8)
            if not any(record.share for record in records):
                raise InputError(self.no_mask)
            (folder / "done").touch()
        # a table may name each image's mask in a column, in place of a folder
        column = {"mask": None} if "mask" in run.config.data else {}
        return {"masks": str(folder), **column}


def mask_maker(maps: Mapping[int, Tensor], cut: Cut) -> Maker:
    """What makes the mask of a row from its attribution map, enlarged to the picture.

    Args:
        maps: ``(h, w)`` float32 of each row.
        cut: see ``Cut``.
    """

    def make(row: int, image: Pixels) -> Made:
        """The mask of one picture."""
        size = image.shape[1::-1]
        enlarged = cv2.resize(maps[row].numpy(), size, interpolation=cv2.INTER_LINEAR)
        mask = cut(row, torch.from_numpy(enlarged)).numpy()
        return Made(mask * np.uint8(255), bool(maps[row].any()) and bool(mask.any()))

    return make
