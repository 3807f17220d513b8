"""ShortcutProbe: find the shortcut part of features, and refit the head to do without it."""

from dataclasses import dataclass

from torch import nn

from debias.data.orders import seeded_generator
from debias.heads.orders import halves
from debias.heads.shortcut_probe import ProbeSettings, shortcut_head
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer


@dataclass(kw_only=True)
class ShortcutProbe(LastLayer):
    """Learn a basis of shortcuts from confident mistakes, then refit the last layer against it.

    The basis and the head are fitted on half of the validation split. The other half selects the
    epoch of both. The head's rule is the worst group if the run's rule uses groups, else the worst
    class. See :func:`debias.heads.shortcut_probe.shortcut_head` for steps, source and differences.

    Args:
        size: number of vectors of the basis.
        confident: share of a class among the sure samples of each kind, in [0, 0.5]; 0 takes all
            right and all wrong samples.
        length: weight of the length of the shortcut part.
        unfit: weight of the ratio of the losses of features and shortcut part.
        epochs: epochs of each of the two descents.
        basis_rate: learning rate of the basis.
        learning_rate: learning rate of the head.
        weight_decay: weight decay of both.
        batch_size: pairs of samples per step of the head.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: a setting is out of range, see
            :class:`debias.heads.shortcut_probe.ProbeSettings`.
    """

    halved = "group"

    size: int = 2
    confident: float = 0.3
    length: float = 5.0
    unfit: float = 5.0
    epochs: int = 50
    basis_rate: float = 1e-4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 32

    def __post_init__(self) -> None:
        self.settings = ProbeSettings(
            size=self.size,
            confident=self.confident,
            length=self.length,
            unfit=self.unfit,
            epochs=self.epochs,
            basis_rate=self.basis_rate,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
        )

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return the head of the best epoch on the other half."""
        generator = seeded_generator(seed)
        rows = frozen.rows("val")
        half, other = (rows.take(part) for part in halves(rows.group, generator))
        fitted = shortcut_head(half, other, frozen.head, generator, settings=self.settings)
        return fitted.heads.linear(0)
