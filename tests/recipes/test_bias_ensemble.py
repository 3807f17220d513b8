"""BiasEnsemble: its networks, the set of which they are sure, and the cost; no training."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from debias import config as configs
from debias.recipes.bias_ensemble import BiasEnsemble
from debias.runs.run import Run
from debias.runs.work import Sizes
from tests.fakes import GROUPS


def sure(*samples: int) -> torch.Tensor:
    """Logits of class 0 and 1 for samples 0 to 5, of alternating class: right only for some."""
    target = torch.arange(6) % 2
    right = torch.zeros(6, dtype=torch.bool)
    right[list(samples)] = True
    return 10.0 * torch.nn.functional.one_hot(torch.where(right, target, 1 - target), 2)


class Voted(Run):
    """The stages that are trained, each of which has given logits."""

    def __init__(self, config: configs.Config, folder, logits: list[torch.Tensor]) -> None:
        super().__init__(config, folder)
        self.logits, self.trained = logits, {}

    def train_stage(self, name: str, config: configs.Config) -> Any:
        found = SimpleNamespace(
            index=torch.arange(6), target=torch.arange(6) % 2, logits=self.logits[len(self.trained)]
        )
        self.trained[name] = config
        return SimpleNamespace(
            predictions=lambda split, progress: found,
            everywhere=lambda rows, values: values,
            examples=SimpleNamespace(groups=GROUPS),
        )

    def infer(self, inferred: torch.Tensor, examples: Any) -> Any:
        return inferred

    def train_last(self, changes: Any = None, *, partition: Any = None, start: Any = None) -> Any:
        return partition


def voted(folder, logits: list[torch.Tensor], **options: Any) -> tuple[Any, Voted]:
    run = Voted(configs.load("drawn_birds/bias_ensemble", ["seed=4"]), folder, logits)
    return BiasEnsemble(networks=len(logits), **options).train(run), run


def test_each_network_has_a_seed_of_its_own_and_two_must_agree(tmp_path):
    """Samples 0 and 1 by three networks, 2 by two, 3 by one, the others by none."""
    logits = [sure(0, 1, 2), sure(0, 1, 2, 3), sure(0, 1)]
    found, run = voted(tmp_path, logits, agreement=2, biased={"epochs": 3})
    assert found.tolist() == [True, True, True, False, False, False]
    stages = run.trained
    assert [(name, each.seed) for name, each in stages.items()] == [
        ("biased-1", 12), ("biased-2", 13), ("biased-3", 14),
    ]  # fmt: skip
    assert {each.strategy["name"] for each in stages.values()} == {"generalized_cross_entropy"}
    assert {(each.epochs, each.recipe["name"]) for each in stages.values()} == {(3, "single")}


def test_the_seeds_follow_from_the_seed_of_the_biased_networks(tmp_path):
    _, run = voted(tmp_path, [sure(0, 1), sure(0, 1)], agreement=1, biased={"seed": 5})
    assert [each.seed for each in run.trained.values()] == [10, 11]


def test_a_class_of_which_no_network_is_sure_is_told(tmp_path, capsys):
    with pytest.raises(ValueError, match="no image of waterbird is in the amplified set"):
        voted(tmp_path, [sure(0, 2)], agreement=1)
    voted(tmp_path, [sure(0, 1, 2)], agreement=1)
    assert "amplified set: landbird 67%, waterbird 33%" in capsys.readouterr().err


def test_the_cost_counts_every_network(tmp_path):
    run = Run(configs.load("drawn_birds/bias_ensemble", []), tmp_path)
    biased, last = BiasEnsemble(biased={"epochs": 2}).work(run, Sizes((5, 5), 4, 4))
    assert (biased.times, biased.config.epochs, last.config.strategy["name"]) == (
        5, 2, "amplified_lff",
    )  # fmt: skip
