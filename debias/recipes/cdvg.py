"""CDvG: translate images between classes, and contrast the translated views."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from safetensors.torch import save

from debias import config as configs
from debias import processes
from debias.config import Config
from debias.errors import check_one_of
from debias.evaluation.translations import picture_grid, share_taken
from debias.files import write_atomically
from debias.merging import Settings
from debias.progress import say
from debias.runs.run import Recipe, Run, Stage, Trained

#: The strategies that read views of the images.
STRATEGIES = ("view_contrast", "consistency")
#: The options that the translator has in both stages.
NETWORK = ("width", "blocks")
#: How the translator is trained, which the recipe's option may change.
TRAINING: Settings = {
    "strategy": {"name": "translation"},
    "optimizer": {"name": "adam", "lr": 1e-4, "betas": [0.5, 0.999]},
    "scheduler": {"name": "constant"},
}


@dataclass(kw_only=True)
class CDvG(Recipe):
    """Train a translator between classes, then a model that keeps the class of translated images.

    1. ``translator``: ``strategy.name=translation`` trains a network that gives an image the look
       of another class. If the shortcut is the easiest way to do so, it changes the shortcut and
       keeps the content.
    2. The model is trained with the run's strategy, such as ``view_contrast``. Each image has two
       views, translated to random other classes, with the class of the image as their target.

    The method assumes that the shortcut is easier to change than the class. Otherwise translation
    changes the class, and the second stage trains on wrong labels. No label can show this, so look
    at ``translations.png`` in the run's folder. Its rows are validation images, one per class, with
    the image first and then its translations to the classes. A line says which share of the
    translated validation images the critic takes for their new class. A low share means that the
    translator was not trained enough. ``translator.safetensors`` has the translator, for
    ``augment.name=translated`` in other runs.

    Source: Jung et al., "Fighting Fire with Fire: Contrastive Debiasing without Bias-free Data via
    Generative Bias-transformation" (CDvG), ICML 2023. No code was found.

    Args:
        translator: changes to the run's config for the first stage, such as ``{epochs: 20,
            strategy: {width: 16}}``. Its optimiser is Adam with learning rate 1e-4 and betas 0.5
            and 0.999, at a constant rate.

    Differs from the reference: the text was not read beyond its first page. The losses of the
    translator are those of StarGAN (:class:`debias.strategies.translation.Translation`).
    """

    translator: Settings | None = None

    def stages(self, run: Run) -> list[Config]:
        """Configs of the translator, and of the last stage with another augmentation in its place.

        Raises:
            ValueError: the run has its own augmentation, its strategy reads no views, or
                ``translator`` sets another strategy.
        """
        run.refuse_own("augment")
        hint = "set strategy.name=view_contrast"
        check_one_of(STRATEGIES, {"strategy.name": run.config.strategy["name"]}, hint=hint)
        return [self._config(run), run.last_config({"augment": {"name": "random_convolution"}})]

    def train(self, run: Run) -> Trained:
        """Train the translator, write its weights and pictures, and train on its views."""
        config = self._config(run)
        stage = run.train_stage("translator", config)
        weights = run.folder / "translator.safetensors"
        processes.by_first(partial(_write, stage, weights, run.folder / "translations.png"))
        network = {name: config.strategy[name] for name in NETWORK if name in config.strategy}
        augment = {"name": "translated", "translator": str(weights), **network}
        return run.train_last({"augment": augment})

    def _config(self, run: Run) -> Config:
        config = configs.changed(run.stage_config(TRAINING), self.translator or {})
        name = {"recipe.translator.strategy.name": config.strategy["name"]}
        check_one_of((TRAINING["strategy"]["name"],), name, hint="leave it out")
        return config


def _write(stage: Stage, weights: Path, pictures: Path) -> None:
    """Write the translator and its pictures, and say how the critic classifies translated ones."""
    if pictures.is_file():
        return
    strategy: Any = stage.parts.ready().strategy
    state = strategy.translator.state_dict()
    write_atomically(weights, save({name: each.contiguous() for name, each in state.items()}))
    say(
        f"translator: the critic takes {share_taken(stage.parts):.0%} of translated validation "
        "images for their new class"
    )
    grid = cv2.cvtColor(picture_grid(stage.parts), cv2.COLOR_RGB2BGR)
    write_atomically(pictures, cv2.imencode(".png", grid)[1].tobytes())
