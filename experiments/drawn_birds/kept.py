"""Prints which share of the pixels that ViG-Bias keeps lies inside the birds.

usage: python experiments/drawn_birds/kept.py RUN ...    # finished runs of vig_bias
"""

import sys
from pathlib import Path

from debias import components
from debias import config as configs
from debias.build import build
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


if __name__ == "__main__":
    for name in sys.argv[1:]:
        inside, bird = shares(Path(name))
        print(f"{name}: {inside:.1%} of the kept pixels, {bird:.1%} of all pixels")
