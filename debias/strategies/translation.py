"""Translation: train a network that turns images of one class into images of another."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least
from debias.losses.classification import classification_losses
from debias.losses.translation import (
    gradient_penalties,
    reconstruction_losses,
    wasserstein_losses,
)
from debias.models.translator import Critic, Translator, check_sides
from debias.pixels import PixelSpace
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs, Turn


class Translation(Strategy):
    r"""Train a translator G and its critic D on the images, with their classes as domains.

    .. math:: L_D = \overline{D(G(x, c))} - \overline{D(x)} + \gamma \big(\lVert \nabla D(\hat x)
              \rVert_2 - 1\big)^2 + \lambda\, \mathrm{CE}(D_\text{cls}(x), y)

    .. math:: L_G = -\overline{D(G(x, c))} + \lambda\, \mathrm{CE}(D_\text{cls}(G(x, c)), c)
              + \rho\, \overline{\lvert x - G(G(x, c), y) \rvert}

    c is a random class, and :math:`\hat x` is a random point between x and G(x, c). Losses are
    means over images. Players take their turns in this order: "critic" at every step, then
    "generator" at every ``critic_turns``-th step. Each turn draws its own classes.

    No player owns the model, which stays untrained. Evaluation uses the class output of D. The
    worst group of validation then shows which cue D uses to recognise the classes. G learns to
    change this cue. ``recipe.name=cdvg`` trains a model with the result. Needs no bias labels.

    Source: Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain
    Image-to-Image Translation", CVPR 2018; reference code yunjey/stargan. With classes as domains:
    Jung et al., "Fighting Fire with Fire: Contrastive Debiasing without Bias-free Data via
    Generative Bias-transformation" (CDvG), ICML 2023.

    Args:
        groups: the groups of the data, with single-label targets.
        image: ``(1, 3, H, W)`` float, an example that gives the image size.
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        width: channels of the first maps of G and D.
        blocks: residual blocks of G.
        depth: number of times that D halves the image.
        class_weight: :math:`\lambda \ge 0`.
        cycle_weight: :math:`\rho \ge 0`, on pixels in [-1, 1].
        penalty_weight: :math:`\gamma \ge 0`.
        critic_turns: turns of the critic for each one of the generator, at least 1.

    Raises:
        ValueError: a weight is negative, ``width``, ``depth`` or ``critic_turns`` is below 1,
            ``blocks`` is negative, the images are too small, their sides are no multiples of 4, or
            targets are multi-label.

    Differs from the reference: c is drawn uniformly, and again for each turn. There c is the class
    of another image of the batch, and both turns of a step share it. The networks are smaller by
    default: 3 blocks in place of 6, and half the channels.
    """

    single_label = True
    hard_targets = True
    fixed_layers = True

    def __init__(
        self,
        groups: Groups,
        image: Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        width: int = 32,
        blocks: int = 3,
        depth: int = 3,
        class_weight: float = 1.0,
        cycle_weight: float = 10.0,
        penalty_weight: float = 10.0,
        critic_turns: int = 5,
    ) -> None:
        super().__init__(groups)
        weights = {"class_weight": class_weight, "cycle_weight": cycle_weight}
        check_at_least(0, weights | {"penalty_weight": penalty_weight}, of="Translation")
        check_at_least(1, {"critic_turns": critic_turns}, of="Translation")
        self.class_weight, self.cycle_weight = class_weight, cycle_weight
        self.penalty_weight, self.critic_turns = penalty_weight, critic_turns
        check_sides(image)
        self.classes, self.space = groups.outputs, PixelSpace(mean, std)
        self.translator = Translator(self.classes, width=width, blocks=blocks)
        self.critic = Critic(self.classes, image, width=width, depth=depth)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Player "critic" owns the parameters of D, and "generator" those of G."""
        owned = {"critic": self.critic, "generator": self.translator}
        return {player: list(network.parameters()) for player, network in owned.items()}

    def turns(self, step: int) -> Sequence[Turn]:
        """The turn of the critic, and after its last one of a round that of the generator."""
        critic, generator = (
            Turn("critic", self.critic_loss),
            Turn("generator", self.generator_loss),
        )
        return (critic, generator) if (step + 1) % self.critic_turns == 0 else (critic,)

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """Logits of the critic, and the maps from which it computes them."""
        maps = self.critic.layers(self.signed(image))
        return Outputs(self.critic.logits(maps), maps.flatten(1))

    def signed(self, image: Tensor) -> Tensor:
        """Pixels in [-1, 1] of ``(N, 3, H, W)`` normalised images."""
        return self.space.pixels(image) * 2 - 1

    def drawn(self, target: Tensor) -> Tensor:
        """Draw ``(N,)`` int64 classes c to translate to; any class is equally likely."""
        return torch.randint_like(target, self.classes)

    def critic_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the critic; its terms are logged."""
        image = self.signed(batch.image)
        with torch.no_grad():
            translated = self.translator(image, self.drawn(batch.target)).to(image)
        place = torch.rand(len(image), 1, 1, 1).to(image)
        points = torch.lerp(translated, image, place).requires_grad_()
        scores, logits = self.critic(image)
        gap = wasserstein_losses(scores, self.critic(translated)[0]).mean()
        penalty = gradient_penalties(self.critic(points)[0], points).mean()
        task = task_loss(logits, batch)
        total = gap + self.penalty_weight * penalty + self.class_weight * task
        terms = {"critic_gap": gap, "gradient_penalty": penalty, "critic_cross_entropy": task}
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def generator_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the generator; its terms are logged."""
        image, new_class = self.signed(batch.image), self.drawn(batch.target)
        translated = self.translator(image, new_class)
        scores, logits = self.critic(translated)
        score = scores.mean()
        task = classification_losses(logits, new_class).mean()
        again = self.translator(translated, batch.target)
        cycle = reconstruction_losses(image, again).mean()
        total = self.class_weight * task + self.cycle_weight * cycle - score
        terms = {"translated_score": score, "translated_cross_entropy": task, "cycle": cycle}
        return Loss(total, {name: term.detach() for name, term in terms.items()})
