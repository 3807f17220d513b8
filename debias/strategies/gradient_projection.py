"""Gradient projection: no update of the model helps an adversary that predicts the bias."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from debias import processes
from debias.errors import check_at_least
from debias.models.heads import MLPHead
from debias.strategies.objectives import bias_loss, check_biases, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss

#: Below this norm, the direction of an adversary's gradient is unreliable and not used.
SMALLEST_NORM = 1e-5


def projected(task: Tensor, adversary: Tensor, *, strength: float) -> Tensor:
    r"""Project a task gradient off an adversary's gradient, and add a step against the adversary.

    .. math:: g = g_t - \mathrm{proj}_{g_a}(g_t) - \alpha g_a, \qquad
              \mathrm{proj}_{g_a}(g_t) = \frac{\langle g_t, g_a \rangle}{\|g_a\|^2} g_a,
              \quad 0 \text{ where } \|g_a\| < 10^{-5}

    So :math:`g + \alpha g_a` is orthogonal to :math:`g_a`. To first order, this part of the step
    does not change the adversary's loss.

    Args:
        task: gradient of the task for one parameter tensor, any shape.
        adversary: gradient of the adversary for the same tensor, same shape.
        strength: :math:`\alpha`.

    Returns:
        Same shape.

    Example:
        >>> projected(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 2.0]), strength=0.5).tolist()
        [3.0, -1.0]
    """
    norm = torch.linalg.vector_norm(adversary)
    ratio = (task * adversary).sum() / norm.clamp(min=SMALLEST_NORM).square()
    return task - (torch.where(norm < SMALLEST_NORM, 0.0, ratio) + strength) * adversary


class GradientProjection(Strategy):
    r"""Remove from the gradient its part along the gradient of an adversary that predicts the bias.

    A linear adversary predicts the bias from the logits. For each parameter tensor of the model,
    :math:`g_t` is the gradient of the task and :math:`g_a` that of the adversary's cross-entropy.
    The tensor is updated along :math:`g = g_t - \mathrm{proj}_{g_a}(g_t) - \alpha g_a`
    (:func:`projected`). The adversary minimises its own loss.

    No loss has this gradient, so the objective builds a surrogate. It computes both gradients, and
    returns :math:`L = \sum_p \langle p, \mathrm{sg}[g_p] \rangle` (sg stops the gradient), whose
    gradient is exactly g. The value of L has no meaning and is replaced by that of the task loss.
    Optimiser, clipping and gradient scaling work as for any loss. A step has one forward pass and
    two backward passes: 5/3 of ERM's cost if a backward pass costs two forward passes. It holds two
    gradients of the model's size in memory.

    The method removes the bias from the logits; the features may keep it. With the projection alone
    (:math:`\alpha = 0`), the model cannot unlearn the bias that its first logits show.

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation. The projection is
    that of Zhang et al., "Mitigating Unwanted Biases with Adversarial Learning", AIES 2018.

    Args:
        groups: the groups of the data, with at least two bias values; targets may be single- or
            multi-label.
        strength: :math:`\alpha \ge 0`, weight of the step against the adversary.

    Raises:
        ValueError: ``strength`` is negative, or there is a single bias value.

    Differs from the reference: each step updates both model and adversary. There the model is
    updated in one epoch of three, and the adversary in all epochs, before the gradients are
    computed. Samples of unknown bias are not in the adversary's loss. Gradients are averaged over
    all processes before the projection.
    """

    requires = ("bias",)

    def __init__(self, groups: Groups, *, strength: float = 1.0) -> None:
        super().__init__()
        check_at_least(0, {"strength": strength}, of="GradientProjection")
        check_biases(groups, "GradientProjection")
        self.strength = strength
        self.adversary = MLPHead(groups.outputs, groups.biases, hidden_layers=0)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Surrogate with the value of the task loss and the projected gradient.

        The adversary's loss is logged.
        """
        logits = model(batch.image).logits
        task, adversary = task_loss(logits, batch), bias_loss(self.adversary(logits), batch.bias)
        model_parameters = [p for p in model.parameters() if p.requires_grad]
        adversary_parameters = [p for p in self.adversary.parameters() if p.requires_grad]
        parameters = [*model_parameters, *adversary_parameters]
        task_gradients = _gradients(task, model_parameters)
        adversary_gradients = _gradients(adversary, parameters)
        model_gradients = [
            projected(of_task, of_adversary, strength=self.strength)
            for of_task, of_adversary in zip(task_gradients, adversary_gradients, strict=False)
        ]
        own_gradients = adversary_gradients[len(model_parameters) :]
        surrogate = _linear(parameters, [*model_gradients, *own_gradients])
        return Loss(
            task.detach() + surrogate - surrogate.detach(), {"adversary": adversary.detach()}
        )


def _gradients(loss: Tensor, parameters: list[nn.Parameter]) -> Sequence[Tensor]:
    """Gradients averaged over all processes, since DistributedDataParallel does not do it here."""
    # autocast would round the gradients of float32 losses
    with torch.autocast(loss.device.type, enabled=False):
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return [processes.mean(gradient) for gradient in gradients]


def _linear(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    terms = [
        (p * gradient.detach()).sum() for p, gradient in zip(parameters, gradients, strict=True)
    ]
    return torch.stack(terms).sum()
