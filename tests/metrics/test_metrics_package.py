"""What importing the room costs, and that every scalar is described."""

import subprocess
import sys

import pytest
import torch

import debias.metrics
from debias.metrics.accuracy.scalars import group_scalars
from debias.metrics.descriptions import DESCRIPTIONS
from debias.types import Attribute, Groups
from tests.metrics.metrics_cases import BIRDS

#: Modules, and what none of them may load, nor those before it. ``GroupCounts`` may load
#: torchmetrics, and no room of metrics loads Lightning (``tests/project/test_architecture.py``).
IMPORTS = (
    ("selection, descriptions, families", ("torch", "numpy", "torchmetrics")),
    ("accuracy.significance", ("torch", "scipy")),
    ("accuracy.counts, accuracy.scalars", ("torchmetrics", "pytorch_lightning", "lightning")),
    (
        "discovery.errors, discovery.information, discovery.partitions, leakage.amplification, "
        "leakage.complexity, leakage.ieat, leakage.probes, scores.retrieval",
        ("sklearn", "scipy", "torchmetrics", "pytorch_lightning"),
    ),
)


def test_an_import_loads_no_more_than_it_needs() -> None:
    """In one process, from the lightest to the heaviest."""
    lines = [
        f"import debias.metrics.{names.replace(', ', ', debias.metrics.')}; "
        f"print([name for name in {absent!r} if name in sys.modules])"
        for names, absent in IMPORTS
    ]
    script = "\n".join(["import sys", *lines])
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split("\n")[:-1] == ["[]"] * len(IMPORTS)


def test_every_public_name_loads() -> None:
    assert [name for name in debias.metrics.__all__ if not hasattr(debias.metrics, name)] == []
    assert set(debias.metrics.__all__) == set(debias.metrics._HOMES)
    with pytest.raises(AttributeError, match="has no attribute 'GroupCount'"):
        debias.metrics.GroupCount  # noqa: B018


def pattern(key: str) -> str:
    """The key by which a scalar is described."""
    family, _, name = key.partition("/")
    if not name:
        return key
    places = {"class_accuracy": "<class>", "accuracy": "<group>"}
    return f"{family}/{places.get(family, '<attribute>')}"


def test_every_scalar_is_described_and_nothing_else() -> None:
    scalars = group_scalars(torch.ones(2, 3, 2, dtype=torch.long), BIRDS, torch.ones(4))
    assert set(map(pattern, scalars)) == {key for key in DESCRIPTIONS if "attribute" not in key}
    attributes = [Attribute(name, ("a", "b"), ((0, 0), (1, 1))) for name in ("x", "y")]
    groups = Groups.product(BIRDS.target_names, attributes)
    scalars = group_scalars(torch.ones(2, 5, 2, dtype=torch.long), groups, torch.ones(8))
    assert set(map(pattern, scalars)) == set(DESCRIPTIONS)


def test_a_perfect_model_reaches_every_ideal() -> None:
    counts = torch.tensor([[[4, 0], [1, 0], [0, 0]], [[0, 2], [0, 3], [0, 0]]])
    for key, value in group_scalars(counts, BIRDS, torch.ones(4)).items():
        described = DESCRIPTIONS[pattern(key)]
        assert value.item() == described.ideal
        assert described.better == ("higher" if described.ideal == 1.0 else "lower")
