"""Attribute decorrelation: groups of labels compete for the features that the head reads."""

import torch
from torch import nn
from torch.nn import Parameter

from debias.errors import InputError, check_at_least, near
from debias.losses.contexts import competition
from debias.models.layers import evaluating, unwrapped
from debias.models.networks import linear_head
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs


class AttributeDecorrelation(Strategy):
    r"""Train a head whose groups of labels use different features.

    .. math:: L = \mathrm{BCE} + \lambda \Big(\sum_{d, g} \|w_d^{S_g}\|_2\Big)^2

    See :func:`debias.losses.contexts.competition`. The backbone is fixed, in evaluation mode: start
    from a trained model (``model.weights=RUN``, or ``recipe.name=contextual``).

    Source: Jayaraman, Sha and Grauman, "Decorrelating Semantic Visual Attributes by Resisting the
    Urge to Share", CVPR 2014, a baseline of Singh et al., CVPR 2020; reference code of a
    replication, princetonvisualai/ContextualBias.

    Args:
        groups: the groups of the data, with several labels.
        label_groups: names of the labels of each group. ``None``: each label is its own group.
        strength: :math:`\lambda \ge 0`.

    Raises:
        ValueError: the data has one label per image, a name is no label, or ``strength`` is
            negative.

    Differs from the reference: the penalty has a gradient, see
    :func:`debias.losses.contexts.competition`. The head keeps its offset.
    """

    several_labels = True
    fixed_layers = True

    def __init__(
        self,
        groups: Groups,
        *,
        label_groups: list[list[str]] | None = None,
        strength: float = 0.1,
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"strength": strength}, of="AttributeDecorrelation")
        names, self.strength = groups.label_names, strength
        named = label_groups or [[name] for name in names]
        for name in (name for group in named for name in group):
            if name not in names:
                raise InputError(f"strategy.label_groups names {name!r}; {near(name, names)}")
        self.label_groups = [[names.index(name) for name in group] for group in named]

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The head alone.

        Raises:
            ValueError: it is not linear.
        """
        return {"model": list(_head(model).parameters())}

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the head on fixed features, and the penalty on its weights."""
        inner = unwrapped(model)
        with torch.no_grad(), evaluating(inner):
            outputs: Outputs = inner(batch.image)
        head = _head(inner)
        task = task_loss(head(outputs.features), batch)
        penalty = competition(head.weight, self.label_groups)
        terms = {"task": task.detach(), "competition": penalty.detach()}
        return Loss(task + self.strength * penalty, terms)


def _head(model: nn.Module) -> nn.Linear:
    return linear_head(model, of="AttributeDecorrelation")
