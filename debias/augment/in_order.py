"""Several augmentations, one after the other."""

from itertools import combinations

from torch import nn

from debias.augment.augmentation import Augmentation
from debias.errors import InputError
from debias.types import Batch


class InOrder(Augmentation):
    """Apply augmentations one after the other.

    Args:
        augmentations: at least one, in their order.

    Raises:
        ValueError: an augmentation needs one class per sample or backgrounds, and one before it
            mixes the classes or uses up the backgrounds.
    """

    def __init__(self, *augmentations: Augmentation) -> None:
        super().__init__()
        for earlier, later in combinations(augmentations, 2):
            _check_pair(earlier, later)
        self.parts = nn.ModuleList(augmentations)
        self.mixes_targets = any(part.mixes_targets for part in augmentations)
        self.moves_bias = any(part.moves_bias for part in augmentations)
        self.outdates_bias = any(part.outdates_bias for part in augmentations)
        self.changes_layers = any(part.changes_layers for part in augmentations)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Return the batch changed by each augmentation in turn."""
        for part in self.parts:
            batch = part(batch, progress)
        return batch


def _check_pair(earlier: Augmentation, later: Augmentation) -> None:
    first, second = type(earlier).__name__, type(later).__name__
    if later.single_label and earlier.mixes_targets:
        raise InputError(
            f"augment: {second} needs one class per sample, and {first} before it mixes classes: "
            "use only one of them"
        )
    if later.reads_backgrounds and earlier.reads_backgrounds:
        raise InputError(
            f"augment: {second} needs the background of each image, and {first} before it uses it "
            "up: use only one of them"
        )
