"""Optimisers and learning-rate schedules by name; keyword-only arguments are options."""

from collections.abc import Sequence

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
    StepLR,
)

from debias.errors import InputError, near

#: The remedy if the schedule of the run does not fit the epochs of a stage.
_OWN = "or give the stages of a recipe their own schedule, as in recipe.reference.scheduler"


def sgd(
    parameters: list[Parameter],
    *,
    lr: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    nesterov: bool = False,
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)


def adam(
    parameters: list[Parameter],
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """Adam; the weight decay is added to the gradient."""
    return Adam(parameters, lr=lr, weight_decay=weight_decay, betas=_pair(betas), eps=eps)


def adamw(
    parameters: list[Parameter],
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """Adam with decoupled weight decay."""
    return AdamW(parameters, lr=lr, weight_decay=weight_decay, betas=_pair(betas), eps=eps)


def timm(
    parameters: list[Parameter],
    *,
    opt: str,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    momentum: float | None = None,
    betas: list[float] | None = None,
    eps: float | None = None,
) -> Optimizer:
    """Any optimiser of timm by its name ``opt``, such as "lamb"; null means timm's default.

    Raises:
        ValueError: timm has no such optimiser; it has no such option; it needs second derivatives.
    """
    from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers

    if opt not in (names := list_optimizers()):
        raise InputError(f"timm has no optimiser optimizer.opt={opt!r}; {near(opt, names)}")
    info = get_optimizer_info(opt)
    if info.second_order:
        raise InputError(f"optimizer.opt={opt} needs second derivatives: choose another optimiser")
    if betas is not None and len(betas) != info.num_betas:
        raise InputError(f"{opt} needs {info.num_betas} optimizer.betas; got {list(betas)}")
    given = {"momentum": momentum, "betas": betas and tuple(betas), "eps": eps}
    given = {key: value for key, value in given.items() if value is not None}
    accepted = {"momentum": info.has_momentum, "betas": info.has_betas, "eps": info.has_eps}
    for key in given:
        if not accepted[key]:
            others = ", ".join(name for name, has in accepted.items() if has) or "none of them"
            raise InputError(f"{opt} has no optimizer.{key}: leave it out; it has {others}")
    try:
        made: Optimizer = create_optimizer_v2(
            parameters, opt=opt, lr=lr, weight_decay=weight_decay, **given
        )
    except (AssertionError, ImportError) as error:  # those of other packages, such as bitsandbytes
        raise InputError(f"optimizer.opt={opt} cannot be used here: {error}") from error
    return made


def _pair(betas: Sequence[float]) -> tuple[float, float]:
    if len(betas) != 2:
        raise InputError(f"optimizer.betas must be two numbers, as in [0.9,0.999]; got {betas}")
    return (betas[0], betas[1])


def constant(optimizer: Optimizer, epochs: int, *, warmup: int = 0) -> LRScheduler:
    """The learning rate stays as it is, after ``warmup`` epochs in which it grows linearly."""
    main = ConstantLR(optimizer, factor=1.0, total_iters=0)
    return _warmed_up(main, optimizer, epochs, warmup)


def cosine(
    optimizer: Optimizer, epochs: int, *, minimum: float = 0.0, warmup: int = 0
) -> LRScheduler:
    """The learning rate falls along half a cosine, to ``minimum`` after the last epoch.

    In the ``warmup`` epochs before, it grows linearly.
    """
    main = CosineAnnealingLR(optimizer, T_max=max(epochs - warmup, 1), eta_min=minimum)
    return _warmed_up(main, optimizer, epochs, warmup)


def step(
    optimizer: Optimizer, epochs: int, *, every: int = 20, factor: float = 0.1, warmup: int = 0
) -> LRScheduler:
    """The learning rate is multiplied by ``factor`` once per ``every`` epochs.

    In the ``warmup`` epochs before, it grows linearly.
    """
    if every < 1:
        raise InputError(f"scheduler.every must be at least 1; got {every}")
    main = StepLR(optimizer, step_size=every, gamma=factor)
    return _warmed_up(main, optimizer, epochs, warmup)


def multi_step(
    optimizer: Optimizer, epochs: int, *, at: list[int], factor: float = 0.1, warmup: int = 0
) -> LRScheduler:
    """The learning rate is multiplied by ``factor`` after each number of epochs in ``at``.

    In the ``warmup`` epochs before the first of them, it grows linearly.
    """
    if not at or sorted(set(at)) != list(at) or not warmup < at[0] <= at[-1] < epochs:
        raise InputError(
            f"scheduler.at must be increasing numbers above scheduler.warmup={warmup} and below "
            f"epochs={epochs}; got {list(at)}: set others, {_OWN}.at=[5]"
        )
    main = MultiStepLR(optimizer, milestones=[epoch - warmup for epoch in at], gamma=factor)
    return _warmed_up(main, optimizer, epochs, warmup)


def _warmed_up(main: LRScheduler, optimizer: Optimizer, epochs: int, warmup: int) -> LRScheduler:
    """The schedule ``main`` after a warm-up of N epochs, which have 1/(N+1), ..., N/(N+1) of it."""
    if not 0 <= warmup < epochs:
        raise InputError(
            f"scheduler.warmup must be at least 0 and below epochs={epochs}; got {warmup}: set "
            f"another, {_OWN}.warmup=0"
        )
    if warmup == 0:
        return main
    growth = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return SequentialLR(optimizer, [growth, main], milestones=[warmup])
