"""The end of an epoch in a run: what observers keep is in the checkpoint of that epoch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from debias import config as configs
from debias.build import build
from debias.data.datamodule import ImageData
from debias.data.fair_batches import FairBatches
from debias.runs.single import single
from debias.strategies.echoes import Echoes
from debias.strategies.observing import observe
from debias.training.checkpoints import newest_checkpoint
from debias.training.fit import fit
from debias.training.observing import EndOfEpoch
from debias.training.recorder import Recorder
from tests.commands.conftest import overrides
from tests.fakes import GROUPS, TinyClassifier, TinyData
from tests.training.test_checkpoints import ended_after_three
from tests.training.test_module import module_of, trainer_of


class FollowedData(TinyData):
    """Tiny data with an order that follows the losses, as the DataModule of debias holds it."""

    state_dict = ImageData.state_dict
    load_state_dict = ImageData.load_state_dict

    def __init__(self) -> None:
        super().__init__()
        group = GROUPS.encode(self.batch.target, self.batch.bias)
        self.order = FairBatches(group, GROUPS, 8, 0.01)

    def loader(self, split: str) -> object:
        assert split == "train"
        return self.train_dataloader()


def echoes() -> Echoes:
    return Echoes(GROUPS, 48, TinyClassifier(), threshold=1.0, strength=2.0)


def train(folder: Path, *, stopped: bool = False) -> dict[str, Tensor]:
    """Weights, and the shares of the order, after four epochs."""
    module = module_of(echoes, epochs=4)
    data, watch = FollowedData(), ended_after_three if stopped else None
    recorder = Recorder(folder / "checkpoints", write=lambda *_: None, watch=watch)
    callbacks = [EndOfEpoch([module.strategy, data.order]), recorder]
    lightning = trainer_of(module, folder, epochs=4, callbacks=callbacks)
    fit(module, data, lightning, resume=newest_checkpoint(recorder.folder))
    return module.state_dict() | {"shares": data.order.state}


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path / "run", stopped=True)
    resumed, whole = train(tmp_path / "run"), train(tmp_path / "whole")
    assert whole["shares"].ne(0.5).any()
    assert whole["strategy.weights"].unique().numel() > 1
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


def test_lightning_observes_what_a_plain_loop_does(tmp_path):
    module = module_of(echoes, epochs=4)
    data = FollowedData()
    optimizer = module.make_optimizer("model", module.players["model"])
    scheduler = module.make_scheduler(optimizer)
    for _ in range(4):
        for batch in data.batches():
            optimizer.zero_grad()
            module.strategy.loss(module.model, batch).total.backward()
            optimizer.step()
        observe([module.strategy, data.order], module.model, data.batches())
        scheduler.step()
    expected = module.state_dict() | {"shares": data.order.state}
    for name, value in train(tmp_path).items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(
    ("names", "observing"),
    [(("sampler.name=fair_batch", "strategy.name=echoes"), [[Echoes, FairBatches]]), ((), [])],
)
def test_a_run_observes_before_the_checkpoint_or_not_at_all(
    tmp_path, monkeypatch, names, observing
):
    found: list[object] = []

    def stopped(*_: object, callbacks: list[object], **options: object) -> None:
        found.extend(callbacks)
        raise RuntimeError("before training")

    monkeypatch.setattr("debias.runs.single.trainer", stopped)
    config = configs.load("drawn_birds", overrides(tmp_path, *names))
    with pytest.raises(RuntimeError, match="before training"):
        single(build(config), config, tmp_path)
    *earlier, last = found
    assert isinstance(last, Recorder)
    seen = [each.observers for each in earlier if isinstance(each, EndOfEpoch)]
    assert [[type(one) for one in observers] for observers in seen] == observing
