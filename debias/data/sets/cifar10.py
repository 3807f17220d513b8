"""CIFAR-10 without a bias."""

from debias.data.examples import Examples
from debias.data.made.cifar import CLASSES, read_cifar10
from debias.data.made.folder import unchanged
from debias.data.sets.arrays import arrays


def cifar10(*, root: str = "data/cifar10", val: int = 5000, seed: int = 0) -> Examples:
    """CIFAR-10 as it is. The first call writes the images of its files as one array.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: a folder with one of the forms of CIFAR-10: ``cifar-10-batches-py`` (the Python
            version), ``cifar-10-batches-bin`` (the binary version), or folders
            ``train/<class>/*.png`` and ``test/<class>/*.png``, also ``.jpg``.
        val: number of training images to hold out for validation; see ``coloured_mnist``.
        seed: seed of the held-out images.

    Returns:
        All splits. No bias is known.

    Raises:
        ValueError: ``val`` or ``seed`` is out of range, or a file is missing or damaged.
    """
    folder = unchanged(root, "cifar10", read_cifar10, val=val, seed=seed)
    return arrays(root=str(folder), bias=None, target_names=list(CLASSES))
