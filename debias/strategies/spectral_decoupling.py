"""Spectral decoupling: keep the logits small, so that an early feature does not stop others."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_positive
from debias.losses.spectral_decoupling import shifted_spectral_decoupling, spectral_decoupling
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


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
        warmup: number of steps with ``warmup_coefficient`` in place of ``coefficient``.
        warmup_coefficient: :math:`\lambda \ge 0` in these steps.
        scale: positive factor of the whole loss after these steps. The authors' script on coloured
            MNIST has 2e-5 there.

    Raises:
        ValueError: ``coefficient``, ``warmup`` or ``warmup_coefficient`` is negative, ``scale`` is
            not positive, or ``shifts`` are given and the target is not a
            single one with two classes.

    Differs from the reference: the unit of the coefficient, see
    :func:`debias.losses.spectral_decoupling.spectral_decoupling`.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        coefficient: float = 0.1,
        shifts: tuple[float, ...] = (),
        warmup: int = 0,
        warmup_coefficient: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        bounded = {"coefficient": coefficient, "warmup_coefficient": warmup_coefficient}
        check_at_least(0, bounded | {"warmup": warmup}, of="SpectralDecoupling")
        check_positive({"scale": scale}, of="SpectralDecoupling")
        if shifts and (groups.multi_label or not groups.rows == len(shifts) == 2):
            raise InputError(
                "shifts must be two numbers, for a single target of two classes; got "
                f"{len(shifts)} for {', '.join(groups.target_names)}: leave shifts out"
            )
        self.coefficient, self.warmup, self.begins = coefficient, warmup, {"warmup": warmup}
        self.warmup_coefficient, self.scale = warmup_coefficient, scale
        self.hard_targets = bool(shifts)
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float32))
        self.shifts: Tensor

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn of the model, with the coefficient and the scale of this step."""
        early = step < self.warmup
        coefficient, scale = (
            (self.warmup_coefficient, 1.0) if early else (self.coefficient, self.scale)
        )
        objective = partial(self.weighted_loss, coefficient=coefficient, scale=scale)
        return (Turn("model", objective),)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss after the warm-up."""
        return self.weighted_loss(model, batch, coefficient=self.coefficient, scale=self.scale)

    def weighted_loss(
        self, model: nn.Module, batch: Batch, *, coefficient: float, scale: float
    ) -> Loss:
        """``scale`` times mean loss plus weighted penalty on the logits; the penalty is logged."""
        logits = model(batch.image).logits
        error = task_loss(logits, batch)
        if len(self.shifts):
            penalty = shifted_spectral_decoupling(logits, batch.target, shifts=self.shifts)
        else:
            penalty = spectral_decoupling(logits)
        total = error + coefficient * penalty
        terms = {"logit_penalty": penalty.detach()}
        return Loss(total if scale == 1 else scale * total, terms, {"logit_penalty": coefficient})
