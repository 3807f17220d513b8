"""Gradient projection: the model never moves along what would help an adversary."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from debias import processes
from debias.errors import check_at_least
from debias.models.heads import MLPHead
from debias.strategies.objectives import bias_loss, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss

#: Below this norm an adversary's gradient has no direction to speak of.
SMALLEST = 1e-5


def projected(task: Tensor, adversary: Tensor, *, strength: float) -> Tensor:
    r"""The task's gradient without its part along the adversary's, and a step against the latter.

    .. math:: g = g_t - \mathrm{proj}_{g_a}(g_t) - \alpha g_a, \qquad
              \mathrm{proj}_{g_a}(g_t) = \frac{\langle g_t, g_a \rangle}{\|g_a\|^2} g_a,
              \quad 0 \text{ where } \|g_a\| < 10^{-5}

    So :math:`g + \alpha g_a` is orthogonal to :math:`g_a`: to first order the task's share of the
    step leaves the adversary's loss as it is.

    Args:
        task: gradient of one parameter tensor, any shape.
        adversary: its gradient from the adversary, same shape.
        strength: :math:`\alpha`.

    Returns:
        Same shape.

    Example:
        >>> projected(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 2.0]), strength=0.5).tolist()
        [3.0, -1.0]
    """
    norm = torch.linalg.vector_norm(adversary)
    along = torch.where(
        norm < SMALLEST, 0.0, (task * adversary).sum() / norm.clamp(min=SMALLEST).square()
    )
    return task - (along + strength) * adversary


class GradientProjection(Strategy):
    r"""Remove from the gradient its part along the gradient of a bias head.

    A linear adversary reads the logits; each parameter tensor of the model moves along a projected
    gradient.

    For a parameter tensor with gradients :math:`g_t` of the task and :math:`g_a` of the adversary's
    cross-entropy: :math:`g = g_t - \mathrm{proj}_{g_a}(g_t) - \alpha g_a` (:func:`projected`); the
    adversary descends on its own.

    No loss has this gradient, so a surrogate is made that does. The two gradients are taken inside
    the objective, and :math:`L = \sum_p \langle p, \mathrm{sg}[g_p] \rangle` is linear in every
    parameter, with exactly g as its gradient. Its value means nothing; that of the task is put in
    its place. Optimiser, clipping and gradient scaling then work as for any loss. Cost of a step:
    one forward pass and two backward passes, 5/3 of ERM's where a backward pass costs two forward
    ones, and two gradients of the model's size in memory.

    The adversary reads the logits, so it is they that lose the bias; features may keep it. The
    projection alone (:math:`\alpha = 0`) keeps the model from unlearning what its first logits give
    away.

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation. The projection is
    that of Zhang et al., "Mitigating Unwanted Biases with Adversarial Learning", AIES 2018.

    Args:
        groups: the groups of the data; targets single- or multi-label, two or more values of the
            bias.
        strength: :math:`\alpha \ge 0`, the step against the adversary.

    Raises:
        ValueError: ``strength`` is negative.

    Differs from the reference: model and adversary move in every step; there the model moves in one
    epoch of three, the adversary in all, and before the gradients are taken. Samples of unknown
    bias are left out of the adversary's loss; gradients are those of the joined batch of all
    processes before they are projected.
    """

    requires = ("bias",)

    def __init__(self, groups: Groups, *, strength: float = 1.0) -> None:
        super().__init__()
        check_at_least(0, {"strength": strength}, of="GradientProjection")
        self.strength = strength
        self.adversary = MLPHead(groups.outputs, groups.biases, hidden_layers=0)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The surrogate, of the task's value; the adversary's loss is logged."""
        logits = model(batch.image).logits
        task, adversary = task_loss(logits, batch), bias_loss(self.adversary(logits), batch.bias)
        own = [p for p in model.parameters() if p.requires_grad]
        others = [p for p in self.adversary.parameters() if p.requires_grad]
        helping = _gradients(task, own)
        opposing = _gradients(adversary, [*own, *others])
        wanted = [
            projected(toward, against, strength=self.strength)
            for toward, against in zip(helping, opposing, strict=False)
        ]
        surrogate = _linear([*own, *others], [*wanted, *opposing[len(own) :]])
        return Loss(
            task.detach() + surrogate - surrogate.detach(), {"adversary": adversary.detach()}
        )


def _gradients(loss: Tensor, parameters: list[nn.Parameter]) -> Sequence[Tensor]:
    """Gradients of the joined batch: DistributedDataParallel does not average these."""
    with torch.autocast(
        loss.device.type, enabled=False
    ):  # or float32 losses have rounded gradients
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return [processes.mean(gradient) for gradient in gradients]


def _linear(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    terms = [
        (p * gradient.detach()).sum() for p, gradient in zip(parameters, gradients, strict=True)
    ]
    return torch.stack(terms).sum()
