"""BiasInformation and ErrorDiscovery: the known numbers under any order, batching and sharding."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchmetrics import MetricCollection

from debias.metrics.bias_information import BiasInformation, ErrorDiscovery
from debias.metrics.group_counts import GroupCounts
from tests.metrics.metrics_cases import BIRDS, Case
from tests.metrics.two_information_ranks import every, scalars

CASES = {case.name: (kind, case) for kind, case in every()}


def check(case: Case, found: dict[str, float]) -> None:
    for key, expected in case.expected.items():
        assert found[key] == pytest.approx(expected, abs=case.tolerance, rel=0, nan_ok=True), key


@pytest.mark.parametrize("name", CASES)
def test_any_batches_in_any_order_give_the_known_scalars(name: str) -> None:
    kind, case = CASES[name]
    whole = scalars(kind, case, [torch.arange(len(case.target))])
    check(case, whole)
    for order in (case.shuffled(0), case.by_group()):
        for size in (1, 4, 13):
            # counts are integers, so not even the last bit may differ
            assert json.dumps(scalars(kind, case, list(order.split(size)))) == json.dumps(whole)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two gloo processes found, for every case and sharding."""
    folder = tmp_path_factory.mktemp("ranks")
    start, files = [sys.executable, "-m", "tests.metrics.two_information_ranks"], [folder / "0.json", folder / "1.json"]
    commands = [[*start, str(rank), f"file://{folder}/rendezvous", str(files[rank])] for rank in (0, 1)]
    root = Path(__file__).resolve().parents[2]
    processes = [subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["alternating", "one_group_first", "one_idle", "sorted_halves"])
def test_two_processes_agree_with_one(ranks: list[dict], sharding: str) -> None:
    for name, (kind, case) in CASES.items():
        whole = scalars(kind, case, [torch.arange(len(case.target))])
        for rank in ranks:
            assert json.dumps(rank[f"{name}/{sharding}"]) == json.dumps(whole)


def test_a_collection_keeps_them_apart_from_the_group_accuracies() -> None:
    metrics = MetricCollection([GroupCounts(BIRDS), BiasInformation(BIRDS), ErrorDiscovery(BIRDS)])
    prediction, target, bias = torch.tensor([[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1]])
    metrics.update(prediction, target, bias)
    found = metrics.compute()
    assert (found["average"], found["discovery/error_recall"]) == (0.5, 1)
    assert found["information/cramers_v"].item() == pytest.approx(1)


@pytest.mark.parametrize("kind", [BiasInformation, ErrorDiscovery])
def test_a_value_out_of_range_is_refused(kind: type[GroupCounts]) -> None:
    metric = kind(BIRDS)
    metric.update(torch.tensor([0]), torch.tensor([0]), torch.tensor([2]))
    with pytest.raises(ValueError, match="bias 2 is outside"):
        metric.compute()
