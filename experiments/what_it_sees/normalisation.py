"""Why a network with batch normalisation fails on the sprites after random convolutions."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias import config as configs
from debias.augment.augmentation import Augmentation, Unchanged
from debias.augment.random_convolution import RandomConvolution
from debias.build import build
from debias.models.classifier import Classifier, timm_classifier
from debias.types import Batch

BASE, SETTINGS = Path(__file__).parent / "base.yaml", ["data.train=2000", "workers=0"]
EPOCHS, BATCH, SEEDS = 5, 64, 3


def split(name: str) -> tuple[Tensor, Tensor]:
    """Normalised images and classes of a split."""
    parts = build(configs.load(str(BASE), SETTINGS))
    loader = parts.loader(parts.examples.rows(name))
    batches = list(parts.batches(loader, name, progress=False))
    return torch.cat([each.image for each in batches]), torch.cat([each.target for each in batches])


def network(norm: str) -> Classifier:
    """The network of the experiment, or one that normalises each image by itself."""
    model = timm_classifier(3, name="test_resnet", pretrained=False)
    norms = {name: each for name, each in model.named_modules() if isinstance(each, nn.BatchNorm2d)}
    for name, layer in norms.items() if norm == "group" else ():
        model.set_submodule(name, nn.GroupNorm(1, layer.num_features))
    return model


def train(model: Classifier, augment: Augmentation, image: Tensor, target: Tensor) -> float:
    """Train by the settings of ``base.yaml``. Returns the mean loss of the last epoch."""
    steps = EPOCHS * (len(image) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        losses = []
        for rows in torch.randperm(len(image)).split(BATCH)[: len(image) // BATCH]:
            changed = augment(Batch(image[rows], target[rows], target[rows], rows)).image
            losses.append(F.cross_entropy(model(changed).logits, target[rows]))
            optimizer.zero_grad()
            losses[-1].backward()
            optimizer.step()
            scheduler.step()
    return torch.stack(losses).mean().item()


@torch.no_grad()
def tested(model: Classifier, seen: Tensor, image: Tensor, target: Tensor) -> tuple[float, float]:
    """Accuracy with the statistics of training, and with those of unchanged training images."""
    trained = (model.eval()(image).logits.argmax(dim=1) == target).float().mean().item()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over batches
    for batch in seen.split(2 * BATCH):
        model.train()(batch)
    again = (model.eval()(image).logits.argmax(dim=1) == target).float().mean().item()
    return trained, again


def main() -> None:
    """Print the table."""
    train_split, validation = split("train"), split("val")
    cases: dict[str, tuple[Augmentation, str]] = {
        "none": (Unchanged(), "batch"),
        "random convolutions": (RandomConvolution(), "batch"),
        "random convolutions, mixed": (RandomConvolution(mix=True, identity=0.0), "batch"),
        "random convolutions, group normalisation": (RandomConvolution(), "group"),
    }
    print("| augmentation | training loss | validation | with statistics of unchanged images |")
    print("| --- | --- | --- | --- |")
    for name, (augment, norm) in cases.items():
        runs = []
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            model = network(norm)
            loss = train(model, augment, *train_split)
            runs.append((loss, *tested(model, train_split[0], *validation)))
        losses, *accuracies = zip(*runs, strict=True)
        cells = [", ".join(f"{loss:.3f}" for loss in losses)]
        cells += [", ".join(f"{100 * each:.0f}" for each in found) for found in accuracies]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
