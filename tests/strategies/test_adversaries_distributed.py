"""Two gloo processes train strategies with an adversary, or with quantities over pairs and groups,
as one does.
"""

import pytest
import torch

from tests.strategies import adversaries_two_ranks, joined_two_ranks
from tests.strategies.adversaries_two_ranks import both, train, trained
from tests.two_ranks import found_by_both

STRATEGIES = adversaries_two_ranks.STRATEGIES | joined_two_ranks.STRATEGIES


def on_rank(rank: int) -> dict[str, dict[str, torch.Tensor]]:
    return trained(rank, STRATEGIES)


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    """The known biases of a batch are unevenly spread, so the mean of the two means would not be
    that of the batch.
    """
    ranks = found_by_both(on_rank, tmp_path)
    for name, together in both(STRATEGIES).items():
        alone = train(together, slice(0, 16))
        for key, value in alone.items():
            torch.testing.assert_close(
                ranks[0][name][key], value, rtol=1e-4, atol=1e-6, msg=f"{name} {key}"
            )
            assert torch.equal(ranks[0][name][key], ranks[1][name][key])
