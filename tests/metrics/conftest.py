"""What the tests of metrics may use."""

import pytest

from tests.two_ranks import found_by_both


@pytest.fixture(scope="module")
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What ``on_rank`` of the test's module found in each of two gloo processes."""
    return found_by_both(request.module.on_rank, tmp_path_factory.mktemp("ranks"))
