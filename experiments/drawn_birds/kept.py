"""Prints what ViG-Bias keeps of the pixels, and which training images its slices hold.

usage: python experiments/drawn_birds/kept.py RUN ...    # finished runs of vig_bias
"""

import sys
from pathlib import Path

from debias import components
from debias import config as configs
from debias.build import build
from debias.data.partition import read_inferred
from debias.evaluation.attention import attention_maps
from debias.models.checkpoints import load_weights
from debias.recipes.vig_bias import kept_batches
from debias.runs.run import Stage


def shares(run: Path) -> tuple[float, float]:
    """Share of the kept pixels inside the birds, and of all pixels, over the validation images."""
    folder = run / "stages" / "first"
    parts = build(configs.read(folder / "stage.yaml"))
    load_weights(parts.module, folder / "checkpoints" / "last.ckpt")
    recipe = components.construct("recipe", configs.read(run / "config.yaml").recipe, {})
    found = Stage(parts, folder).predictions("val", progress=False)
    classes = found.logits.argmax(dim=1)
    maps = attention_maps(parts, found.index, classes=classes, layer=recipe.layer, progress=False)
    options = {"quantile": recipe.quantile, "progress": False}
    kept = inside = bird = pixels = 0.0
    whole = parts.batches(parts.loader(found.index, whole=True), "", progress=False)
    for masked, batch in zip(kept_batches(parts, found.index, maps, **options), whole, strict=True):
        shown = 1 - masked.mask
        kept, inside = kept + shown.sum().item(), inside + (shown * batch.mask).sum().item()
        bird, pixels = bird + batch.mask.sum().item(), pixels + batch.mask.numel()
    return inside / kept, bird / pixels


def sliced(run: Path) -> tuple[int, int, int]:
    """Misled training images in slices above 0, all misled ones, and other images in these slices.

    The shortcut misleads an image whose background is that of the other class.
    """
    examples = build(configs.read(run / "config.yaml")).examples
    rows = examples.rows("train")
    misled = examples.target[rows] != examples.bias[rows]
    found = read_inferred(run / "groups.csv", examples)[rows] > 0
    return int((misled & found).sum()), int(misled.sum()), int((found & ~misled).sum())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        inside, bird = shares(Path(name))
        print(f"{name}: {inside:.1%} of the kept pixels lie inside birds, {bird:.1%} of all pixels")
        held, misled, others = sliced(Path(name))
        print(f"{name}: slices above 0 have {held} of {misled} misled images, and {others} others")
