"""CAM-based training: keep apart where a model sees a label and where it sees its context."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least
from debias.losses.contexts import (
    activation_maps,
    cooccurring_entries,
    map_distance,
    map_overlap,
)
from debias.models.layers import evaluating, pooled_layer, read_layer, read_until, unwrapped
from debias.models.networks import linear_head
from debias.processes import joined_rows
from debias.strategies.contexts import named_pairs
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class ContextCAM(Strategy):
    r"""Penalise that the class activation maps of a label and of its usual context overlap.

    .. math:: L = \mathrm{BCE} + \lambda_1\, \mathrm{mean}(M_b M_c)
              + \lambda_2\, \mathrm{mean}\,|M - M^0|

    :math:`M_b` and :math:`M_c` are the maps (:func:`debias.losses.contexts.activation_maps`) of a
    label b and its context c. The means are over all pairs in images that have both, and over
    positions. :math:`M^0` are the maps of a frozen copy of the initial model. It keeps the maps
    where they were. Start from a trained model: ``model.weights=RUN``, or
    ``recipe.name=contextual``.

    Source: Singh et al., "Don't Judge an Object by Its Context: Learning to Overcome Contextual
    Bias", CVPR 2020; reference code of a replication, princetonvisualai/ContextualBias.

    Args:
        groups: the groups of the data, with several labels.
        model: the classifier. Its head must read the average of maps, as in a ResNet.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        pairs: names [label, context] of each pair. ``None`` means the contexts of the data set.
        overlap_weight: :math:`\lambda_1 \ge 0`.
        keep_weight: :math:`\lambda_2 \ge 0`.

    Raises:
        ValueError: the data has one label per image, no pair is known or one is no pair of labels,
            a weight is negative, or the features of the model are no average of maps. Or its head
            is not linear.

    Differs from the reference: a batch without such images has no penalty, and a flat map is 0;
    both are NaN there. Only images with a pair pass the frozen copy.
    """

    several_labels = True

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        *,
        pairs: list[list[str]] | None = None,
        overlap_weight: float = 0.1,
        keep_weight: float = 0.01,
    ) -> None:
        super().__init__(groups)
        weights = {"overlap_weight": overlap_weight, "keep_weight": keep_weight}
        check_at_least(0, weights, of="ContextCAM")
        self.pairs = named_pairs(groups, pairs, of="context_cam")
        self.overlap_weight, self.keep_weight = overlap_weight, keep_weight
        linear_head(unwrapped(model), of="ContextCAM")
        self.layer = pooled_layer(model, image)
        self.initial = copy.deepcopy(unwrapped(model)).requires_grad_(False)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The model alone; the copy is frozen."""
        return {"model": list(model.parameters())}

    def begin(self, model: nn.Module, earlier: nn.Module) -> None:
        """Copy the weights from which the training starts."""
        self.initial.load_state_dict(unwrapped(model).state_dict())

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss, overlap of the maps of each pair, and their distance to the initial ones."""
        assert self.layer is not None
        outputs, maps = read_layer(model, self.layer, batch.image)
        task = task_loss(outputs.logits, batch)
        rows, which = cooccurring_entries(batch.target, self.pairs).nonzero(as_tuple=True)
        columns = torch.tensor(self.pairs, device=rows.device)[which]
        found = _maps_of(unwrapped(model), maps[rows], columns)
        kept = self._initial_maps(batch.image[rows], columns) if len(rows) else found.detach()
        found, kept = joined_rows(found), joined_rows(kept)
        overlap, distance = map_overlap(found), map_distance(found, kept)
        total = task + self.overlap_weight * overlap + self.keep_weight * distance
        terms = {"task": task, "overlap": overlap, "distance": distance}
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    @torch.no_grad()
    def _initial_maps(self, image: Tensor, columns: Tensor) -> Tensor:
        assert self.layer is not None
        with evaluating(self.initial):
            return _maps_of(self.initial, read_until(self.initial, self.layer, image), columns)


def _maps_of(model: nn.Module, maps: Tensor, columns: Tensor) -> Tensor:
    """``(P, 2, h, w)`` maps of P pairs of labels, ``(P, 2)``, each on its own activation."""
    weight = model.get_parameter("head.weight")
    return activation_maps(maps.to(weight.dtype), weight[columns])
