"""MaskTune: what the model looked at is hidden, and it goes on for an epoch with what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from debias.augment.hide_mask import FILLS
from debias.config import Config
from debias.data.masks.files import write_masks
from debias.data.masks.grabcut import Made
from debias.data.masks.makers import Maker
from debias.data.pictures.geometry import Pixels
from debias.errors import InputError
from debias.evaluation.attention import attention_maps, check_maps
from debias.group_inference import attended
from debias.parts import Parts
from debias.runs.plain import refuse_own
from debias.runs.run import Recipe, Run, Stage, Trained
from debias.runs.work import Sizes, Work

PLACES = ("attended", "random")


class MaskTune(Recipe):
    """Mask what a trained model looks at most, then train one more epoch.

    1. ``first``: plain ERM; its Grad-CAM map of each training picture's true class. Places beyond
       ``deviations`` standard deviations above the mean of the map's positive ones are the mask of
       the picture.
    2. The same model goes on for an epoch, by the run's strategy, on pictures whose mask is hidden.

    The masks are ``masks/<image without its suffix>.png`` in the run's folder. The last stage reads
    them in place of the data set's own; what is measured on foregrounds needs
    ``debias evaluate RUN data.masks=FOLDER`` with those. Needs the extra ``attribution``.

    Source: Taghanaki et al., "MaskTune: Mitigating Spurious Correlations by Forcing to Explore",
    NeurIPS 2022; reference code aliasgharkhani/Masktune.

    Args:
        first: what the first stage changes of the run's config, such as
            ``{optimizer: {lr: 1e-3}}``.
        epochs: of the last stage; the run's are those of the first.
        deviations: how far above the mean, in standard deviations, a place must be to be hidden; at
            least 0.
        place: what is hidden: "attended", the masks; "random", the same masks, shifted round the
            picture at random: the control that tells what was hidden from that something was.
        fill: of the hidden places, see :class:`debias.augment.hide_mask.HideMask`.
        layer: dotted name of the layer that the maps are of; left out, the last that still knows
            places.

    Raises:
        ValueError: a bound above is broken, or the run has an augmentation of its own; and after
            the first stage, no place stands out of any map.

    Differs from the reference: Grad-CAM of the true class, not XGrad-CAM of the predicted one, of
    the first stage's last epoch, not of its best on validation; maps are of whole pictures, and
    masks go through crops and flips with them (there the mask of Waterbirds' central crop is laid
    over the whole picture); the last stage begins with a fresh optimiser and the run's schedule,
    where the code goes on with the momentum and the rate it had.
    """

    takes_groups = True

    def __init__(
        self,
        *,
        first: dict[str, Any] | None = None,
        epochs: int = 1,
        deviations: float = 2.0,
        place: str = "attended",
        fill: str = "black",
        layer: str | None = None,
    ) -> None:
        if epochs < 1 or deviations < 0 or place not in PLACES or fill not in FILLS:
            raise InputError(
                f"recipe needs epochs >= 1, deviations >= 0, place one of {', '.join(PLACES)} and "
                f"fill one of {', '.join(FILLS)}; got epochs={epochs}, deviations={deviations}, "
                f"place={place!r}, fill={fill!r}"
            )
        self.first, self.epochs, self.deviations = first, epochs, deviations
        self.place, self.fill, self.layer = place, fill, layer

    def stages(self, run: Run) -> list[Config]:
        """The first, and the last but for what it hides.

        Raises:
            ValueError: the run has an augmentation of its own.
        """
        refuse_own(run.config, "augment")
        return [run.stage_config(self.first), run.last_config({"epochs": self.epochs})]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The first stage, a map of each training image, and the last."""
        first, last = self.stages(run)
        return [Work(first, sizes, looks=1), Work(last, sizes)]

    def check(self, parts: Parts) -> None:
        """Refuse several labels an image, and a model without maps."""
        check_maps(parts, layer=self.layer)

    def train(self, run: Run) -> Trained:
        """Train, hide what was looked at, go on."""
        first = run.train_stage("first", run.stage_config(self.first))
        masks = run.folder / "masks"
        self._write_masks(first, masks, run.config)
        # a table may name each image's mask in a column, in place of a folder
        data = {"masks": str(masks)} | ({"mask": None} if "mask" in run.config.data else {})
        augment = {"name": "hide_mask", "fill": self.fill}
        return run.train_last(
            {"epochs": self.epochs, "data": data, "augment": augment}, start=first
        )

    def _write_masks(self, first: Stage, folder: Path, config: Config) -> None:
        done = folder / "done"
        if done.is_file():
            return
        rows = first.examples.rows("train")
        maps = attention_maps(first.parts, rows, layer=self.layer, progress=config.progress)
        seed = config.seed if self.place == "random" else None
        make = mask_maker(
            dict(zip(rows.tolist(), maps, strict=True)), deviations=self.deviations, shift_seed=seed
        )
        records = write_masks(first.examples, rows.tolist(), make, folder, threads=8)
        if not any(record.share for record in records):
            raise InputError(
                f"no place of any map is {self.deviations:g} deviations above its mean, so there "
                "is nothing to hide: lower recipe.deviations, or name an earlier layer, whose maps "
                "are finer, recipe.layer=..."
            )
        done.touch()


def mask_maker(
    maps: dict[int, torch.Tensor], *, deviations: float, shift_seed: int | None = None
) -> Maker:
    """What makes the mask of a row from its attribution map, enlarged to the picture.

    Args:
        maps: ``(h, w)`` float32 of each row.
        deviations: see :func:`debias.group_inference.attended`.
        shift_seed: where given, each mask is shifted round the picture by offsets drawn from it and
            the row.
    """

    def make(row: int, image: Pixels) -> Made:
        """The mask of one picture."""
        enlarged = cv2.resize(maps[row].numpy(), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        hidden = attended(torch.from_numpy(enlarged)[None], deviations=deviations)[0].numpy()
        if shift_seed is not None:
            hidden = np.roll(
                hidden, np.random.default_rng([shift_seed, row]).integers(hidden.shape), axis=(0, 1)
            )
        return Made(hidden * np.uint8(255), bool(hidden.any()))

    return make
