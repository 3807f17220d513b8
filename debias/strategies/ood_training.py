"""Training with out-of-distribution images, about which the model learns to be undecided."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least
from debias.pixels import PixelSpace, pictures_digest
from debias.strategies.adversarial_training import AdversarialTraining
from debias.strategies.objectives import task_losses
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class OODTraining(Strategy):
    r"""Train to be undecided about pictures without any class, so that their features lose weight.

    Every batch of N images gets N pictures o of a folder. They show none of the classes, but have
    the features that should not decide, such as backgrounds (out-of-distribution images).

    .. math:: L = \frac{1}{2N} \sum_i \Big( \mathrm{CE}(f(x_i + \delta_i), y_i)
              + \alpha\, \mathrm{CE}(f(o_i + \delta'_i), \tfrac1K) \Big)

    With ``steps`` of an attack this is OAT: the changes :math:`\delta` of both are adversarial, as
    in :class:`debias.strategies.adversarial_training.AdversarialTraining`. With ``steps`` 0 it is
    OST: nothing is changed. One forward pass sees both halves, and so does batch normalisation.
    Needs no bias labels.

    Source: Lee et al., "Removing Undesirable Feature Contributions Using Out-of-Distribution Data",
    ICLR 2021; reference code Saehyung-Lee/OAT.

    Args:
        groups: the groups of the data, with single-label targets.
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        read_folder: maps the path of a folder to its pictures, ``(M, 3, H, W)`` uint8.
        folder: the folder of pictures. None of them may show a class.
        alpha: :math:`\alpha \ge 0`. Published: 1.
        norm: norm of the attack, "linf" or "l2".
        epsilon: size of the attack, in units of pixels in [0, 1]. Published: 8 / 255.
        steps: steps of the attack. Published: 10. 0 is OST.
        attack_mode: "train" normalises by the batch in the attack, as the authors do; or "eval".

    Raises:
        ValueError: an option is outside its range, the folder is not given or has no picture, or
            targets are multi-label.

    Differs from the reference: pictures are brought to the geometry of evaluation; there, they are
    cropped and flipped at random. Steps have the length :math:`1.25\, \epsilon` (one) or
    :math:`\epsilon / 4` (several, as there).
    """

    single_label = True

    def __init__(
        self,
        groups: Groups,
        mean: Sequence[float],
        std: Sequence[float],
        read_folder: Callable[[str], Tensor],
        *,
        folder: str = "",
        alpha: float = 1.0,
        norm: str = "linf",
        epsilon: float = 8 / 255,
        steps: int = 0,
        attack_mode: str = "train",
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"alpha": alpha, "steps": steps}, of="OODTraining")
        if not folder:
            raise InputError(
                "OODTraining needs pictures that show none of the classes: set "
                "strategy.folder=FOLDER"
            )
        options = {"norm": norm, "epsilon": epsilon, "attack_mode": attack_mode}
        attack = AdversarialTraining(mean, std, steps=max(steps, 1), **options)  # type: ignore[arg-type]
        self.attack = attack if steps else None
        self.alpha, self.classes, self.space = alpha, groups.outputs, PixelSpace(mean, std)
        self.pictures = read_folder(folder)
        self.register_buffer("pictures_digest", pictures_digest(self.pictures))

    def joined(self, batch: Batch) -> Batch:
        """The batch and as many random pictures, with class probabilities and weights.

        Random numbers come from torch's global generator of the CPU.
        """
        count, given = len(batch.image), batch.image
        drawn = self.pictures[torch.randint(len(self.pictures), (count,))]
        pictures = self.space.normalised(drawn.to(given.device).float().div_(255))
        target = batch.target
        if target.ndim == 1:
            target = F.one_hot(target, self.classes).to(given.dtype)
        weight = given.new_ones(count) if batch.weight is None else batch.weight
        unknown = torch.full_like(batch.bias, -1)
        return Batch(
            torch.cat([given, pictures.to(given.dtype)]),
            torch.cat([target, torch.full_like(target, 1 / self.classes)]),
            torch.cat([batch.bias, unknown]),
            torch.cat([batch.index, unknown]),
            weight=torch.cat([weight, torch.full_like(weight, self.alpha)]),
        )

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean weighted loss of both halves. The mean loss of each half is logged."""
        both = self.joined(batch)
        image = both.image if self.attack is None else self.attack.perturbed(model, both)
        losses = task_losses(model(image).logits, both)
        halves = losses.detach().chunk(2)
        terms = {"cross_entropy": halves[0].mean(), "uniform_cross_entropy": halves[1].mean()}
        return Loss(losses.mean(), terms)
