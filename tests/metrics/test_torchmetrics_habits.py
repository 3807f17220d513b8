"""GroupCounts as users of torchmetrics expect it: logits, names in a collection, plots."""

import pytest
import torch
from matplotlib import pyplot
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryFairness, MulticlassAccuracy

from debias.metrics import GroupCounts, fairness_scalars
from debias.types import Groups
from tests.metrics.metrics_cases import BIRDS, worked


def logits_of(prediction: Tensor) -> Tensor:
    """Logits, all negative, of which those of the predictions are the greatest."""
    return torch.nn.functional.one_hot(prediction, 2).float() - 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_count_as_their_classes(dtype: torch.dtype) -> None:
    """Two batches; ``metric(...)`` returns the numbers of the batch."""
    case, metric = worked(), GroupCounts(BIRDS)
    for part in (slice(0, 4), slice(4, None)):
        preds, target, bias = case.prediction[part], case.target[part], case.bias[part]
        found = metric(logits_of(preds).to(dtype), target, bias)
        assert found["average"].item() == (preds == target).double().mean().item()
    scalars = metric.compute()
    for key in ("worst_group", "average", "gap", "accuracy/waterbird-water"):
        assert scalars[key].item() == pytest.approx(case.expected[key])


def test_logits_of_labels_are_present_above_zero() -> None:
    groups = Groups(("not a", "a", "not b", "b"), ("x", "y"), multi_label=True)
    target, bias = torch.tensor([[0, 1], [1, 1]]), torch.tensor([0, 1])
    logits = torch.tensor([[-0.1, 0.2], [0.3, -2.0]])
    found = GroupCounts(groups)(logits, target, bias)
    assert found["average"].item() == 0.75
    assert found["accuracy/b-y"].item() == 0.0


def test_a_collection_gives_each_metric_the_names_that_it_takes() -> None:
    """Of torchmetrics, one metric takes no groups, one takes them under the same name."""
    case = worked()
    collection = MetricCollection(
        {
            "accuracy": MulticlassAccuracy(2, average="micro"),
            "fairness": BinaryFairness(2),
            "groups": GroupCounts(BIRDS),
        }
    )
    collection.update(preds=case.prediction, target=case.target, groups=case.bias)
    found = collection.compute()
    assert found["average"].item() == pytest.approx(found["accuracy"].item())
    assert found["worst_group"].item() == pytest.approx(case.expected["worst_group"])
    parity = next(value for key, value in found.items() if key.startswith("DP_"))
    rates = [case.prediction[case.bias == value].double().mean() for value in (0, 1)]
    assert parity.item() == pytest.approx((min(rates) / max(rates)).item())


def test_a_plot_shows_the_average_the_worst_group_and_every_group() -> None:
    """Each of a single result as a point; of two as a line over steps; of fairness, all."""
    case = worked()
    metric = GroupCounts(BIRDS)
    steps = [metric(case.prediction, case.target, case.bias) for _ in range(2)]
    for val, expected in ((None, steps[:1]), (steps[0], steps[:1]), (steps, steps)):
        figure, axes = metric.plot(val)
        assert figure is not None
        drawn = {line.get_label(): [float(y) for y in line.get_ydata()] for line in axes.lines}
        names = ["average", "worst_group", *(f"accuracy/{name}" for name in BIRDS.names)]
        assert drawn == {name: [step[name].item() for step in expected] for name in names}
        assert metric.plot(val, ax=axes)[1] is axes
        pyplot.close(figure)
    fair = GroupCounts(BIRDS, fairness_scalars)
    numbers = fair(case.prediction, case.target, case.bias)
    figure, axes = fair.plot()
    assert len(axes.lines) == len(numbers)
    pyplot.close(figure)
