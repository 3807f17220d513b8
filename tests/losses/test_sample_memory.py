"""Per-sample memories against a dictionary: shuffled subsets, repeated rows, state, one graph."""

from collections import defaultdict

import pytest
import torch
from torch import Tensor

from debias.losses.sample_memory import RelativeDifficulty, SampleMemory
from tests.losses.two_memory_ranks import steps

SAMPLES, CLASSES = 12, 3
TARGET = torch.arange(SAMPLES) % CLASSES


def naive(batches: list[tuple[Tensor, Tensor]], momentum: float) -> list[list[float]]:
    """Relative values of each batch by the definition, in a dictionary of the rows seen."""
    seen: dict[int, float] = {}
    found = []
    for losses, index in batches:
        given: dict[int, list[float]] = defaultdict(list)
        for loss, row in zip(losses.tolist(), index.tolist(), strict=True):
            given[row].append(loss)
        for row, values in given.items():
            mean = sum(values) / len(values)
            seen[row] = momentum * seen[row] + (1 - momentum) * mean if row in seen else mean
        greatest = {
            c: max((v for row, v in seen.items() if row % CLASSES == c), default=0.0)
            for c in range(CLASSES)
        }
        found.append([seen[row] / greatest[row % CLASSES] for row in index.tolist()])
    return found


def batches(count: int, size: int, *, rows: Tensor, repeats: bool) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        order = torch.randperm(len(rows), generator=generator)[:size]
        picked = torch.randint(len(rows), (size,), generator=generator) if repeats else order
        found.append((torch.rand(size, generator=generator), rows[picked]))
    return found


def test_hand_derived_values():
    """Rows 3 and 0 of class 0, m = 3/4: 4 then 4 * 3/4 + 8/4 = 5, beside row 0 which is visited
    once, with 10.
    """
    memory = SampleMemory(SAMPLES, CLASSES, momentum=0.75)
    assert memory(torch.tensor([4.0]), torch.tensor([3]), torch.tensor([0])).tolist() == [1.0]
    assert memory(
        torch.tensor([8.0, 10.0]), torch.tensor([3, 0]), torch.tensor([0, 0])
    ).tolist() == [0.5, 1.0]
    assert memory.values[[3, 0]].tolist() == [5.0, 10.0]
    assert memory.greatest().tolist() == [10.0, 0.0, 0.0]


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_equals_the_definition_on_a_shuffled_subset(momentum, repeats):
    """Rows 1, 4, 5, 7, 8, 10, 11 of 12, in any order: the others never count, and repeats count
    once, by their mean.
    """
    given = batches(15, 5, rows=torch.tensor([10, 4, 8, 11, 1, 7, 5]), repeats=repeats)
    memory = SampleMemory(SAMPLES, CLASSES, momentum=momentum)
    for (losses, index), expected in zip(given, naive(given, momentum), strict=True):
        assert memory(losses, index, TARGET[index]).tolist() == pytest.approx(expected, rel=1e-5)
    assert memory.target.tolist() == [
        TARGET[row] if row in (1, 4, 5, 7, 8, 10, 11) else -1 for row in range(SAMPLES)
    ]


def test_repeats_make_one_step_of_their_mean():
    """Losses 1 and 3 of a row that stood at 4, m = 1/2: (4 + 2) / 2 = 3, in any order."""
    for losses in ([1.0, 3.0], [3.0, 1.0]):
        memory = SampleMemory(SAMPLES, CLASSES, momentum=0.5)
        row, target = torch.tensor([2, 2]), torch.tensor([2, 2])
        memory(torch.tensor([4.0]), row[:1], target[:1])
        memory(torch.tensor(losses), row, target)
        assert memory.values[2].item() == 3.0


