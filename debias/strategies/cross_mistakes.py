"""Twin networks that each learn half of the training images, and amplify each other's shortcut."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from debias.losses.classification import classification_losses
from debias.losses.group_means import group_means
from debias.losses.label_memory import LabelMemory
from debias.models.copies import twin
from debias.strategies.objectives import step_key
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class CrossMistakes(Strategy):
    r"""Train twins on half the rows each; a label may flip to the other twin's class (``xrm``).

    A fair draw assigns each row i of the data set to the model f or to its twin g. :math:`h_i` is
    the network that learns row i. For each batch, in this order:

    1. f and g are trained on :math:`\sum_c \operatorname{mean}_{i: \tilde y_i = c}
       \mathrm{CE}(h_i(x_i), \tilde y_i)`;
    2. the label :math:`\tilde y_i` may flip to the class that the other twin predicted before this
       update. The probability is :func:`debias.losses.label_memory.flip_probability`.

    The labels :math:`\tilde y_i` start as the classes. Flips teach each twin the other's mistakes,
    until both rely on the simplest features. :class:`debias.recipes.xrm.XRM` infers groups from the
    errors of the twins; it does not use the twins as classifiers. Evaluation uses f. Needs no bias
    labels.

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier f; g starts as its copy. Both heads are set to 0, so that both
            networks start with equal logits and no label flips before the first step.
        seed: seed of the halves and the flips, at least 0.

    Differs from the reference: the twins start from the same weights, even if the weights are
    random. Class means are those of the joined batch of all processes. The random draw for a row
    depends only on the seed and the step, not on the other rows of the batch.
    """

    single_label = True
    hard_targets = True

    def __init__(self, groups: Groups, samples: int, model: nn.Module, seed: int) -> None:
        super().__init__(groups)
        self.classes, self.samples, self.seed = groups.rows, samples, seed
        self.network = twin(model)
        for head in (model.get_submodule("head"), self.network.get_submodule("head")):
            for parameter in head.parameters():
                nn.init.zeros_(parameter)
        self.memory = LabelMemory(samples)
        self.register_buffer("own", self._draws(-1) < 0.5)
        self.own: Tensor

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn that trains both twins; the step determines the random draws of the flips."""
        return (Turn("model", partial(self.objective, step=step)),)

    def objective(self, model: nn.Module, batch: Batch, *, step: int) -> Loss:
        """Sum over classes of the twins' mean losses; afterwards, labels in the memory may flip."""
        own = self.own[batch.index][:, None]
        first, second = model(batch.image).logits, self.network(batch.image).logits
        target = self.memory(batch.index, batch.target)
        losses = classification_losses(torch.where(own, first, second), target)
        draws = self._draws(step)[batch.index.cpu()].to(first.device)
        flipped = self.memory.flip(
            torch.where(own, second, first).detach(), batch.index, batch.target, draws
        )
        terms = {"cross_entropy": losses.mean().detach(), "flipped": flipped.float().mean()}
        return Loss(group_means(losses, target, self.classes).means.sum(), terms)

    def _draws(self, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step_key(self.seed, step + 1))
        return torch.rand(self.samples, generator=generator)
