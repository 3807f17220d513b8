"""MaskTune: hide the pixels that a trained model attends to, then train it for one more epoch."""

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

    1. ``first``: plain ERM. It gives a map of the true class for each training image. The mask
       contains the pixels whose attribution is more than ``deviations`` standard deviations above
       the mean. Mean and deviation are those of the positive pixels of the map.
    2. The same model is trained for one more epoch with the run's strategy. The masked pixels are
       hidden.

    See :class:`debias.recipes.map_masks.MapMasks` for the mask files and their requirements.

    Source: Taghanaki et al., "MaskTune: Mitigating Spurious Correlations by Forcing to Explore",
    NeurIPS 2022; reference code aliasgharkhani/Masktune.

    Args:
        first: changes to the run's config for the first stage, such as
            ``{optimizer: {lr: 1e-3}}``.
        epochs: epochs of the last stage. The run's ``epochs`` are those of the first stage.
        deviations: how many standard deviations above the mean a pixel must be to be hidden; at
            least 0.
        place: which pixels are hidden. "attended": the masks. "random": the same masks, shifted
            cyclically by random offsets. This control shows whether it matters where pixels are
            hidden.
        fill: colour of the hidden pixels, see :class:`debias.augment.hide_mask.HideMask`.
        layer: dotted name of the layer for Grad-CAM. Default: the last layer with spatial
            positions.
        cam: "grad_cam" or "xgrad_cam", see :func:`debias.models.attribution.grad_cam`. The
            authors use XGrad-CAM.

    Raises:
        ValueError: ``epochs`` is below 1, ``deviations`` is negative, or ``place`` or ``fill`` is
            unknown.

    Differs from the reference: maps are of the true class after the last epoch of the first stage,
    and by default Grad-CAM. The reference uses XGrad-CAM of the predicted class at the best
    validation epoch, and scales a map again after enlarging it. Maps are of whole images, and masks
    are cropped and flipped with them. The reference lays the mask of Waterbirds' central crop over
    the whole image. The last stage starts with a new optimiser and the run's schedule. The
    reference continues with the momentum and the learning rate of the first stage.
    """

    continues = True
    takes_groups = True

    epochs: int = 1
    deviations: float = 2.0
    place: str = "attended"
    fill: str = "black"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, {"recipe.epochs": self.epochs})
        check_at_least(0, {"recipe.deviations": self.deviations})
        check_one_of(PLACES, {"recipe.place": self.place})
        check_one_of(FILLS, {"recipe.fill": self.fill})

    def stages(self, run: Run) -> list[Config]:
        """Configs of the first stage, and of the last stage without its masks.

        Raises:
            ValueError: the run has its own augmentation, or its data set takes no masks.
        """
        run.refuse_own("augment")
        self.refuse_without_masks(run)
        return [run.stage_config(self.first), run.last_config({"epochs": self.epochs})]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The first also makes a map of each training image."""
        first, last = self.stages(run)
        return [Work(first, sizes, looks=1), Work(last, sizes)]

    def train(self, run: Run) -> Trained:
        """Train the first stage, make the masks, and train its model further with pixels hidden."""
        first = run.train_stage("first", run.stage_config(self.first))
        augment = {"name": "hide_mask", "fill": self.fill}
        changes = {"epochs": self.epochs, "data": self.masks(run, first), "augment": augment}
        return run.train_last(changes, start=first)

    def cut(self, run: Run, stage: Stage, rows: Tensor, maps: Tensor) -> Cut:
        """Return the function that masks the attended pixels, or the same number elsewhere if
        ``place`` is "random".
        """
        seed = run.config.seed if self.place == "random" else None
        return partial(hidden_places, deviations=self.deviations, shift_seed=seed)

    @property
    def no_mask(self) -> str:
        """Message of the error that is raised if no pixel of any image would be hidden."""
        return (
            f"no pixel of any map is {self.deviations:g} deviations above its mean, so there is "
            "nothing to hide: lower recipe.deviations, or name an earlier layer with finer maps, "
            "recipe.layer=..."
        )


def hidden_places(
    row: int, enlarged: Tensor, *, deviations: float, shift_seed: int | None = None
) -> Tensor:
    """The pixels of one image that are hidden: ``(H, W)`` bool.

    Args:
        row: row of the image in the data set.
        enlarged: ``(H, W)`` float32 attribution map, enlarged to the size of the image.
        deviations: as in :func:`debias.group_inference.attended.attended`.
        shift_seed: if given, this seed and the row draw offsets, and the mask is shifted cyclically
            by them.
    """
    hidden = attended(enlarged[None], deviations=deviations)[0]
    if shift_seed is None:
        return hidden
    offsets = np.random.default_rng([shift_seed, row]).integers(hidden.shape)
    return hidden.roll(tuple(offsets.tolist()), dims=(0, 1))
