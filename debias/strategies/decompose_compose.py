"""Decompose-and-Compose: train a head on causal parts before another class's surroundings."""

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import InputError, check_at_least
from debias.models.layers import evaluating, unwrapped
from debias.strategies.objectives import mean_where_known, task_losses
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class DecomposeCompose(Strategy):
    r"""Train a head on images, causal parts and composed images: the last stage of ``dac``.

    With :math:`m_i` the mask of what a first model attended to, c the mean colour of the batch, S
    the samples of the batch whose loss under that model was low, and :math:`j(i) \in S` drawn at
    random among those of another class,

    .. math:: x'_i = m_i x_i + (1 - m_i) c, \qquad
              x''_i = m_i x_i + (1 - m_i) \big[(1 - m_{j(i)}) x_{j(i)} + m_{j(i)} c\big]

    .. math:: L = \operatorname{mean}_i \mathrm{CE}(f(x_i), y_i)
              + \alpha \operatorname{mean}_{i \in S} \mathrm{CE}(f(x'_i), y_i)
              + \alpha \operatorname{mean}_{i \in S} \mathrm{CE}(f(x''_i), y_i)

    S and the masks come from :class:`debias.recipes.dac.DaC`, whose last stage this is. The
    backbone computes in evaluation mode and receives no gradient; only ``model.head`` is trained.
    Surroundings come from another class: in a toy whose shortcut is loud and whose masks are right,
    an alpha of 1 undid the shortcut (worst group 0.80, mean of three seeds, without composed
    pictures 0.26), and one of 6 turned it round in part (0.61).

    Source: Noohdani et al., "Decompose-and-Compose: A Compositional Approach to Mitigating Spurious
    Correlation", CVPR 2024; reference code fhn98/DaC.

    Args:
        groups: the groups of the data; single-label.
        partition_by_row: ``(samples,)`` int64, 0 for the rows of the data set that S holds; any
            other number for the others.
        alpha: :math:`\alpha \ge 0`.
        invert: take :math:`1 - m` for m: for data in which the first model attends to the shortcut,
            not to the object.

    Raises:
        ValueError: ``alpha`` is negative; and on a batch without masks.

    Differs from the reference: normalisation's averages stay (there the frozen backbone is in
    training mode, and they move on composed pictures); S does not change with augmentation; a
    sample whose batch has no partner of another class in S is not combined, where the code combines
    it with one of its own; any number of classes; masks are interpolated with their pictures, so
    that their edges lie between 0 and 1; on several devices the means are those of the joined
    batch, colour and partners each device's own.
    """

    requires = ("mask",)
    single_label = True
    hard_targets = True
    smallest_batch = 2  # a sample is combined with another
    low: Tensor

    def __init__(
        self, groups: Groups, partition_by_row: Tensor, *, alpha: float = 6.0, invert: bool = False
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"alpha": alpha}, of="DecomposeCompose")
        self.alpha, self.invert = alpha, invert
        # follows from what was inferred, so checkpoints need not hold it
        self.register_buffer("low", partition_by_row == 0, persistent=False)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """One, who owns the head alone."""
        head: nn.Module = unwrapped(model).get_submodule("head")
        return {"model": list(head.parameters())}

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Weighted sum of the three, each of which is logged; one without pictures is 0."""
        if batch.mask is None:
            raise InputError(
                "DecomposeCompose needs the mask of every picture: train by recipe.name=dac, or "
                "give masks"
            )
        mask = 1 - batch.mask if self.invert else batch.mask
        colour = batch.image.mean(dim=(0, 2, 3), keepdim=True)
        chosen = self.low[batch.index].nonzero().flatten()
        combined, partner = partners(batch.target, chosen)
        rows = [torch.arange(len(batch.target), device=chosen.device), chosen, combined]
        pictures = [
            batch.image,
            masked_pictures(batch.image[chosen], mask[chosen], colour),
            combined_pictures(batch.image, mask, combined, partner, colour),
        ]
        losses = task_losses(
            self._logits(model, torch.cat(pictures)), _taken(batch, torch.cat(rows))
        )
        # of all processes, whose shares of the low losses differ; 0 where there is none
        parts = zip(torch.split(losses, [len(part) for part in rows]), rows, strict=True)
        means = [mean_where_known(part, batch.target[row]) for part, row in parts]
        total = means[0] + self.alpha * (means[1] + means[2])
        terms = zip(("cross_entropy", "masked", "combined"), means, strict=True)
        return Loss(total, {name: mean.detach() for name, mean in terms})

    def _logits(self, model: nn.Module, image: Tensor) -> Tensor:
        with evaluating(model), torch.no_grad():
            features = model(image).features
        logits: Tensor = unwrapped(model).get_submodule("head")(features)
        return logits


def masked_pictures(image: Tensor, mask: Tensor, colour: Tensor) -> Tensor:
    r"""The masked part of each picture on one colour: :math:`m x + (1 - m) c`.

    Args:
        image: ``(N, 3, H, W)`` float, x.
        mask: ``(N, 1, H, W)`` float in [0, 1], m.
        colour: ``(1, 3, 1, 1)`` float, c.
    """
    return torch.lerp(colour, image, mask)


def combined_pictures(
    image: Tensor, mask: Tensor, rows: Tensor, partner: Tensor, colour: Tensor
) -> Tensor:
    r"""The masked part of pictures on what their partners' masks leave; elsewhere one colour.

    .. math:: m_i x_i + (1 - m_i) \, [(1 - m_j) x_j + m_j c]

    Args:
        image: ``(N, 3, H, W)`` float, x.
        mask: ``(N, 1, H, W)`` float in [0, 1], m.
        rows: ``(M,)`` int64, i.
        partner: ``(M,)`` int64, j of each.
        colour: ``(1, 3, 1, 1)`` float, c.

    Returns:
        ``(M, 3, H, W)``.
    """
    around = torch.lerp(image[partner], colour, mask[partner])
    return torch.lerp(around, image[rows], mask[rows])


def partners(target: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """For each chosen sample one of another class, drawn by the device's global generator.

    Args:
        target: ``(N,)`` int64 class.
        chosen: ``(M,)`` int64 positions of the samples that may be combined.

    Returns:
        Positions of those for which there is another class, and those of their partners: ``(K,)``
        int64 each, K = M or 0.
    """
    other = target[chosen][:, None] != target[chosen]
    combined = other.any(dim=1).nonzero().flatten()
    draws = torch.rand(other.shape, device=other.device).masked_fill(~other, -1)[combined]
    return chosen[combined], chosen[draws.argmax(dim=1)] if len(chosen) else chosen


def _taken(batch: Batch, rows: Tensor) -> Batch:
    weight = None if batch.weight is None else batch.weight[rows]
    return batch._replace(target=batch.target[rows], weight=weight)
