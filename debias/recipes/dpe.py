"""Diversified prototypical ensembles (DPE): many heads of prototypes, each unlike the others."""

from dataclasses import dataclass

from torch import nn

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import check_at_least, check_one_of
from debias.heads.prototypes import PrototypeDescent, fit_prototypes
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer, refuse_few


@dataclass(kw_only=True)
class DPE(LastLayer):
    """Fit an ensemble of heads of prototypes on balanced subsamples of the validation split.

    The new last layer averages the class probabilities of its members. Each member is fitted on
    another balanced subsample, with a penalty on its likeness to the earlier ones. See
    :func:`debias.heads.prototypes.fit_prototypes` for equation, source and differences.

    With ``keep="best"``, validation selects the epoch of each member. The worst group decides, or
    the worst class if the run selects without groups. Members are fitted on the same images. The
    published figures without group labels balance classes, but select each epoch by the *true
    groups* of validation. No figure is published without any group label (``select=worst_class``).

    Args:
        balance: "class", or "group", which needs the bias labels of the validation split.
        keep: "best" or "last": the epoch of each member.
        members: number of members.
        epochs: number of epochs of each member.
        learning_rate: learning rate of SGD with a momentum of 0.9.
        batch_size: images per minibatch.
        entropic_scale: factor of the logits in the loss.
        norm_penalty: weight of the squared norm of the prototypes.
        diversity: weight of the likeness to the earlier members.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``balance`` or ``keep`` has another value, ``members``, ``epochs`` or
            ``batch_size`` is below 1, ``learning_rate`` or ``entropic_scale`` is not positive, or
            ``norm_penalty`` or ``diversity`` is negative.
    """

    balance: str = "class"
    keep: str = "best"
    members: int = 15
    epochs: int = 20
    learning_rate: float = 1e-3
    batch_size: int = 128
    entropic_scale: float = 10.0
    norm_penalty: float = 10.0
    diversity: float = 1e5

    def __post_init__(self) -> None:
        check_one_of(("class", "group"), {"recipe.balance": self.balance})
        check_one_of(("best", "last"), {"recipe.keep": self.keep})
        sizes = ("members", "epochs", "batch_size")
        check_at_least(1, {f"recipe.{name}": getattr(self, name) for name in sizes})
        self.reads = ("val",) if self.balance == "group" else ()
        self.descent = PrototypeDescent(
            self.learning_rate,
            entropic_scale=self.entropic_scale,
            norm_penalty=self.norm_penalty,
            diversity=self.diversity,
        )

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error also for a class without validation images."""
        super().check(parts, config)
        examples = parts.seen("val")
        target = examples.target[examples.rows("val")]
        refuse_few(examples, target, 1, "image in val, on which this recipe fits the head")

    def fit(self, frozen: Frozen, seed: int) -> nn.Module:
        """Return the ensemble."""
        judged = frozen.rows("val")
        by_group = self.balance == "group"
        fitted = fit_prototypes(
            frozen.labelled("val") if by_group else judged._replace(group=judged.target),
            seeded_generator(seed),
            classes=frozen.stage.examples.groups.rows,
            descent=self.descent,
            held_out=judged if self.keep == "best" else None,
            members=self.members,
            epochs=self.epochs,
            batch_size=self.batch_size,
        )
        return fitted.head(0)
