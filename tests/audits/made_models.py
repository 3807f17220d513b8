"""Models made by hand whose leaning is known, and pictures on which it shows."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from debias.audits.lines import AuditLine, Section
from debias.audits.model import AuditedModel, ModelPictures
from debias.audits.steps import Audited, Step
from debias.data.examples import Examples
from debias.data.pictures.geometry import Geometry
from debias.trained.picture_model import PictureModel
from debias.types import Groups
from tests.fakes import BackboneNetwork

SIDE = 32
#: The object: the square in the middle.
OBJECT = np.zeros((SIDE, SIDE), bool)
OBJECT[8:24, 8:24] = True
#: Names of the classes.
GROUPS = Groups(("cat", "dog"), ("unknown",))


class Region(nn.Module):
    """Mean of ``(N, C, H, W)`` maps over a region."""

    def __init__(self, where: NDArray[np.bool_]) -> None:
        super().__init__()
        self.register_buffer("share", torch.from_numpy(where / where.sum()).float())

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C)``."""
        return torch.einsum("nchw,hw->nc", maps, self.share)


class RegionReader(BackboneNetwork):
    """Says "dog" if one channel is brighter than grey in one region, however little."""

    def __init__(self, where: NDArray[np.bool_], channel: int) -> None:
        super().__init__(nn.Sequential(nn.Conv2d(3, 2, 1), Region(where)), nn.Linear(2, 2))
        self.mean, self.std, self.feature_size = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 2
        with torch.no_grad():
            self.backbone[0].weight.zero_()
            self.backbone[0].weight[0, channel] = -1
            self.backbone[0].weight[1, channel] = 1
            self.backbone[0].bias.zero_()
            self.head.weight.copy_(20 * torch.eye(2))
            self.head.bias.zero_()


class MadeModel(AuditedModel):
    """A model whose pictures are held in memory."""

    def __init__(self, network: nn.Module, images, masks, run: Path | None = None) -> None:
        model = PictureModel(network, Geometry((), SIDE, SIDE), GROUPS)
        super().__init__(model.eval(), run, "made")
        object.__setattr__(self, "held", (images, masks))

    def pictures(self, examples: Examples, rows: NDArray[np.int64]) -> ModelPictures:
        """The held pictures of some rows."""
        images, masks = self.held
        return ModelPictures(images[rows], None if masks is None else masks[rows])


def square(top: int, side: int) -> NDArray[np.bool_]:
    """A square on the diagonal."""
    where = np.zeros((SIDE, SIDE), bool)
    where[top : top + side, top : top + side] = True
    return where


def background_reader() -> nn.Module:
    """Reads red of four pixels outside the object."""
    return RegionReader(square(5, 2), 0)


def object_reader() -> nn.Module:
    """Reads green of four pixels inside the object."""
    return RegionReader(square(15, 2), 1)


def made_run(
    network: nn.Module,
    *,
    rows: int = 240,
    masks: bool = True,
    mark: bool = False,
    conflicting: int = 10,
) -> Audited:
    """Pictures of two classes, and a model of them.

    Green of the object is the class. Red of the surroundings is another class in one of so many
    pictures of each class. A mark is a white square at the corner of every dog.
    """
    generator = np.random.default_rng(0)
    target = np.arange(rows) % 2
    agrees = np.arange(rows) // 2 % conflicting > 0
    split = np.repeat([0, 1, 2], [rows // 3, rows // 3, rows - 2 * (rows // 3)])
    images = generator.integers(98, 158, (rows, SIDE, SIDE, 3)).astype(np.float64)
    images[:, OBJECT, 1] += np.where(target, 25, -25)[:, None]
    images[:, ~OBJECT, 0] += np.where(target == agrees, 25, -25)[:, None]
    if mark:
        images[target == 1, :4, :4] = 250
    images = images.clip(0, 255).astype(np.uint8)
    held = np.broadcast_to(OBJECT, (rows, SIDE, SIDE)) if masks else None
    examples = Examples(
        root=Path("made"),
        images=tuple(f"{row:04}.png" for row in range(rows)),
        target=torch.from_numpy(target),
        bias=torch.full((rows,), -1),
        split=torch.from_numpy(split),
        groups=GROUPS,
        source=Path("made.csv"),
    )
    model = MadeModel(network, images, held)
    names = GROUPS.target_names
    return Audited(
        examples, np.arange(rows), target, split, names, images, held, 0, None, {}, model
    )


def done(step: Step, audited: Audited) -> tuple[list[AuditLine], Section | None]:
    """The lines and the section of a step, whose result the audit then has."""
    assert step.unavailable(audited) == ""
    audited.found[step.name] = step.compute(audited)
    return list(step.lines(audited)), step.section(audited)
