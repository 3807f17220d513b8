"""Optimisers and learning-rate schedules by name; keyword-only arguments are options."""

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, StepLR

from debias.errors import InputError


def sgd(
    parameters: list[Parameter],
    *,
    lr: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)


def adam(parameters: list[Parameter], *, lr: float = 1e-3, weight_decay: float = 0.0) -> Optimizer:
    """Adam; the weight decay is added to the gradient."""
    return Adam(parameters, lr=lr, weight_decay=weight_decay)


def adamw(
    parameters: list[Parameter], *, lr: float = 1e-3, weight_decay: float = 0.01
) -> Optimizer:
    """Adam with decoupled weight decay."""
    return AdamW(parameters, lr=lr, weight_decay=weight_decay)


def constant(optimizer: Optimizer, epochs: int) -> LRScheduler:
    """The learning rate stays as it is."""
    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def cosine(optimizer: Optimizer, epochs: int, *, minimum: float = 0.0) -> LRScheduler:
    """The learning rate falls along half a cosine, to ``minimum`` after the last epoch."""
    return CosineAnnealingLR(optimizer, T_max=epochs, eta_min=minimum)


def step(optimizer: Optimizer, epochs: int, *, every: int = 20, factor: float = 0.1) -> LRScheduler:
    """The learning rate is multiplied by ``factor`` once per ``every`` epochs."""
    if every < 1:
        raise InputError(f"scheduler.every must be at least 1; got {every}")
    return StepLR(optimizer, step_size=every, gamma=factor)
