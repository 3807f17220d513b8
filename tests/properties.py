"""Named mathematical properties that the tests of several losses share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


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
