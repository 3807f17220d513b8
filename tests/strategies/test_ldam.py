"""LDAM: its value by hand, margins as state, and what it refuses."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.erm import ERM
from debias.strategies.ldam import LDAM
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)
COUNTS = torch.tensor([16, 1])


def test_value_by_hand():
    """Counts 16 and 1: margins 1/4 and 1/2, off the true class, and the logits are doubled."""
    model = TinyClassifier()
    taken = torch.eye(2, dtype=torch.float64)[BATCH.target] * torch.tensor([0.25, 0.5])
    expected = F.cross_entropy(2 * (model(BATCH.image).logits.double() - taken), BATCH.target)
    loss = LDAM(GROUPS, COUNTS, scale=2.0).loss(model, BATCH)
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_weights_of_the_batch_count():
    model, strategy = TinyClassifier(), LDAM(GROUPS, COUNTS)
    only = BATCH._replace(weight=torch.tensor([8.0] + [0.0] * 7))
    alone = type(BATCH)(*(None if column is None else column[:1] for column in BATCH))
    torch.testing.assert_close(strategy.loss(model, only).total, strategy.loss(model, alone).total)


def test_a_margin_that_vanishes_is_erm():
    model = TinyClassifier()
    loss = LDAM(GROUPS, COUNTS, max_margin=1e-9, scale=1.0).loss(model, BATCH)
    torch.testing.assert_close(loss.total, ERM().loss(model, BATCH).total)


def test_state_survives():
    model, restored = TinyClassifier(), LDAM(GROUPS, torch.tensor([1, 1]))
    strategy = LDAM(GROUPS, COUNTS)
    restored.load_state_dict(strategy.state_dict())
    assert torch.equal(restored.loss(model, BATCH).total, strategy.loss(model, BATCH).total)


def test_refuses():
    with pytest.raises(ValueError, match=r"scale must be positive for LDAM; got 0\.0"):
        LDAM(GROUPS, COUNTS, scale=0.0)
    with pytest.raises(ValueError, match=r"max_margin .* -1\.0"):
        LDAM(GROUPS, COUNTS, max_margin=-1.0)
