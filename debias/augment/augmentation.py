"""What an augmentation is: a change of each training batch, on the device."""

from typing import ClassVar

from torch import nn

from debias.types import Batch, Groups


class Augmentation(nn.Module):
    """A change of each training batch. Composes with every strategy that its facts allow.

    The first positional arguments of a constructor are facts of the data (``groups``, ``mean``).
    Its keyword-only arguments are its options; their defaults stand there and nowhere else.

    Args:
        groups: the groups of the data, where the augmentation reads them.

    Attributes:
        requires: what the training data must carry, as of
            :class:`debias.strategies.strategy.Strategy`.
        single_label: whether it needs one class per sample, and refuses several labels.
        mixes_targets: whether targets become class probabilities.
        reads_backgrounds: whether it needs the filled background of each picture.
        moves_bias: whether it changes how often each bias value occurs with each class.

    Raises:
        ValueError: multi-label targets, where ``single_label`` is set.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    single_label: ClassVar[bool] = False
    mixes_targets: ClassVar[bool] = False
    reads_backgrounds: ClassVar[bool] = False
    moves_bias: bool = False

    def __init__(self, groups: Groups | None = None) -> None:
        super().__init__()
        if self.single_label and groups is not None:
            groups.check_single_label(type(self).__name__)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """The changed batch; random numbers come from torch's global generators.

        Args:
            batch: of training; left as it is.
            progress: share of the training that is done, in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} defines no forward")


class Unchanged(Augmentation):
    """Leave every batch as it is."""

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """The batch itself."""
        return batch
