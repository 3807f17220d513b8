"""The moving average of the weights: its values, what is validated and saved, and resumption."""

import copy
from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from debias.augment.augmentation import Augmentation
from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.training.averaging import TRAINED, WeightAverage
from debias.training.fit import fit
from debias.training.module import DebiasModule
from debias.training.prediction import predict
from debias.training.recorder import Recorder
from tests.fakes import GROUPS, TinyData
from tests.toy_strategies import TwoPlayers
from tests.training.test_module import FREQUENCIES, module_of, trained, trainer_of

STRATEGIES = [ERM, partial(GroupDRO, GROUPS, FREQUENCIES), partial(TwoPlayers, features=5)]


class Weights(Callback):
    """Remembers the trained weights after every batch, and the weights of every validation."""

    def __init__(self) -> None:
        self.trained: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.trained.append(copy.deepcopy(pl_module.state_dict()))

    def on_validation_batch_start(self, trainer, pl_module, *_):
        assert not pl_module.model.training
        self.validated.append(copy.deepcopy(pl_module.state_dict()))


def averaged(trained: list[dict[str, torch.Tensor]], *, decay: float) -> dict[str, torch.Tensor]:
    """The average by its definition, in float64; the first batch's weights start it."""
    average = {key: value.double() for key, value in trained[0].items()}
    for batch, weights in enumerate(trained):
        share = min(decay, 1 - (1 + batch) ** -0.75)
        average = {
            key: share * average[key] + (1 - share) * value.double()
            for key, value in weights.items()
        }
    return average


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_is_validated_and_saved(decay, tmp_path):
    """Six batches per epoch. Both epochs' weights, and the module in the end, are the average."""
    module, weights = module_of(ERM), Weights()
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None, keep_all=True)
    # `weights` is called first: it sees the trained weights of every batch
    trained(module, tmp_path, callbacks=[weights, WeightAverage(decay), recorder])
    for epoch in (0, 1):
        expected = averaged(weights.trained[: 6 * (epoch + 1)], decay=decay)
        saved = torch.load(recorder.weights(epoch), weights_only=True)["state_dict"]
        assert saved.keys() == expected.keys()
        for key in expected:
            torch.testing.assert_close(saved[key].double(), expected[key], rtol=1e-5, atol=1e-7)
            assert torch.equal(weights.validated[6 * epoch][key], saved[key])
    for key, value in module.state_dict().items():
        assert torch.equal(value, saved[key])
    right = predict(module.model, TinyData().batches()).logits.argmax(dim=1) == (
        TinyData().batch.target
    )
    assert module.validation["average"] == pytest.approx(right.double().mean().item())


def test_an_infinite_value_of_the_strategy_stays(tmp_path):
    """Group 2 has no sample, so that its weight is 0, whose logarithm the strategy keeps."""
    strategy = partial(GroupDRO, GROUPS, FREQUENCIES * torch.tensor([1, 1, 0, 1]))
    module, weights = module_of(strategy), Weights()
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None)
    trained(module, tmp_path, callbacks=[weights, WeightAverage(0.9), recorder])
    key = "strategy.robust.log_weights"
    found, expected = module.state_dict()[key], averaged(weights.trained, decay=0.9)[key]
    assert found[2] == -torch.inf
    present = torch.tensor([0, 1, 3])
    torch.testing.assert_close(found[present].double(), expected[present], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", STRATEGIES)
def test_training_itself_does_not_change(make, tmp_path):
    """The trained weights are those of a run without an average, to the last bit."""
    plain = trained(module_of(make), tmp_path / "plain")
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None)
    module = trained(module_of(make), tmp_path, callbacks=[WeightAverage(0.9), recorder])
    kept = torch.load(recorder.last, weights_only=True)[TRAINED]
    assert kept.keys() == plain.state_dict().keys()
    for key, value in plain.state_dict().items():
        assert torch.equal(kept[key], value), key
    assert any(not torch.equal(value, kept[key]) for key, value in module.state_dict().items())


class Ending(Callback):
    """Ends training after the second batch of the second epoch, as Lightning's Timer may do."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.current_epoch == batch_idx == 1


def test_the_average_is_saved_if_training_ends_in_an_epoch(tmp_path):
    module, weights = module_of(ERM), Weights()
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None)
    callbacks = [weights, WeightAverage(0.9), Ending(), recorder]
    trained(module, tmp_path, epochs=3, callbacks=callbacks)
    assert (len(weights.trained), len(recorder.history)) == (6 + 2, 2)
    expected = averaged(weights.trained, decay=0.9)
    last = torch.load(recorder.last, weights_only=True)
    saved = torch.load(recorder.weights(1), weights_only=True)["state_dict"]
    for key, value in expected.items():
        torch.testing.assert_close(saved[key].double(), value, rtol=1e-5, atol=1e-7)
        assert torch.equal(saved[key], weights.validated[-1][key])
        assert torch.equal(saved[key], last["state_dict"][key])
        assert torch.equal(weights.trained[-1][key], last[TRAINED][key])


class Darker(Augmentation):
    """Halves the pixels, by a factor that is part of its state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(0.5))

    def forward(self, batch, progress=0.0):
        return batch._replace(image=self.factor * batch.image)


def darkened(make) -> DebiasModule:
    """The module of a strategy, with an augmentation that has a state."""
    module = module_of(make)
    module.augment = Darker()
    return module


@pytest.mark.parametrize("make", STRATEGIES)
def test_a_resumed_average_is_the_same_to_the_last_bit(make, tmp_path):
    recorder = Recorder(tmp_path / "whole", write=lambda epoch, predicted: None)
    callbacks = [WeightAverage(0.9), recorder]
    whole = trained(darkened(make), tmp_path / "whole", callbacks=callbacks)
    for epochs in (1, 2):
        module = darkened(make)
        recorder = Recorder(tmp_path / "two", write=lambda epoch, predicted: None)
        lightning = trainer_of(
            module, tmp_path / "two", epochs=epochs, callbacks=[WeightAverage(0.9), recorder]
        )
        fit(module, TinyData(), lightning, resume=recorder.last if epochs == 2 else None)
    states = [
        torch.load(tmp_path / folder / "last.ckpt", weights_only=True)
        for folder in ("whole", "two")
    ]
    for entry in ("state_dict", TRAINED):
        assert states[0][entry].keys() == states[1][entry].keys()
        for key, value in states[0][entry].items():
            assert torch.equal(value, states[1][entry][key]), (entry, key)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, module.state_dict()[key])
