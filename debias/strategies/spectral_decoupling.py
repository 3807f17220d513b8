"""Spectral decoupling: keep the logits small, so that an early feature does not stop others."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least
from debias.losses.spectral_decoupling import shifted_spectral_decoupling, spectral_decoupling
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class SpectralDecoupling(Strategy):
    r"""Penalise the squared logits, so that the first feature learnt does not suppress the others.

    The loss is ERM plus a penalty on the logits, :math:`L = \mathrm{CE} + \frac{\lambda}{2N} \sum_i
    \lVert z_i \rVert^2`. The penalty replaces weight decay, which is 0 in the published runs. With
    ``shifts``, for two classes, the penalty pulls the difference of the two logits to one value per
    class, instead of the logits to zero. Needs no bias labels, but the published shifts were chosen
    with bias labels.

    Source: Pezeshki et al., "Gradient Starvation: A Learning Proclivity in Neural Networks",
    NeurIPS 2021; reference code mohammadpz/Gradient_Starvation.

    Args:
        groups: the groups of the data.
        coefficient: :math:`\lambda \ge 0`; 0 is ERM.
        shifts: one number per class for two classes, see
            :func:`debias.losses.spectral_decoupling.shifted_spectral_decoupling`; empty for the
            plain penalty.

    Raises:
        ValueError: ``coefficient`` is negative, or ``shifts`` are given and the target is not a
            single one with two classes.

    Differs from the reference: the unit of the coefficient, see
    :func:`debias.losses.spectral_decoupling.spectral_decoupling`.
    """

    def __init__(
        self, groups: Groups, *, coefficient: float = 0.1, shifts: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        check_at_least(0, {"coefficient": coefficient}, of="SpectralDecoupling")
        if shifts and (groups.multi_label or not groups.rows == len(shifts) == 2):
            raise InputError(
                "shifts must be two numbers, for a single target of two classes; got "
                f"{len(shifts)} for {', '.join(groups.target_names)}: leave shifts out"
            )
        self.coefficient = coefficient
        self.hard_targets = bool(shifts)
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float32))
        self.shifts: Tensor

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss of the batch plus the weighted penalty on its logits, which is logged."""
        logits = model(batch.image).logits
        error = task_loss(logits, batch)
        if len(self.shifts):
            penalty = shifted_spectral_decoupling(logits, batch.target, shifts=self.shifts)
        else:
            penalty = spectral_decoupling(logits)
        total = error + self.coefficient * penalty
        return Loss(total, {"logit_penalty": penalty.detach()}, {"logit_penalty": self.coefficient})
