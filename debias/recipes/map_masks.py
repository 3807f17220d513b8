"""Base class of recipes whose last stage uses masks made from Grad-CAM maps of the first stage."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from debias import components, processes
from debias.config import Config
from debias.data.masks.files import check_shared, write_masks
from debias.data.masks.grabcut import Made
from debias.data.masks.makers import Maker
from debias.data.pictures.geometry import Pixels
from debias.errors import InputError, check_one_of
from debias.evaluation.attention import attention_maps, check_maps
from debias.merging import Settings
from debias.models.attribution import CAMS
from debias.parts import Parts
from debias.runs.run import Recipe, Run, Stage

#: A function from a row and its map, ``(H, W)`` float at image size, to its mask, ``(H, W)`` bool.
Cut = Callable[[int, Tensor], Tensor]


@dataclass(kw_only=True)
class MapMasks(Recipe):
    """Base class of recipes whose last stage uses masks made from Grad-CAM maps of the first stage.

    The masks are ``masks/<image without its suffix>.png`` in the run's folder. The last stage uses
    them in place of the masks of the data set. To measure attention on the data set's own
    foreground masks, call ``debias evaluate RUN data.masks=FOLDER``. Needs the extra
    ``attribution``.

    Args:
        first: changes to the run's config for the first stage.
        layer: dotted name of the layer for Grad-CAM. Default: the last layer with spatial
            positions.
        cam: "grad_cam" or "xgrad_cam", see :func:`debias.models.attribution.grad_cam`.

    Raises:
        ValueError: ``cam`` is unknown.
    """

    first: Settings | None = None
    layer: str | None = None
    cam: str = "grad_cam"

    def __post_init__(self) -> None:
        check_one_of(CAMS, {"recipe.cam": self.cam})

    @abstractmethod
    def cut(self, run: Run, stage: Stage, rows: Tensor, maps: Tensor) -> Cut:
        """Return the function that turns the map of a row into its mask.

        Args:
            run: the run.
            stage: the finished first stage.
            rows: ``(M,)`` int64 training rows.
            maps: ``(M, h, w)`` float32 Grad-CAM map of each row, at the layer's resolution.
        """

    @property
    def no_mask(self) -> str:
        """Message of the error that is raised if every mask is empty."""
        return "every mask is empty, since every Grad-CAM map is zero: train the first stage longer"

    def refuse_without_masks(self, run: Run) -> None:
        """Raise an error before training if the reader of the data set takes no folder of masks.

        Raises:
            ValueError: it has no option ``masks``.
        """
        name = run.config.data["name"]
        if "masks" not in components.options(components.find("data", name)):
            raise InputError(
                f"recipe.name={run.config.recipe['name']} writes masks of the images, but "
                f"data.name={name} has no option masks: read the images with data.name=arrays, "
                "folder, table or pattern"
            )

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error for several labels per image, a model without spatial maps, or training
        images that would share a mask.
        """
        check_shared(parts.examples, parts.examples.rows("train").tolist())
        check_maps(parts, layer=self.layer)

    def masks(self, run: Run, stage: Stage) -> Settings:
        """Write the masks unless they exist, and return the ``data`` options for the last stage.

        Args:
            run: the run whose folder receives the masks.
            stage: the finished first stage, whose model gives the maps.

        Raises:
            ValueError: every mask is empty.
        """
        folder = run.folder / "masks"
        processes.by_first(partial(self._write, run, stage, folder))
        # the run's table may name masks in a column: a column and a folder together are an error
        column = {"mask": None} if "mask" in run.config.data else {}
        return {"masks": str(folder), **column}

    def _write(self, run: Run, stage: Stage, folder: Path) -> None:
        if (folder / "done").is_file():
            return
        rows, progress = stage.examples.rows("train"), run.config.progress
        maps = attention_maps(stage.parts, rows, layer=self.layer, cam=self.cam, progress=progress)
        cut = self.cut(run, stage, rows, maps)
        make = mask_maker(dict(zip(rows.tolist(), maps, strict=True)), cut)
        records = write_masks(stage.examples, rows.tolist(), make, folder, threads=8)
        if not any(record.share for record in records):
            raise InputError(self.no_mask)
        (folder / "done").touch()


def mask_maker(maps: Mapping[int, Tensor], cut: Cut) -> Maker:
    """Return a function that makes the mask of an image from its enlarged attribution map.

    Args:
        maps: ``(h, w)`` float32 map of each row.
        cut: function from a row and its enlarged map to its mask.
    """

    def make(row: int, image: Pixels) -> Made:
        """Make the mask of one image, at its size."""
        size = image.shape[1::-1]
        enlarged = cv2.resize(maps[row].numpy(), size, interpolation=cv2.INTER_LINEAR)
        mask = cut(row, torch.from_numpy(enlarged)).numpy()
        return Made(mask * np.uint8(255), bool(maps[row].any()) and bool(mask.any()))

    return make
