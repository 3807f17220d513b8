"""One process keeps what it has; that two agree with one is tested where sums are taken."""

import pytest
import torch
from torch import distributed

from debias import processes


def pretend(monkeypatch: pytest.MonkeyPatch, *, rank: int, world: int) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(distributed, "get_world_size", lambda: world)


@pytest.mark.parametrize(
    "name", ["summed", "mean", "least", "joined_rows", "joined_lists", "from_first"]
)
def test_one_process_gets_its_argument_back(name, monkeypatch):
    """Also inside a process group of one, where nothing is sent."""
    value = [1, 2] if name == "joined_lists" else torch.tensor([1.0, 2.0], requires_grad=True)
    assert getattr(processes, name)(value) is value
    pretend(monkeypatch, rank=0, world=1)
    assert getattr(processes, name)(value) is value


def test_rank_and_world_are_those_of_the_process_group(monkeypatch):
    assert (processes.rank(), processes.world()) == (0, 1)
    pretend(monkeypatch, rank=2, world=3)
    assert (processes.rank(), processes.world()) == (2, 3)


def test_reductions_leave_their_argument_alone(monkeypatch):
    """Of 3 processes the two others hold 10 and 20: sum 1 + 30, mean 31 / 3, least 1."""
    value = torch.tensor(1.0, requires_grad=True)

    def reduce(tensor, op):
        tensor += 30.0 if op == distributed.ReduceOp.SUM else 0.0

    pretend(monkeypatch, rank=0, world=3)
    monkeypatch.setattr(distributed, "all_reduce", reduce)
    assert processes.summed(value).item() == 31.0
    assert processes.mean(value).item() == pytest.approx(31 / 3)
    assert processes.least(value).item() == 1.0
    assert value.item() == 1.0
    assert not processes.summed(value).requires_grad


@pytest.mark.parametrize("rank", [0, 1])
def test_what_the_first_process_does_is_sent_to_the_others(rank, monkeypatch):
    """They do not do it themselves, and end if it fails."""
    sent = [] if rank == 0 else [("read", False), (None, True)]

    def broadcast(held, src):
        held[:] = held if rank == src else [sent.pop(0)]
        sent.extend(held if rank == src else [])

    pretend(monkeypatch, rank=rank, world=2)
    monkeypatch.setattr(distributed, "broadcast_object_list", broadcast)
    own = (lambda: "read", lambda: 1 / 0) if rank == 0 else (lambda: 1 / 0, lambda: 1 / 0)
    assert processes.by_first(own[0]) == "read"
    with pytest.raises(ZeroDivisionError if rank == 0 else SystemExit):
        processes.by_first(own[1])
    assert sent == ([("read", False), (None, True)] if rank == 0 else [])


def test_lists_are_joined_in_order_of_rank(monkeypatch):
    def gather(lists, own):
        lists[:] = [[1], own, [3, 4]]

    pretend(monkeypatch, rank=1, world=3)
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    assert processes.joined_lists([2]) == [1, 2, 3, 4]
