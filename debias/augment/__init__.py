"""Changes of a batch: ``Batch -> Batch``, composable with every strategy. Loads torch and nothing else."""

from debias.augment.recombination import Draws, Recombination, recombine

__all__ = ["Draws", "Recombination", "nothing", "recombine"]


def nothing() -> None:
    """Leaves every batch as the loader gave it."""
