"""Decompose-and-Compose: train a head on objects pasted onto the background of another class."""

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

    :math:`m_i` is the mask of the part that a first model attended to, and c the mean colour of the
    batch. S are the samples of the batch that had a low loss under the first model. :math:`j(i) \in
    S` is a random sample of another class.

    .. math:: x'_i = m_i x_i + (1 - m_i) c, \qquad
              x''_i = m_i x_i + (1 - m_i) \big[(1 - m_{j(i)}) x_{j(i)} + m_{j(i)} c\big]

    .. math:: L = \operatorname{mean}_i \mathrm{CE}(f(x_i), y_i)
              + \alpha \operatorname{mean}_{i \in S} \mathrm{CE}(f(x'_i), y_i)
              + \alpha \operatorname{mean}_{i \in S} \mathrm{CE}(f(x''_i), y_i)

    :class:`debias.recipes.dac.DaC` computes S and the masks, and has this strategy as its last
    stage. Only ``model.head`` is trained; the backbone is in evaluation mode and gets no gradient.
    The background comes from another class, so a large ``alpha`` can over-correct. In a toy with a
    strong shortcut and correct masks, the worst-group accuracy was 0.80 with ``alpha`` 1, 0.61 with
    6, and 0.26 without composed images (mean of three seeds).

    Source: Noohdani et al., "Decompose-and-Compose: A Compositional Approach to Mitigating Spurious
    Correlation", CVPR 2024; reference code fhn98/DaC.

    Args:
        groups: the groups of the data, with single-label targets.
        partition_by_row: ``(samples,)`` int64, one number per row of the data set: 0 for rows in S,
            any other number for the rest.
        alpha: :math:`\alpha \ge 0`.
        invert: use :math:`1 - m` as m, for data in which the first model attends to the shortcut
            instead of the object.

    Raises:
        ValueError: ``alpha`` is negative; in training, a batch has no masks.

    Differs from the reference: running averages of batch normalisation do not change; there the
    frozen backbone is in training mode, and composed images change them. S does not change with
    augmentation. A sample without a partner of another class in S is not composed; the code
    composes it with one of its own class. Any number of classes is possible. Masks are resized with
    their images, so their edges lie between 0 and 1. On several devices, means are those of the
    joined batch, but colour and partners are those of each device.
    """

    requires = ("mask",)
    single_label = True
    hard_targets = True
    fixed_layers = True
    smallest_batch = 2  # a sample is combined with another
    low_loss: Tensor

    def __init__(
        self, groups: Groups, partition_by_row: Tensor, *, alpha: float = 6.0, invert: bool = False
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"alpha": alpha}, of="DecomposeCompose")
        self.alpha, self.invert = alpha, invert
        # a resumed run infers the partition again, so checkpoints need not contain it
        self.register_buffer("low_loss", partition_by_row == 0, persistent=False)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """One player, which owns only the parameters of the head."""
        head: nn.Module = unwrapped(model).get_submodule("head")
        return {"model": list(head.parameters())}

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Weighted sum of the three means, which are logged. A mean over no images is 0."""
        if batch.mask is None:
            raise InputError(
                "DecomposeCompose needs a mask for every image; got a batch without masks: set "
                "recipe.name=dac, or give masks"
            )
        mask = 1 - batch.mask if self.invert else batch.mask
        colour = batch.image.mean(dim=(0, 2, 3), keepdim=True)
        chosen = self.low_loss[batch.index].nonzero().flatten()
        combined, partner = partners(batch.target, chosen)
        rows = [torch.arange(len(batch.target), device=chosen.device), chosen, combined]
        pictures = [
            batch.image,
            masked_pictures(batch.image[chosen], mask[chosen], colour),
            combined_pictures(batch.image, mask, combined, partner, colour),
        ]
        losses = task_losses(
            self._logits(model, torch.cat(pictures)), _rows_of(batch, torch.cat(rows))
        )
        # over all processes, which hold different numbers of low losses; 0 without any
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
    """The masked part of each image, on a background of one colour: :math:`m x + (1 - m) c`.

    Args:
        image: ``(N, 3, H, W)`` float, x.
        mask: ``(N, 1, H, W)`` float in [0, 1], m.
        colour: ``(1, 3, 1, 1)`` float, c.
    """
    return torch.lerp(colour, image, mask)


def combined_pictures(
    image: Tensor, mask: Tensor, rows: Tensor, partner: Tensor, colour: Tensor
) -> Tensor:
    r"""The masked part of each image on its partner's background; one colour where neither remains.

    .. math:: m_i x_i + (1 - m_i) \, [(1 - m_j) x_j + m_j c]

    Args:
        image: ``(N, 3, H, W)`` float, x.
        mask: ``(N, 1, H, W)`` float in [0, 1], m.
        rows: ``(M,)`` int64, i: positions of the images.
        partner: ``(M,)`` int64, j: the position of each image's partner.
        colour: ``(1, 3, 1, 1)`` float, c.

    Returns:
        ``(M, 3, H, W)``.
    """
    around = torch.lerp(image[partner], colour, mask[partner])
    return torch.lerp(around, image[rows], mask[rows])


def partners(target: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """A random partner of another class for each chosen sample, from the device's global generator.

    Args:
        target: ``(N,)`` int64 class.
        chosen: ``(M,)`` int64 positions of the samples that may be combined.

    Returns:
        Positions of the samples that have a partner, and positions of their partners: ``(K,)``
        int64 each. K is M, or 0 if all chosen samples have one class.
    """
    other = target[chosen][:, None] != target[chosen]
    combined = other.any(dim=1).nonzero().flatten()
    draws = torch.rand(other.shape, device=other.device).masked_fill(~other, -1)[combined]
    return chosen[combined], chosen[draws.argmax(dim=1)] if len(chosen) else chosen


def _rows_of(batch: Batch, rows: Tensor) -> Batch:
    weight = None if batch.weight is None else batch.weight[rows]
    return batch._replace(target=batch.target[rows], weight=weight)
