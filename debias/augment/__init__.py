"""Changes of a batch: ``Batch -> Batch``, composable with every strategy. Loads only torch."""

from debias.augment.hiding import HideMask
from debias.augment.lisa import LISA
from debias.augment.mixup import CutMix, Mixup
from debias.augment.recombination import Draws, Recombination, recombine

__all__ = ["LISA", "CutMix", "Draws", "HideMask", "Mixup", "Recombination", "nothing", "recombine"]


def nothing() -> None:
    """Leave every batch as it is."""
