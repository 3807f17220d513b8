"""Base class of augmentations, which change each training batch on the device."""

from typing import ClassVar

from torch import nn

from debias.types import Batch, Groups


class Augmentation(nn.Module):
    """Base class of augmentations: a module that changes each training batch.

    The first positional arguments of a subclass's constructor are facts of the data, such as
    ``groups`` or ``mean``. Its keyword-only arguments are its options. The constructor is the only
    place of their defaults.

    Args:
        groups: the groups of the data, if the augmentation reads them.

    Attributes:
        requires: what the training data must have, as in
            :class:`debias.strategies.strategy.Strategy`.
        single_label: whether it needs one class per sample. Multi-label data are then an error.
        mixes_targets: whether targets become class probabilities.
        reads_backgrounds: whether it needs each image's background with the foreground filled in.
        moves_bias: whether it changes how often each bias value occurs with each class.
        outdates_bias: whether it may change the bias of an image and keep its bias label.
        changes_layers: whether it changes activations inside the model, in place of the batch.

    Raises:
        ValueError: ``single_label`` is set and the targets are multi-label.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    single_label: ClassVar[bool] = False
    mixes_targets: bool = False
    reads_backgrounds: ClassVar[bool] = False
    moves_bias: bool = False
    outdates_bias: bool = False
    changes_layers: bool = False

    def __init__(self, groups: Groups | None = None) -> None:
        super().__init__()
        if self.single_label and groups is not None:
            groups.check_single_label(type(self).__name__)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Return the changed batch. Random numbers come from torch's global generators.

        Args:
            batch: a training batch, which is not modified.
            progress: completed share of the training, in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} defines no forward")


class Unchanged(Augmentation):
    """Return each batch unchanged."""

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Return the same batch object."""
        return batch
