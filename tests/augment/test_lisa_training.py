"""LISA does what it is for, and Mixup does not: pairs chosen against the shortcut remove it, random
ones leave it.
"""

import pytest

from debias.augment.lisa import LISA
from debias.augment.mixing import Mixup
from debias.strategies.erm import ERM
from tests.augment.test_recombination_training import trained
from tests.fakes import GROUPS


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_worst_group_is_saved(seed):
    """The best that can be done is 0.962. Worst group, seeds 0, 1, 2: ERM and Mixup 0.00 0.00 0.00;
    LISA 0.84 0.89 0.90, by intra-label pairs alone 0.93 0.94 0.95. With CutMix LISA only begins to
    help here: 0.02 0.02 0.03, and 0.56 0.52 0.52 after 600 steps, when ERM has 0.05. In batches of
    64, which have 1.6 scenes of a small group, LISA is less sure: 0.79 0.47 0.18."""
    assert trained(ERM(), None, seed, batch_size=256) < 0.1
    assert trained(ERM(), Mixup(GROUPS, alpha=2.0), seed, batch_size=256) < 0.1
    assert trained(ERM(), LISA(GROUPS), seed, batch_size=256) > 0.75
    assert trained(ERM(), LISA(GROUPS, selection=1.0), seed, batch_size=256) > 0.85
