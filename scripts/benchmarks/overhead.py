"""Training steps per second against a bare PyTorch loop over the same model, data and batches.

The bare loop is plain cross-entropy in both comparisons. Runs are interleaved, so that a busy
machine slows the sides of a pair alike. The median of the pairs counts. Run by
``scripts/bench overhead``.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional as F

from debias.data.datamodule import ImageData
from debias.data.orders import shuffled
from debias.data.pictures.preprocessing import resize
from debias.data.sets.drawn_birds import drawn_birds
from debias.models.classifier import timm_classifier
from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.strategies.strategy import Strategy
from debias.training.fit import fit, seed_all, trainer
from debias.training.loggers import make_loggers
from debias.training.module import DebiasModule
from debias.training.optimizers import constant, sgd
from debias.training.recorder import Recorder
from debias.types import Outputs

BARS = {"erm": 0.97, "group_dro": 0.95}
BAR_MILLISECONDS = 0.5


class MLP(nn.Module):
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, size: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 32), nn.ReLU())
        self.head = nn.Linear(32, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(image)
        return Outputs(self.head(features), features)


class Clock(Callback):
    """Seconds from the end of the first training step to the end of the last."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.ends.append(time.perf_counter())

    @property
    def seconds_per_step(self) -> float:
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def bare(model: nn.Module, data: ImageData) -> float:
    """Seconds per step of a plain loop, without the first step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    model.train()
    ends = []
    for batch in data.train_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        loss = F.cross_entropy(model(batch.image).logits, batch.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ends.append(time.perf_counter())
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def ours(model: nn.Module, data: ImageData, strategy: Strategy, folder: Path) -> float:
    """Seconds per step of an epoch, trained as by ``debias train``."""
    groups, frequencies = data.examples.groups, data.examples.frequencies("train")
    module = DebiasModule(
        model,
        strategy,
        groups,
        frequencies,
        optimizer=lambda player, parameters: sgd(parameters),
        scheduler=partial(constant, epochs=1),
    )
    clock = Clock()
    recorder = Recorder(folder / "checkpoints", write=lambda epoch, predicted: None)
    loggers = make_loggers(["tensorboard", "csv"], folder, "overhead")
    lightning = trainer(
        folder, epochs=1, seed=0, accelerator="cpu", callbacks=[clock, recorder], loggers=loggers
    )
    fit(module, data, lightning)
    return clock.seconds_per_step


def measure(
    network: str, size: int, batch_size: int, steps: int, pairs: int, folder: Path
) -> dict[str, list[float]]:
    examples = drawn_birds(
        root=str(folder / f"birds{size}"), train=steps * batch_size, val=8, test=8, size=size
    )
    order = shuffled(examples.target[examples.rows("train")])
    seed_all(0)
    model = MLP(size) if network == "mlp" else timm_classifier(2, name=network, pretrained=False)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    data = ImageData(
        examples, resize(size=size), order, mean=model.mean, std=model.std, batch_size=batch_size,
        cache_dir=folder / "cache", channels_last=True,
    )  # fmt: skip
    data.decode()
    groups, frequencies = examples.groups, examples.frequencies("train")
    times: dict[str, list[float]] = {"bare": [], "erm": [], "group_dro": []}
    bare(model, data)
    sides = {
        "bare": lambda: bare(model, data),
        "erm": lambda: ours(model, data, ERM(), folder),
        "group_dro": lambda: ours(model, data, GroupDRO(groups, frequencies), folder),
    }
    for pair in range(pairs):
        # each side goes first in turn
        for name in [*sides][pair % 3 :] + [*sides][: pair % 3]:
            times[name].append(sides[name]())
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--skip-network", action="store_true", help="measure the MLP alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = measure("mlp", 32, 64, 200, options.pairs, folder)
        for strategy in BARS:
            added = statistics.median(
                own - plain for own, plain in zip(times[strategy], times["bare"], strict=True)
            )
            state = "passed" if 1000 * added <= BAR_MILLISECONDS else "FAILED"
            plain = 1000 * statistics.median(times["bare"])
            print(
                f"tiny MLP, {strategy}: +{1000 * added:.2f} on {plain:.2f} ms per step; bar 0.5: "
                f"{state}"
            )
        if options.skip_network:
            return
        times = measure("tf_efficientnet_lite0", 128, 32, options.steps, options.pairs, folder)
        for strategy, bar in BARS.items():
            ratio = statistics.median(
                plain / own for own, plain in zip(times[strategy], times["bare"], strict=True)
            )
            state = "passed" if ratio >= bar else "FAILED"
            speed = 32 / statistics.median(times[strategy])
            print(
                f"tf_efficientnet_lite0 128 px, {strategy}: {speed:.0f} images/s, ratio "
                f"{ratio:.3f}; bar {bar}: {state}"
            )


if __name__ == "__main__":
    pl.seed_everything(0, verbose=False)
    main()
