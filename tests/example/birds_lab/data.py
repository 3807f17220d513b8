"""A data set of one's own: PNG files whose names tell split, class and bias."""

from pathlib import Path

import torch

from debias.data.examples import SPLITS, Examples
from debias.types import Groups


def squares(*, root: str, limit: int | None = None) -> Examples:
    """Squares in a dark or light scene, named as in ``train-0-1-17.png``."""
    paths = sorted(path.name for path in Path(root).glob("*.png"))[:limit]
    cells = [path.split("-") for path in paths]
    return Examples(
        root=Path(root),
        images=tuple(paths),
        target=torch.tensor([int(cell[1]) for cell in cells]),
        bias=torch.tensor([int(cell[2]) for cell in cells]),
        split=torch.tensor([SPLITS.index(cell[0]) for cell in cells]),
        groups=Groups(("small", "large"), ("dark", "light"), aligned=((0, 0), (1, 1))),
        source=Path(root),
    )
