"""The callback counts what any LightningModule returns, each sample once, in every loop."""

import math
from collections import namedtuple

import pytest
import pytorch_lightning
import torch

from debias.errors import InputError
from debias.metrics import GroupCounts, fairness_scalars
from debias.training.group_metrics import GroupMetrics
from tests.fakes import GROUPS
from tests.training import group_metrics_module
from tests.training.group_metrics_module import (
    BIAS,
    LOGITS,
    SAMPLES,
    TARGET,
    foreign,
    loader,
    logits,
    trainer,
    validated,
)
from tests.two_ranks import found_by_both

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*many workers.*")

Returned = namedtuple("Returned", ["logits", "target", "bias"])


def expected(stage: str = "val", rows: slice = slice(None), end: str = "") -> dict[str, float]:
    """Every accuracy by its definition, and what else ``GroupCounts`` has."""
    counts = GroupCounts(GROUPS)
    counts.update(LOGITS[rows], TARGET[rows], BIAS[rows])
    numbers = {key: value.item() for key, value in counts.compute().items()}
    right = LOGITS[rows].argmax(dim=1) == TARGET[rows]
    by_group = {
        f"accuracy/{name}": right[(TARGET[rows] == i // 2) & (BIAS[rows] == i % 2)].float().mean()
        for i, name in enumerate(GROUPS.names)
    }
    numbers |= {key: value.item() for key, value in by_group.items()}
    numbers |= {
        "worst_group": min(by_group.values()).item(),
        "average": right.float().mean().item(),
    }
    return {f"{stage}/{key}{end}": value for key, value in numbers.items()}


def test_logged_numbers_are_those_of_the_predictions():
    found = validated()
    assert found == pytest.approx(expected())
    assert 0 < found["val/worst_group"] < found["val/average"] < 1


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        (lambda x, y, b: {"preds": x, "target": y, "groups": b}, ("preds", "target", "groups")),
        (lambda x, y, b: {"preds": x.argmax(dim=1), "loss": x.sum()}, ("preds", 1, 2)),
        (Returned, ("logits", "target", "bias")),
    ],
    ids=["dictionary", "classes", "fields"],
)
def test_names_say_where_the_three_inputs_are(returned, names):
    validation = trainer(GroupMetrics(GROUPS, names))
    (found,) = validation.validate(foreign(pytorch_lightning, returned), loader(), verbose=False)
    assert found == pytest.approx(expected())


def test_a_batch_has_what_the_step_does_not_return():
    """Of a dictionary and of a tuple with names; a scalar loss is no prediction."""
    for batch in (
        {"logits": LOGITS, "target": TARGET, "bias": BIAS},
        Returned(LOGITS, TARGET, BIAS),
    ):
        callback = GroupMetrics(GROUPS, ("logits", "target", "bias"))
        callback._add(torch.tensor(0.5), batch, 0)
        assert callback.counts[0].compute() == pytest.approx(expected_counts())
    with pytest.raises(
        InputError, match=r"finds no tensor 'preds' in what the step returns \(Tens"
    ):
        GroupMetrics(GROUPS)._add(torch.tensor(0.5), (LOGITS, TARGET, BIAS), 0)
    with pytest.raises(InputError, match=r"finds no tensor 3 .* in the batch \(tuple\)"):
        GroupMetrics(GROUPS, ("logits", 1, 3))._add(LOGITS, (LOGITS, TARGET, BIAS), 0)


def expected_counts() -> dict[str, float]:
    return {key.removeprefix("val/"): value for key, value in expected().items()}


def test_each_loader_has_its_numbers_and_the_test_has_its_own():
    """And ``read`` and ``train_frequencies`` go to ``GroupCounts``."""
    rows = (slice(0, 20), slice(20, SAMPLES))
    module = foreign(pytorch_lightning, logits)
    both = trainer(GroupMetrics(GROUPS, ("logits", 1, 2)))
    both.test(module, [loader(part) for part in rows], verbose=False)
    found = {key: value.item() for key, value in both.callback_metrics.items()}
    one, other = (expected("test", part, f"/dataloader_idx_{n}") for n, part in enumerate(rows))
    assert found == pytest.approx(one | other)
    callback = GroupMetrics(GROUPS, ("logits", 1, 2), read=fairness_scalars)
    (fair,) = trainer(callback).test(module, loader(), verbose=False)
    assert "test/equalized_odds_difference" in fair
    weights = torch.tensor([1, 0, 0, 0])
    callback = GroupMetrics(GROUPS, ("logits", 1, 2), train_frequencies=weights)
    (weighted,) = trainer(callback).test(module, loader(), verbose=False)
    assert weighted["test/adjusted_average"] == weighted["test/accuracy/landbird-land"]


def test_every_epoch_counts_anew_and_can_be_monitored(tmp_path):
    """After the sanity check and an epoch, the numbers are still those of one validation."""
    stopping = pytorch_lightning.callbacks.EarlyStopping("val/worst_group", mode="max", patience=1)
    fitting = trainer(GroupMetrics(GROUPS, ("logits", 1, 2)), max_epochs=5, num_sanity_val_steps=2)
    fitting.callbacks.append(stopping)
    fitting.fit(foreign(pytorch_lightning, logits), loader(), loader())
    assert fitting.current_epoch == 2  # the accuracy does not change: the second epoch is the last
    found = {key: value.item() for key, value in fitting.callback_metrics.items()}
    assert found == pytest.approx(expected())


def test_two_callbacks_count_two_bias_attributes():
    """The second one takes the targets for the bias: then half of the groups are empty."""
    validation = trainer(GroupMetrics(GROUPS, ("logits", 1, 2)))
    validation.callbacks.append(GroupMetrics(GROUPS, ("logits", 1, 1), prefix="other/"))
    (found,) = validation.validate(foreign(pytorch_lightning, logits), loader(), verbose=False)
    other = {key: value for key, value in found.items() if key.startswith("val/other/")}
    assert {key: value for key, value in found.items() if key not in other} == pytest.approx(
        expected()
    )
    assert other["val/other/worst_group"] == found["val/worst_class"]
    assert math.isnan(other["val/other/accuracy/landbird-water"])


@pytest.mark.slow
def test_two_processes_count_every_sample_once(tmp_path):
    """Of 37 samples each process gets 19, since the sampler repeats the first one."""
    for found in found_by_both(group_metrics_module.on_rank, tmp_path):
        assert found == pytest.approx(expected())


def test_a_trainer_of_the_package_lightning_takes_it():
    pytest.importorskip("lightning", reason="the package lightning is not installed")
    assert validated("lightning.pytorch") == pytest.approx(expected())
