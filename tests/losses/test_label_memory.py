"""Labels that flip: with which probability, which rows, and what is remembered."""

import pytest
import torch

from debias.losses.label_memory import LabelMemory, flip_probability
from tests.properties import assert_one_graph


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [([0.6, 0.3, 0.1], 0.4), ([0.25, 0.75], 0.5), ([0.5, 0.5], 0.0), ([1.0, 0.0], 1.0)],
)
def test_probability_by_hand(probabilities, expected):
    """(0.6 - 1/3) * 3/2 = 0.4, and (0.75 - 1/2) * 2 = 0.5."""
    logits = torch.tensor([probabilities]).log()
    assert flip_probability(logits).item() == pytest.approx(expected, abs=1e-6)


def test_probability_of_half_precision_is_taken_in_float32():
    logits = torch.tensor([[1.0, 0.0]], dtype=torch.bfloat16)
    assert flip_probability(logits).dtype == torch.float32
    assert torch.equal(flip_probability(logits), flip_probability(logits.float()))


def test_probability_compiles_whole():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert_one_graph(flip_probability, logits)


ROWS, TARGET = torch.tensor([4, 1, 3]), torch.tensor([0, 1, 0])
#: They say 1, 0 and 1 with the probabilities 0.9, 0.75 and 0.5 (a tie says 0): flips at 0.8, 0.5
#: and 0.
SAID = torch.tensor([[0.1, 0.9], [0.75, 0.25], [0.5, 0.5]]).log()


def test_labels_flip_where_the_draw_is_below_the_probability():
    memory = LabelMemory(6)
    assert memory(ROWS, TARGET).tolist() == [0, 1, 0]
    assert memory.flip(SAID, ROWS, TARGET, torch.tensor([0.79, 0.51, 0.0])).tolist() == [
        True,
        False,
        False,
    ]
    assert memory(ROWS, TARGET).tolist() == [1, 1, 0]
    assert memory.labels.tolist() == [-1, 1, -1, 0, 1, -1]
    # a label that flipped is kept, whatever the class is, and may flip back
    assert memory.flip(-SAID, ROWS, TARGET, torch.zeros(3)).tolist() == [True, False, False]
    assert memory(ROWS, TARGET).tolist() == [0, 1, 0]


def test_rows_that_occur_twice_keep_the_greatest_label():
    for order in ([0, 1], [1, 0]):
        memory = LabelMemory(3)
        logits = torch.tensor([[9.0, 0.0], [0.0, 9.0]])[order]
        memory.flip(logits, torch.tensor([2, 2]), torch.tensor([0, 0]), torch.zeros(2))
        assert memory.labels.tolist() == [-1, -1, 1]


def test_evaluation_moves_nothing_and_state_survives():
    memory = LabelMemory(6).eval()
    assert memory.flip(SAID, ROWS, TARGET, torch.zeros(3)).any()
    assert memory.labels.eq(-1).all()
    memory.train()
    memory.flip(SAID, ROWS, TARGET, torch.zeros(3))
    restored = LabelMemory(6)
    restored.load_state_dict(memory.state_dict())
    assert torch.equal(restored(ROWS, TARGET), memory(ROWS, TARGET))
