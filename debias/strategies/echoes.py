"""Echoes: a network that hears only what it believes, and a model that learns the rest."""

import torch
from torch import Tensor, nn

from debias.errors import check_between, check_positive
from debias.losses.classification import classification_losses
from debias.losses.echo_weights import decayed_weights, inverse_weights
from debias.models.copies import twin
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Observed


class Echoes(Strategy):
    r"""Weight samples by how often an echo chamber, which learns the shortcut, got them wrong.

    The echo chamber g and the model f are trained at the same time, on the same images.

    .. math:: L = \frac1N \sum_i v_i\, \mathrm{CE}(g(x_i), y_i)
              + \frac{\lambda}{N} \sum_i w_i\, \mathrm{CE}(f(x_i), y_i)

    Before the first epoch, :math:`v_i = 1` and :math:`w_i = 0`. So f learns nothing in it, and the
    epoch has no validation metrics. After each epoch, g predicts the training split in evaluation
    mode. Samples that it gets wrong lose weight in g
    (:func:`debias.losses.echo_weights.decayed_weights`), so g hears ever less that contradicts it.
    Their weight in f grows (:func:`debias.losses.echo_weights.inverse_weights`). The two sums share
    no parameter. So one optimiser on L updates each network as its own optimiser would, unless
    ``clip`` limits the norm of their joint gradient. Evaluation uses f alone. Needs no bias labels.

    In your own loop, call :func:`debias.strategies.observing.observe` after each epoch.

    Source: Hu et al., "Echoes: Unsupervised Debiasing via Pseudo-bias Labeling in an Echo Chamber",
    2023; reference code isruihu/Echoes.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier f; g starts as its copy, with a newly drawn head.
        decay: :math:`\alpha` in (0, 1], factor on the weight of a wrong sample.
        threshold: t in [0, 1]; a class in which g has a larger share of errors keeps its weights.
        strength: :math:`\lambda > 0`. With Adam it has almost no effect.
        separate_start: draw new weights for all of g, as the authors do; see
            :func:`debias.models.copies.twin`.

    Raises:
        ValueError: an option is outside its range, or targets are multi-label.

    Differs from the reference: without ``separate_start``, f and g start from the same weights,
    except for the head.
    """

    single_label = True
    hard_targets = True
    idle_epochs = 1

    def __init__(
        self,
        groups: Groups,
        samples: int,
        model: nn.Module,
        *,
        decay: float = 0.5,
        threshold: float = 0.5,
        strength: float = 1000.0,
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups)
        check_between("(0, 1]", {"decay": decay}, of="Echoes")
        check_between("[0, 1]", {"threshold": threshold}, of="Echoes")
        check_positive({"strength": strength}, of="Echoes")
        self.classes, self.decay, self.threshold = groups.rows, decay, threshold
        self.strength = strength
        self.network = twin(model, redrawn=separate_start)
        self.register_buffer("echo_weights", torch.ones(samples))
        self.register_buffer("weights", torch.zeros(samples))
        self.echo_weights: Tensor
        self.weights: Tensor

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss L of both networks. Their mean cross-entropies are logged."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        echoed = classification_losses(self.network(batch.image).logits, batch.target)
        heard = (self.echo_weights[batch.index] * echoed).mean()
        total = heard + self.strength * (self.weights[batch.index] * losses).mean()
        terms = {"cross_entropy": losses.mean(), "biased_cross_entropy": echoed.mean()}
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def measure(self, model: nn.Module, batch: Batch) -> Tensor:
        """``(N,)`` float: 1 where the echo chamber gets a sample wrong, else 0."""
        predicted: Tensor = self.network(batch.image).logits.argmax(dim=1)
        return (predicted != batch.target).float()

    def observe(self, seen: Observed) -> None:
        """Update the weights of all training samples."""
        wrong, target = seen.values > 0, seen.target
        lowered = decayed_weights(
            self.echo_weights[seen.index], wrong, target, classes=self.classes,
            decay=self.decay, threshold=self.threshold,
        )  # fmt: skip
        self.echo_weights[seen.index] = lowered
        self.weights[seen.index] = inverse_weights(lowered, target, classes=self.classes)
