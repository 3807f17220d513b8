"""Spectral decoupling: logits stay small, so that an early feature leaves gradient to others."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least
from debias.losses.spectral_decoupling import shifted_spectral_decoupling, spectral_decoupling
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class SpectralDecoupling(Strategy):
    r"""Penalise the squared logits, so that the first feature learnt does not silence the others.

    ERM and a penalty on the logits, :math:`L = \mathrm{CE} + \frac{\lambda}{2N} \sum_i \lVert z_i
    \rVert^2`.

    It takes the place of weight decay, which the published runs set to 0. With ``shifts`` the
    logits of two classes are pulled apart by a distance of each class instead of to zero. Needs no
    bias labels; the shifts were found with them.

    Source: Pezeshki et al., "Gradient Starvation: A Learning Proclivity in Neural Networks",
    NeurIPS 2021; reference code mohammadpz/Gradient_Starvation.

    Args:
        groups: the groups of the data.
        coefficient: :math:`\lambda \ge 0`; 0 is ERM.
        shifts: one number per class for two classes, see
            :func:`debias.losses.spectral_decoupling.shifted_spectral_decoupling`; none for the
            plain penalty.

    Raises:
        ValueError: ``coefficient`` is negative, or ``shifts`` are given for other than two classes.

    Differs from the reference: the coefficient's unit, see
    :func:`debias.losses.spectral_decoupling.spectral_decoupling`.
    """

    def __init__(
        self, groups: Groups, *, coefficient: float = 0.1, shifts: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        check_at_least(0, {"coefficient": coefficient}, of="SpectralDecoupling")
        if shifts and (groups.multi_label or not groups.rows == len(shifts) == 2):
            raise InputError(
                "shifts are for a single target of two classes, one number each; got "
                f"{len(shifts)} of them for {', '.join(groups.target_names)}: leave them out"
            )
        self.coefficient = coefficient
        self.hard_targets = bool(shifts)
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float32))
        self.shifts: Tensor

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss of the batch and the penalty on its logits."""
        logits = model(batch.image).logits
        error = task_loss(logits, batch)
        if len(self.shifts):
            penalty = shifted_spectral_decoupling(logits, batch.target, shifts=self.shifts)
        else:
            penalty = spectral_decoupling(logits)
        total = error + self.coefficient * penalty
        return Loss(total, {"logit_penalty": penalty.detach()}, {"logit_penalty": self.coefficient})
