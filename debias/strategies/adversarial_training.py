"""Adversarial training: learn from images that small changes of the pixels have made harder."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_one_of
from debias.losses.adversarial_examples import (
    NORMS,
    Ball,
    gradients_of,
    perturb,
    with_gradients,
)
from debias.losses.classification import classification_losses
from debias.models.layers import evaluating
from debias.pixels import PixelSpace
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss, Turn

MODES = ("eval", "train")


class AdversarialTraining(Strategy):
    r"""Train on adversarial examples, so that no small change of the pixels can decide (FGSM, PGD).

    .. math:: L = \frac1N \sum_i \mathrm{CE}(f(x_i + \delta_i), y_i), \qquad
              \delta_i \approx \arg\max_{\delta \in B} \mathrm{CE}(f(x_i + \delta), y_i)

    A change :math:`\delta` may have the norm :math:`\epsilon`, and pixels stay in [0, 1]
    (:class:`debias.losses.adversarial_examples.Ball`). Projected gradient ascent from a random
    start finds it. One step is fast adversarial training (FGSM-RS); seven steps are the usual PGD.

    The model can then not rely on a shortcut that is weaker than :math:`\epsilon`, such as a faint
    texture. If the signal of the class is weaker than :math:`\epsilon`, the model loses it, and
    relies the more on a strong shortcut. Robust models of ImageNet rely more on shape, and have
    smoother filters (Chen et al., "The shape and simplicity biases of adversarially robust
    ImageNet-trained CNNs", 2020). Needs no bias labels.

    With one step, the model may suddenly learn to defend against that step alone (catastrophic
    overfitting): its clean accuracy stays high, and its accuracy under more steps falls to zero.
    ``debias evaluate RUN measures=attacked`` measures this accuracy, and
    ``measures=altered,frequency`` what the model uses.

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018; one step: Wong et al., "Fast is better than free", ICLR 2020; reference codes
    locuslab/fast_adversarial and MadryLab/robustness.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        norm: "linf" or "l2".
        epsilon: :math:`\epsilon \ge 0`, in units of pixels in [0, 1]. Published: 8 / 255 for
            CIFAR-10 and "linf"; 3 for ImageNet and "l2". 0 is ERM.
        steps: steps of the ascent. Published: 1 for FGSM-RS, 7 for PGD.
        step: length of a step, in the units of ``epsilon``. ``None`` is the published
            :math:`1.25\, \epsilon` for one step, and :math:`\epsilon / 4` for several.
        random_start: start at a random change, not at zero.
        attack_mode: "eval" attacks the model in evaluation mode, as MadryLab/robustness does.
            "train" normalises by the batch and updates its running statistics in the attack, as
            locuslab/fast_adversarial does; ``accumulate`` divides the batches of the attack only in
            this mode.

    Raises:
        ValueError: ``norm`` or ``attack_mode`` is unknown, ``epsilon`` or ``step`` is negative, or
            ``steps`` is below 1.

    Differs from the reference: training is not stopped if the accuracy under attack falls. The
    learning rate follows the run's scheduler; there, it rises and falls linearly.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        norm: str = "linf",
        epsilon: float = 8 / 255,
        steps: int = 1,
        step: float | None = None,
        random_start: bool = True,
        attack_mode: str = "eval",
    ) -> None:
        super().__init__()
        check_one_of(MODES, {"attack_mode": attack_mode}, of="AdversarialTraining")
        check_at_least(1, {"steps": steps}, of="AdversarialTraining")
        self.ball = checked_ball(norm, epsilon, "AdversarialTraining")
        self.step = (1.25 if steps == 1 else 0.25) * epsilon if step is None else step
        check_at_least(0, {"step": self.step}, of="AdversarialTraining")
        self.steps, self.random_start, self.attack_mode = steps, random_start, attack_mode
        self.space = PixelSpace(mean, std)

    def perturbed(self, model: nn.Module, batch: Batch) -> Tensor:
        """``(N, 3, H, W)`` normalised adversarial examples of a batch, without gradient."""
        pixels = self.space.pixels(batch.image)
        start = self.ball.random(pixels) if self.random_start else torch.zeros_like(pixels)

        def losses_of(change: Tensor) -> Tensor:
            """The losses of the changed images."""
            logits = model(batch.image + change / self.space.std).logits
            return classification_losses(logits, batch.target)

        with evaluating(model) if self.attack_mode == "eval" else nullcontext():
            change = perturb(
                losses_of, pixels, start, ball=self.ball, step=self.step, steps=self.steps
            )
        return batch.image + change / self.space.std

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the adversarial examples; nothing is logged."""
        return Loss(task_loss(model(self.perturbed(model, batch)).logits, batch), {})


class FreeAdversarialTraining(Strategy):
    r"""Update model and adversarial change in one backward pass, several times per batch (Free).

    .. math:: \theta \leftarrow \theta - \eta\, \nabla_\theta L, \qquad
              \delta \leftarrow \Pi_B(\delta + \epsilon\, \mathrm{sign}\, \nabla_\delta L), \qquad
              L = \frac1N \sum_i \mathrm{CE}(f_\theta(x_i + \delta_i), y_i)

    Each step takes m turns on the same batch. A turn costs no more than a step of ERM, because one
    backward pass gives both gradients. The change :math:`\delta` is kept between turns and between
    batches. So train for 1 / m of the epochs. Several processes begin each batch with the change of
    the first one, which checkpoints hold. It is as large as one batch in float32: 77 MB for 128
    images of 224 x 224 pixels. What the model learns is as in
    :class:`AdversarialTraining`. Needs no bias labels.

    Source: Shafahi et al., "Adversarial Training for Free!", NeurIPS 2019; reference code
    locuslab/fast_adversarial.

    Args:
        mean: as for :class:`AdversarialTraining`.
        std: as there.
        image: ``(1, 3, H, W)`` float, an example that gives the image size.
        process_batch_size: largest number of images in a batch.
        norm: as there.
        epsilon: as there; it is also the length of a step.
        replays: m, number of turns on each batch. Published: 8.

    Raises:
        ValueError: ``norm`` is unknown, ``epsilon`` is negative, or ``replays`` is below 1.

    Differs from the reference: the learning rate changes once per epoch; there, in every turn. As
    there, pixels may leave [0, 1] in the first turn on a batch, for whose images the change was not
    made.
    """

    change: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        image: Tensor,
        process_batch_size: int,
        *,
        norm: str = "linf",
        epsilon: float = 8 / 255,
        replays: int = 8,
    ) -> None:
        super().__init__()
        check_at_least(1, {"replays": replays}, of="FreeAdversarialTraining")
        self.ball = checked_ball(norm, epsilon, "FreeAdversarialTraining")
        self.replays = replays
        self.space = PixelSpace(mean, std)
        self.register_buffer("change", image.new_zeros(process_batch_size, *image.shape[1:]))

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn of the model per replay, all on the same batch."""
        return (Turn("model", self.loss),) * self.replays

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the changed images; then the change takes its step. Nothing is logged.

        Raises:
            ValueError: the batch has more images than ``process_batch_size``.
        """
        images = len(batch.image)
        if images > len(self.change):
            raise InputError(
                f"process_batch_size={len(self.change)} must be at least the number of images in a "
                f"batch; got {images}"
            )
        change = self.change[:images].clone().requires_grad_()
        total = task_loss(model(batch.image + change / self.space.std).logits, batch)
        owned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradient, *slopes = gradients_of(total, [change, *owned])
        assert gradient is not None
        pixels = self.space.pixels(batch.image)
        moved = self.ball.climb(change.detach(), gradient, pixels, step=self.ball.epsilon)
        self.change[:images] = moved
        return Loss(with_gradients(total, owned, slopes), {})


def checked_ball(norm: str, epsilon: float, of: str) -> Ball:
    """The ball of a norm and a size.

    Args:
        norm: "linf" or "l2".
        epsilon: the size, in units of pixels in [0, 1].
        of: name of the component, for messages.

    Raises:
        ValueError: ``norm`` is unknown, or ``epsilon`` is negative.
    """
    check_one_of(NORMS, {"norm": norm}, of=of)
    check_at_least(0, {"epsilon": epsilon}, of=of)
    return Ball(norm, epsilon)
