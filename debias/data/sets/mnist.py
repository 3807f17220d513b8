"""MNIST, and data sets in its form such as Fashion-MNIST, without a bias."""

from debias.data.examples import Examples
from debias.data.made.digits import DIGITS, read_mnist
from debias.data.made.folder import unchanged
from debias.data.sets.arrays import arrays


def mnist(
    *,
    root: str = "data/mnist",
    val: int = 5000,
    seed: int = 0,
    target_names: list[str] | None = None,
) -> Examples:
    """MNIST as it is. The first call writes the images of the idx files as one array.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings of
    the IEEE 1998.

    Args:
        root: a folder with the four files, as for ``biased_mnist``.
        val: number of training images to hold out for validation; see ``coloured_mnist``.
        seed: seed of the held-out images.
        target_names: names of the ten classes. By default they are the digits.

    Returns:
        All splits. No bias is known.

    Raises:
        ValueError: ``val`` or ``seed`` is out of range, or a file is missing or damaged.
    """
    folder = unchanged(root, "mnist", read_mnist, val=val, seed=seed)
    return arrays(root=str(folder), bias=None, target_names=target_names or list(DIGITS))
