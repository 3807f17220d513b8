"""Training stops in the epoch in which it diverges, names the step, keeps the last good state."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from debias.errors import InputError
from debias.strategies.erm import ERM
from debias.training.fit import fit
from debias.training.module import DebiasModule
from debias.training.recorder import Recorder
from debias.types import Batch, Loss, Outputs
from tests.fakes import TinyData, batch_of
from tests.toy_strategies import TwoPlayers
from tests.training.test_module import module_of, trained, trainer_of

#: Batches of an epoch of ``TinyData``.
STEPS = 6


class Broken(ERM):
    """A loss that is another one at one step of the run."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.step, self.value, self.count = step, value, 0

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Count the step."""
        self.count += 1
        return Loss(
            super().loss(model, batch).total * (self.value if self.count == self.step + 1 else 1.0),
            {},
        )


class BrokenOpponent(TwoPlayers):
    """The same for the player who moves last at every step."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__(features=5)
        self.step, self.value, self.count = step, value, 0

    def deceive(self, model: nn.Module, batch: Batch) -> Loss:
        """Count the step."""
        self.count += 1
        return Loss(
            super().deceive(model, batch).total
            * (self.value if self.count == self.step + 1 else 1.0),
            {},
        )


class BrokenGradient(ERM):
    """A finite loss whose gradient is NaN: the slope of a root at 0."""

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Cross-entropy and a root."""
        return Loss(
            super().loss(model, batch).total + (0 * model(batch.image).logits.sum()).sqrt(), {}
        )


class BrokenPredictions(ERM):
    """Predicts NaN in validation alone."""

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """No number."""
        outputs: Outputs = super().classify(model, image)
        return outputs._replace(logits=outputs.logits * torch.nan)


def recorded(module: DebiasModule, folder: Path) -> Recorder:
    recorder = Recorder(folder, write=lambda epoch, predicted: None)
    trained(module, folder, epochs=3, callbacks=[recorder])
    return recorder


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("strategy", [Broken, BrokenOpponent])
def test_names_the_first_step_and_keeps_the_epoch_before(
    strategy, value: float, tmp_path: Path
) -> None:
    """Step 8 of the run is step 2 of epoch 1; later ones are not finite either."""
    module = module_of(partial(strategy, STEPS + 2, value))
    message = (
        "training diverged: the loss of step 2 of epoch 1 .counted from 0. is not finite; the last "
        "checkpoint is "
    )
    with pytest.raises(
        InputError, match=f"^{message}that of epoch 0. To avoid this, lower optimizer.lr"
    ):
        recorded(module, tmp_path)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 0
    assert all(bool(tensor.isfinite().all()) for tensor in saved["state_dict"].values())
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"last.ckpt", "epoch=000.ckpt"}


def test_a_last_step_that_breaks_the_weights_is_noticed(tmp_path: Path) -> None:
    """The only loss of the epoch is finite: that of the next epoch would not be."""
    module = module_of(BrokenGradient)
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None)
    lightning = trainer_of(module, tmp_path, epochs=1, callbacks=[recorder])
    with pytest.raises(
        InputError,
        match="training diverged: a weight after epoch 0 is not finite; no checkpoint was",
    ):
        fit(module, TinyData(batch_size=48), lightning)
    assert not list(tmp_path.glob("*.ckpt"))


def test_predictions_that_are_not_finite_are_no_result(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="a validation logit after epoch 0 is not finite; no checkpoint was written",
    ):
        recorded(module_of(BrokenPredictions), tmp_path)
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_finite_run_is_left_alone(tmp_path: Path) -> None:
    assert len(recorded(module_of(partial(Broken, 99, float("nan"))), tmp_path).history) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="waiting for a device needs one")
def test_counting_waits_for_no_device() -> None:
    module = module_of(ERM).cuda()
    module._tracked(
        module.strategy.loss(
            module.model, Batch(*(c if c is None else c.cuda() for c in batch_of(8)))
        )
    )
    module.epoch_sums.end_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        module.epoch_sums.end_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (module.epoch_sums.steps, module.epoch_sums.finite_steps.item()) == (2, 2)
