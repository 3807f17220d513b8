"""Twins that each learn half of the training images, and confirm the shortcut to each other."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from debias.losses.classification import classification_losses
from debias.losses.group_means import group_means
from debias.losses.label_memory import LabelMemory
from debias.models.copies import twin
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class CrossMistakes(Strategy):
    r"""Train twins on a half each, with labels that flip to the other's: first stage of ``xrm``.

    The model f and a twin g learn disjoint halves of the rows, with labels that flip to what the
    other half's says.

    Each row belongs to one of the two, by a fair draw. For each batch, in this order:

    1. with :math:`h_i` the one of f and g to which row i belongs, all move on
       :math:`\sum_c \operatorname{mean}_{i: \tilde y_i = c} \mathrm{CE}(h_i(x_i), \tilde y_i)`;
    2. the label :math:`\tilde y_i` becomes what the other one said of the image before the move,
       with the probability of :func:`debias.losses.label_memory.flip_probability`.

    Labels start as the classes. Flips teach each twin the other's mistakes, until both rely on what
    is simplest. Neither is meant to be used: :class:`debias.recipes.xrm.XRM` finds groups in what
    they get wrong. Evaluation reads f. Needs no bias labels.

    Source: Pezeshki et al., "Discovering Environments with XRM", ICML 2024; reference code
    facebookresearch/XRM.

    Args:
        groups: the groups of the data; single-label.
        samples: rows of the whole data set.
        model: the classifier f; g starts as its copy. Both heads are set to 0: neither network says
            anything of an image, and no label flips, before the first step.
        seed: of the halves and the flips, at least 0.

    Differs from the reference: a model of new weights shares all of them with its twin at the
    start. Class means are those of the joined batch of all processes. The draw of a row at a step
    does not depend on the rows beside it.
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
        """Both move at once; the flips follow from the step."""
        return (Turn("model", partial(self.objective, step=step)),)

    def objective(self, model: nn.Module, batch: Batch, *, step: int) -> Loss:
        """Objective of both twins; then labels flip."""
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
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step + 1)
        return torch.rand(self.samples, generator=generator)
