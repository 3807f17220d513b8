"""Named mathematical properties that the tests of several losses share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from debias.strategies.strategy import Strategy
from debias.types import Batch


def assert_permutation_invariant(loss: Callable[..., Tensor], *columns: Tensor) -> None:
    """The order of the samples does not matter."""
    order = torch.randperm(len(columns[0]), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(*(column[order] for column in columns)), loss(*columns))


def assert_ignores(
    loss: Callable[[Tensor, Tensor], Tensor], losses: Tensor, group: Tensor, ignored: Tensor
) -> None:
    """The samples of a mask change nothing, not even with a NaN loss, and get no gradient."""
    poisoned = torch.where(ignored, float("nan"), losses).requires_grad_()
    value = loss(poisoned, group)
    torch.testing.assert_close(value, loss(losses[~ignored], group[~ignored]))
    (gradient,) = torch.autograd.grad(value.sum(), poisoned)
    assert gradient[ignored].eq(0).all()
    assert gradient[~ignored].ne(0).any()


def assert_pure(loss: Callable[..., Tensor], *columns: Tensor) -> None:
    """The inputs are not changed, and the result is not changed by a later call."""
    before = [column.clone() for column in columns]
    first = loss(*columns)
    kept = first.clone()
    loss(*columns)
    assert all(torch.equal(column, copy) for column, copy in zip(columns, before, strict=True))
    assert torch.equal(first, kept)


def assert_differentiable(loss: Callable[..., Tensor], column: Tensor, *others: Tensor) -> None:
    """The gradient to the first column is that of finite differences, in float64."""
    given = column.double().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda first: loss(first, *others), given)


def assert_one_graph(loss: Callable[..., Tensor], *columns: Tensor) -> None:
    """``torch.compile`` traces the loss to one graph, of the same value and gradient."""
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    results = []
    for function in (loss, compiled):
        first = columns[0].clone().requires_grad_()
        value = function(first, *columns[1:])
        results.append((value, *torch.autograd.grad(value.sum(), first)))
    for plain, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, plain)


def assert_read_in_float32(loss: Callable[..., Tensor], column: Tensor, *others: Tensor) -> None:
    """A first column of half precision is computed in float32, also under autocast."""
    for dtype in (torch.bfloat16, torch.float16):
        rounded = column.to(dtype)
        expected = loss(rounded.float(), *others)
        with torch.autocast("cpu", torch.bfloat16):
            low = loss(rounded, *others)
        assert low.dtype == expected.dtype == torch.float32
        assert torch.equal(low, expected)


def assert_state_survives(
    make: Callable[[], nn.Module], use: Callable[[nn.Module], Tensor]
) -> None:
    """A new object that loads the state of a used one goes on as that one does."""
    used, restored = make(), make()
    use(used)
    restored.load_state_dict(used.state_dict())
    torch.testing.assert_close(use(restored), use(used), rtol=0, atol=0)


def assert_own_gradient(strategy: Strategy, model: nn.Module, batch: Batch, step: int) -> None:
    """In its turn, a player's parameters get a finite gradient, and no other parameter gets one."""
    everybody, players = [*model.parameters(), *strategy.parameters()], strategy.players(model)
    for player, objective in strategy.turns(step):
        for parameter in everybody:
            parameter.grad = None
        objective(model, batch).total.backward()
        reached = [parameter for parameter in everybody if parameter.grad is not None]
        assert set(map(id, reached)) == set(map(id, players[player]))
        assert all(parameter.grad.isfinite().all() for parameter in reached)


def assert_gradient(reached: nn.Module, untouched: nn.Module) -> None:
    """Every parameter of one network has a gradient that is not 0, and none of another has one."""
    gradients = [parameter.grad for parameter in reached.parameters()]
    assert all(gradient is not None and gradient.ne(0).any() for gradient in gradients)
    assert all(parameter.grad is None for parameter in untouched.parameters())


#: Logits that break a careless formula: equal, certain, hopeless, far from the origin, one sample.
HARD_LOGITS = {
    "equal": torch.zeros(3, 2),
    "certain": torch.tensor([[200.0, -200.0], [-200.0, 200.0], [200.0, -200.0]]),
    "hopeless": torch.tensor([[-200.0, 200.0], [200.0, -200.0], [-200.0, 200.0]]),
    "far": torch.tensor([[1e4, 1e4 + 1], [-1e4, -1e4], [1e4 + 1, 1e4]]),
    "one sample": torch.tensor([[1.0, -1.0]]),
}
#: Their classes, of as many samples.
HARD_TARGET = torch.tensor([0, 1, 0])


def assert_finite_on_hard_logits(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Loss and gradient are finite for every entry of ``HARD_LOGITS``."""
    for name, column in HARD_LOGITS.items():
        logits = column.clone().requires_grad_()
        value = loss(logits, HARD_TARGET[: len(logits)])
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        assert value.isfinite().all(), name
        assert gradient.isfinite().all(), name
