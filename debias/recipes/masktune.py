"""MaskTune: what the model looked at is hidden, and it goes on for an epoch with what is left."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from debias.augment.hide_mask import FILLS
from debias.config import Config
from debias.errors import check_at_least, check_one_of
from debias.group_inference.attended import attended
from debias.recipes.map_masks import Cut, MapMasks
from debias.runs.run import Run, Stage, Trained
from debias.runs.work import Sizes, Work

PLACES = ("attended", "random")


@dataclass(kw_only=True)
class MaskTune(MapMasks):
    """Mask what a trained model looks at most, then train one more epoch.

    1. ``first``: plain ERM; its Grad-CAM map of each training picture's true class. Places beyond
       ``deviations`` standard deviations above the mean of the map's positive ones are the mask of
       the picture.
    2. The same model goes on for an epoch, by the run's strategy, on pictures whose mask is hidden.

    See :class:`debias.recipes.map_masks.MapMasks` for the files of the masks, and for what they
    need.

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
        ValueError: an option out of range, or the run has an augmentation of its own; and after the
            first stage, no place stands out of any map.

    Differs from the reference: Grad-CAM of the true class, not XGrad-CAM of the predicted one, of
    the first stage's last epoch, not of its best on validation; maps are of whole pictures, and
    masks go through crops and flips with them (there the mask of Waterbirds' central crop is laid
    over the whole picture); the last stage begins with a fresh optimiser and the run's schedule,
    where the code goes on with the momentum and the rate it had.
    """

    takes_groups = True

    epochs: int = 1
    deviations: float = 2.0
    place: str = "attended"
    fill: str = "black"

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.epochs": self.epochs})
        check_at_least(0, {"recipe.deviations": self.deviations})
        check_one_of(PLACES, {"recipe.place": self.place})
        check_one_of(FILLS, {"recipe.fill": self.fill})

    def stages(self, run: Run) -> list[Config]:
        """The first, and the last but for what it hides.

        Raises:
            ValueError: the run has an augmentation of its own.
        """
        run.refuse_own("augment")
        return [run.stage_config(self.first), run.last_config({"epochs": self.epochs})]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The first stage, a map of each training image, and the last."""
        first, last = self.stages(run)
        return [Work(first, sizes, looks=1), Work(last, sizes)]

    def train(self, run: Run) -> Trained:
        """Train, hide what was looked at, go on."""
        first = run.train_stage("first", run.stage_config(self.first))
        augment = {"name": "hide_mask", "fill": self.fill}
        changes = {"epochs": self.epochs, "data": self.masks(run, first), "augment": augment}
        return run.train_last(changes, start=first)

    def cut(self, run: Run, stage: Stage, rows: Tensor, maps: Tensor) -> Cut:
        """The attended places, or as many elsewhere."""
        seed = run.config.seed if self.place == "random" else None
        return partial(hidden_places, deviations=self.deviations, shift_seed=seed)

    @property
    def no_mask(self) -> str:
        """The error where nothing would be hidden."""
        return (
            f"no place of any map is {self.deviations:g} deviations above its mean, so there is "
            "nothing to hide: lower recipe.deviations, or name an earlier layer, whose maps are "
            "finer, recipe.layer=..."
        )


def hidden_places(
    row: int, enlarged: Tensor, *, deviations: float, shift_seed: int | None = None
) -> Tensor:
    """The places of one picture that are hidden, ``(H, W)`` bool.

    Args:
        row: of the picture.
        enlarged: ``(H, W)`` float32, its map at its size.
        deviations: see :func:`debias.group_inference.attended.attended`.
        shift_seed: where given, the places are shifted round the picture by offsets drawn from it
            and the row.
    """
    hidden = attended(enlarged[None], deviations=deviations)[0]
    if shift_seed is None:
        return hidden
    offsets = np.random.default_rng([shift_seed, row]).integers(hidden.shape)
    return hidden.roll(tuple(offsets.tolist()), dims=(0, 1))
