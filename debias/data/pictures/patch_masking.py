"""A transform of albumentations that blackens random patches of a grid."""

from typing import Any

import albumentations
import numpy as np
from numpy.typing import NDArray


class PatchMasking(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """Blacken random patches of the picture. A foreground mask stays as it is.

    Source: Li et al., "Improving Synthetic Image Detection Towards Generalization: An Image
    Transformation Perspective", KDD 2025; reference code Ouxiang-Li/SAFE.

    Args:
        most: greatest share of the area that is blackened, in [0, 1]. The share is drawn uniformly
            from 0 on, and rounded down to whole patches.
        patch: side of a patch, in pixels.
        p: probability of changing a picture.
    """

    def __init__(self, *, most: float = 0.75, patch: int = 16, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.most, self.patch = most, patch

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw the patches: ``(H, W)`` bool, true in a blackened patch."""
        height, width = params["shape"][:2]
        rows, columns = height // self.patch, width // self.patch
        share = self.random_generator.uniform(0, self.most)
        number = min(int(height * width * share / self.patch**2), rows * columns)
        black = np.zeros(rows * columns, bool)
        black[self.random_generator.permutation(rows * columns)[:number]] = True
        grid = np.kron(black.reshape(rows, columns), np.ones((self.patch, self.patch), bool))
        edges = (0, height - grid.shape[0]), (0, width - grid.shape[1])
        return {"black": np.pad(grid, edges)}

    def apply(
        self, img: NDArray[np.uint8], black: NDArray[np.bool_], shape: tuple[int, ...]
    ) -> Any:
        """The picture with black patches."""
        return np.where(black[..., None], np.uint8(0), img)
