"""Two gloo processes train two networks as one does, and remember the same of samples."""

import pytest
import torch

from tests.strategies.networks_two_ranks import STRATEGIES, on_rank, train
from tests.two_ranks import found_by_both


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    ranks = found_by_both(on_rank, tmp_path)
    for name, make in STRATEGIES.items():
        for key, value in train(make, slice(0, 16), wrapped=False).items():
            torch.testing.assert_close(
                ranks[0][name][key], value, rtol=1e-4, atol=1e-5, msg=f"{name} {key}"
            )
            assert torch.equal(ranks[0][name][key], ranks[1][name][key])
