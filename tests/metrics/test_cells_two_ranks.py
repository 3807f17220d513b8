"""Attention, cues and frequency in two processes: the same numbers as in one, and one refusal for all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchmetrics import MetricCollection

from debias.metrics.cues import ShortcutGaps
from tests.metrics.two_ranks_cells import EVERY, METRICS, SHARDINGS, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two gloo processes found, for every metric and sharding."""
    folder = tmp_path_factory.mktemp("ranks")
    start = [sys.executable, "-m", "tests.metrics.two_ranks_cells"]
    files = [folder / f"{rank}.json" for rank in (0, 1)]
    commands = [[*start, str(rank), f"file://{folder}/rendezvous", str(files[rank])] for rank in (0, 1)]
    root = Path(__file__).resolve().parents[2]
    processes = [subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize("sharding", SHARDINGS)
@pytest.mark.parametrize("name", METRICS)
def test_two_processes_agree_with_one(ranks: list[dict], name: str, sharding: str) -> None:
    """Also where rank 0 sees one group, or rank 1 nothing at all. Sums of float scores are equal up to rounding."""
    whole = run(name, [EVERY])
    for rank in ranks:
        found = rank["results"][f"{name}/{sharding}"]
        assert found == {key: pytest.approx(value, abs=1e-14, rel=1e-14, nan_ok=True) for key, value in whole.items()}


def test_every_process_refuses_what_one_was_fed(ranks: list[dict]) -> None:
    assert ranks[0]["refusals"] == ranks[1]["refusals"]
    for messages, place in zip(ranks[0]["refusals"], (7, -7), strict=True):
        assert messages[0].startswith(f"group {place} is outside [-1, 4)")
        assert messages[1] == f"cell {place} of BackgroundChallenge is outside [-1, 4)"


def test_two_metrics_that_agree_on_the_first_batch_are_never_joined() -> None:
    """torchmetrics joins metrics whose states are equal after one batch, and then feeds only one of them."""
    frequencies = torch.tensor([1, 1])
    both = MetricCollection({name: ShortcutGaps((name,), train_frequencies=frequencies) for name in ("one", "two")})
    both.update(torch.tensor([True, False]), torch.tensor([[0], [1]]))
    assert len(both.compute_groups) == 2