def test_the_order_of_a_batch_does_not_matter():
    (losses, index), *_ = batches(1, 6, rows=torch.arange(SAMPLES), repeats=False)
    forward, backward = SampleMemory(SAMPLES, CLASSES), SampleMemory(SAMPLES, CLASSES)
    found = forward(losses, index, TARGET[index])
    assert torch.equal(
        backward(losses.flip(0), index.flip(0), TARGET[index].flip(0)).flip(0), found
    )
    assert torch.equal(forward.values, backward.values)


def test_evaluation_mode_reads_and_does_not_move():
    memory = SampleMemory(SAMPLES, CLASSES)
    memory(torch.tensor([2.0, 4.0]), torch.tensor([0, 3]), torch.tensor([0, 0]))
    memory.eval()
    assert memory(
        torch.tensor([9.0, 9.0]), torch.tensor([0, 6]), torch.tensor([0, 0])
    ).tolist() == [0.5, 0.0]
    assert memory.values[[0, 3, 6]].tolist() == [2.0, 4.0, 0.0]


def test_a_class_without_loss_is_zero():
    memory = SampleMemory(SAMPLES, CLASSES)
    assert memory(torch.zeros(2), torch.tensor([0, 3]), torch.tensor([0, 0])).tolist() == [0.0, 0.0]


def test_weights_by_hand():
    """Relative values (1, 1/2) of the biased network, (1/4, 1) of ours: 1 / 1.25 and 0.5 / 1.5."""
    difficulty = RelativeDifficulty(SAMPLES, CLASSES)
    index, target = torch.tensor([0, 3]), torch.tensor([0, 0])
    found = difficulty(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 4.0]), index, target)
    assert found.tolist() == pytest.approx([0.8, 1 / 3], rel=1e-6)


def test_a_class_that_both_networks_have_learnt_has_weight_zero():
    """Losses of exactly 0, where b / (b + d) is 0 / 0."""
    index, target = torch.tensor([0, 3]), torch.tensor([0, 0])
    assert RelativeDifficulty(SAMPLES, CLASSES)(
        torch.zeros(2), torch.zeros(2), index, target
    ).tolist() == [0.0, 0.0]


def test_networks_that_agree_weigh_a_half():
    losses, index = torch.rand(6), torch.randperm(SAMPLES)[:6]
    found = RelativeDifficulty(SAMPLES, CLASSES)(losses, losses, index, TARGET[index])
    assert found.tolist() == pytest.approx([0.5] * 6, abs=1e-5)


def test_weights_carry_no_gradient():
    losses, biased = torch.rand(4, requires_grad=True), torch.rand(4, requires_grad=True)
    index = torch.arange(4)
    found = RelativeDifficulty(SAMPLES, CLASSES)(biased, losses, index, TARGET[index])
    assert not found.requires_grad
    kept = found.clone()
    RelativeDifficulty(SAMPLES, CLASSES)(biased, losses, index, TARGET[index])
    assert torch.equal(found, kept)


def test_state_survives():
    given = batches(6, 5, rows=torch.arange(SAMPLES), repeats=True)
    memory, restored = SampleMemory(SAMPLES, CLASSES), SampleMemory(SAMPLES, CLASSES)
    for losses, index in given[:5]:
        memory(losses, index, TARGET[index])
    restored.load_state_dict(memory.state_dict())
    losses, index = given[5]
    assert torch.equal(restored(losses, index, TARGET[index]), memory(losses, index, TARGET[index]))
    assert torch.equal(restored.values, memory.values)


def test_traces_to_one_graph():
    plain, compiled = RelativeDifficulty(SAMPLES, CLASSES), RelativeDifficulty(SAMPLES, CLASSES)
    traced = torch.compile(compiled, fullgraph=True, backend="eager")
    for given in steps(3, 6):
        assert torch.equal(traced(*given), plain(*given))
    assert all(torch.equal(*pair) for pair in zip(plain.buffers(), compiled.buffers(), strict=True))


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_refuses(momentum):
    with pytest.raises(ValueError, match=f"got {momentum}"):
        RelativeDifficulty(SAMPLES, CLASSES, momentum=momentum)
