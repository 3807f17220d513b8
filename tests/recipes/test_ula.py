"""uLA: its proxy is a linear probe of the features, and the last stage gets its soft counts."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from debias import config as configs
from debias.data.orders import seeded_generator
from debias.group_inference.proxies import soft_counts
from debias.heads.linear import Rows, fresh_heads
from debias.recipes import ula
from debias.recipes.ula import ULA

#: Rows of both splits, and the classes of the rows of training. Features show the shortcut alone.
TRAIN, VAL = torch.tensor([0, 3, 1, 5]), torch.tensor([2, 4])
TARGET = torch.tensor([0, 0, 1, 1])


def features(shortcut: list[int]) -> torch.Tensor:
    return 4 * torch.eye(3)[shortcut]


class Fake:
    """A run, its stage and its features, of three classes and six rows."""

    def __init__(self, train: list[int], val: list[int]) -> None:
        rows = {"train": TRAIN, "val": VAL}
        self.config = configs.load("drawn_birds/ula", ["recipe.backbone=pretrained"])
        self.split = {"train": features(train), "val": features(val)}
        self.examples = SimpleNamespace(rows=rows.__getitem__)
        self.stage = self
        self.last: Any = None

    def stage_config(self, changes: Any) -> Any:
        return configs.changed(configs.load("drawn_birds", []), changes)

    def features(self, split: str) -> torch.Tensor:
        return self.split[split]

    def rows(self, split: str) -> Rows:
        return Rows(self.split[split], TARGET, TARGET)

    def fresh_head(self, generator: torch.Generator) -> Any:
        return fresh_heads(1, classes=3, size=3, generator=generator)

    def everywhere(self, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return torch.full((6,), -1).index_copy(0, rows, values)

    def infer(self, inferred: torch.Tensor, examples: Any) -> torch.Tensor:
        return inferred

    def train_last(self, changes: Any, *, partition: torch.Tensor) -> Any:
        return changes["strategy"], partition.tolist()


@pytest.fixture
def trained(monkeypatch):
    def train(recipe: ULA, train: list[int], val: list[int]) -> Any:
        fake: Any = Fake(train, val)
        monkeypatch.setattr(ula, "backbone_stage", lambda run, config, backbone: fake)
        monkeypatch.setattr(ula, "Frozen", lambda stage, config: stage)
        return fake, recipe.train(fake)

    return train


def test_the_proxy_of_both_splits_and_its_soft_counts(trained, capsys):
    """Class 2 occurs in no row, so no proxy has this value."""
    recipe = ULA(epochs=40, learning_rate=0.05, batch_size=2, temperature=2.0)
    fake, (strategy, partition) = trained(recipe, [0, 1, 1, 1], [1, 0])
    # rows 0, 3, 1 and 5 are of training, rows 2 and 4 of validation
    assert partition == [0, 1, 1, 1, 0, 1]
    probe = recipe._probe(fake, fake.config.seed)
    counts = soft_counts(probe(fake.split["train"]).detach(), TARGET, temperature=2.0)
    assert strategy == {"soft_counts": pytest.approx(counts[:, :2].flatten().tolist())}
    assert "differs from the class of 25.0% of the training images" in capsys.readouterr().err


def test_the_probe_is_fitted_by_descent_for_its_epochs(trained):
    """One epoch of one batch is one step of the mean cross-entropy from the fresh head."""
    recipe = ULA(epochs=1, learning_rate=0.5, batch_size=4)
    fake = Fake([0, 1, 1, 1], [1, 0])
    start = fake.fresh_head(seeded_generator(3)).linear(0)
    torch.nn.functional.cross_entropy(start(fake.split["train"]), TARGET).backward()
    probe: Any = recipe._probe(fake, 3)  # type: ignore[arg-type]
    torch.testing.assert_close(probe.weight, start.weight - 0.5 * start.weight.grad)
    torch.testing.assert_close(probe.bias, start.bias - 0.5 * start.bias.grad)


@pytest.mark.parametrize(("backbone", "trained"), [("trained", [2]), ("pretrained", [])])
def test_the_backbone_is_work_only_if_the_run_trains_it(backbone, trained):
    run: Any = Fake([0, 1, 1, 1], [1, 0])
    recipe = ULA(backbone=backbone, base={"epochs": 2})
    assert [(stage.epochs, stage.select) for stage in recipe.stages(run)] == [
        (2, "average"),
        (8, "average"),
    ]
    assert [stage.epochs for stage in recipe.shareable(run)] == trained
    assert [work.config.epochs for work in recipe.work(run, Any)] == [*trained, 8]  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["epochs", "batch_size", "learning_rate", "temperature"])
def test_refuses(option):
    with pytest.raises(ValueError, match=f"recipe.{option} must"):
        ULA(**{option: 0})


def test_refuses_another_strategy():
    run: Any = SimpleNamespace(config=configs.load("drawn_birds", []))
    with pytest.raises(ValueError, match=r"strategy.name must be .*got 'erm'"):
        ULA().stages(run)
