"""LISA does what it is for, and Mixup does not: pairs chosen against the shortcut remove it, random
ones leave it.
"""

import pytest
import torch
from torch import nn

from debias.augment.lisa import LISA
from debias.augment.mixing import Mixup
from debias.strategies.erm import ERM
from tests.augment.test_recombination_training import MeanColour, scenes, worst_group
from tests.fakes import GROUPS


def trained(augment: nn.Module | None, seed: int) -> float:
    """Worst-group accuracy on balanced scenes, after 150 steps on batches of 256 scenes of which 95
    % are aligned.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model, test = MeanColour(), scenes(2000, 0.5, generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    for step in range(150):
        batch = scenes(256, 0.95, generator)
        batch = batch if augment is None else augment(batch, step / 150)
        optimizer.zero_grad()
        ERM().loss(model, batch).total.backward()
        optimizer.step()
    return worst_group(model, test)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_worst_group_is_saved(seed):
    """The best that can be done is 0.962. Worst group, seeds 0, 1, 2: ERM and Mixup 0.00 0.00 0.00;
    LISA 0.84 0.89 0.90, by intra-label pairs alone 0.93 0.94 0.95. With CutMix LISA only begins to
    help here: 0.02 0.02 0.03, and 0.56 0.52 0.52 after 600 steps, when ERM has 0.05. In batches of
    64, which have 1.6 scenes of a small group, LISA is less sure: 0.79 0.47 0.18."""
    assert trained(None, seed) < 0.1
    assert trained(Mixup(GROUPS, alpha=2.0), seed) < 0.1
    assert trained(LISA(GROUPS), seed) > 0.75
    assert trained(LISA(GROUPS, selection=1.0), seed) > 0.85
