"""What MaskTune hides, and how strongly SPARE evens out, is as their options say; no training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from debias import components
from debias import config as configs
from debias.config import Config
from debias.data.examples import Examples
from debias.parts import Parts
from debias.recipes.spare import SPARE
from debias.runs.run import Run, Stage
from tests.commands.conftest import overrides
from tests.fakes import GROUPS


class Untrained(Run):
    """Stages are as they are drawn, or as given; of the last one, only what the recipe changes."""

    stage: Any = None

    def train_stage(self, name: str, config: Config) -> Any:
        return self.stage or Stage(self.build(config), self.folder)

    def train_last(self, changes: Any = None, *, partition: Any = None, start: Any = None) -> Any:
        return changes


def masks_of(folder: Path, *options: str) -> tuple[dict[int, np.ndarray], dict[str, Any]]:
    """Masks of 64 x 64 that MaskTune makes of a fresh network, by row, and its last changes."""
    more = (
        "recipe.name=masktune",
        "recipe.deviations=0.5",
        "preprocessing.size=64",
        "data.train=16",
    )
    config = configs.load(
        "drawn_birds", overrides(folder, *more, "data.val=8", "data.test=8", "seed=7", *options)
    )
    run = Untrained(config, folder / "-".join(("run", *options)))
    changes: Any = components.construct("recipe", config.recipe, {}).train(run)
    examples: Examples = components.construct("data", config.data, {})
    files = {
        row: run.folder / "masks" / examples.images[row] for row in examples.rows("train").tolist()
    }
    read = {
        row: cv2.imread(str(file.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
        for row, file in files.items()
    }
    return {row: mask > 0 for row, mask in read.items()}, changes


@pytest.mark.filterwarnings("ignore:.*no training image in:UserWarning")
def test_masktune_hides_what_it_is_told(tmp_path: Path) -> None:
    """At random places: each mask moved round the picture by what its seed and row draw. Of an
    earlier layer: finer.
    """
    pytest.importorskip("captum")
    attended, changes = masks_of(tmp_path)
    moved, told = masks_of(tmp_path, "recipe.place=random", "recipe.fill=mean")
    finer, _ = masks_of(tmp_path, "recipe.layer=layer2")
    assert (changes["augment"]["fill"], told["augment"]["fill"]) == ("black", "mean")
    assert len(attended) == 16
    for row, mask in attended.items():
        offsets = np.random.default_rng([7, row]).integers((64, 64))
        assert np.array_equal(moved[row], np.roll(mask, offsets, axis=(0, 1)))
    assert any((moved[row] != mask).any() for row, mask in attended.items())

    def borders(masks: dict[int, np.ndarray]) -> int:
        return sum(int((mask[1:] != mask[:-1]).sum()) for mask in masks.values())

    assert borders(finer) > 2 * borders(attended) > 0


#: Class 0 lies in two places, and so does class 1, less closely: silhouettes above 0.9 and between
#: 0.6 and 0.9.
MARGIN = torch.tensor([-3.0, -2.9, -3.1, 3.0, 3.1, 2.9, -2.5, -2.0, -1.0, 1.0, 2.0, 2.5])


@pytest.mark.parametrize(
    ("options", "powers"), [({}, [1, 2]), ({"threshold": 0.5}, [1, 1]), ({"threshold": 1}, [2, 2])]
)
def test_spare_samples_by_its_threshold(
    tmp_path: Path, options: dict[str, Any], powers: list[int]
) -> None:
    """Whether a class counts as closely parted, and small clusters are drawn more often."""
    config = configs.load("drawn_birds", [])
    target = (torch.arange(12) >= 6).long()
    names = tuple(f"{row}.png" for row in range(12))
    split = torch.zeros(12, dtype=torch.int64)
    examples = Examples(Path("pictures"), names, target, target, split, GROUPS, Path("table.csv"))
    parts = Parts(examples, None, None, "cpu", "32-true")  # type: ignore[arg-type]  # nothing is trained
    logits = torch.stack([torch.zeros(12), MARGIN], dim=1)
    found = SimpleNamespace(index=torch.arange(12), target=target, logits=logits)
    run = Untrained(config, tmp_path)
    stage = Stage(parts, tmp_path)
    run.stage = SimpleNamespace(
        predictions=lambda split: found, everywhere=stage.everywhere, examples=examples
    )
    changes: Any = SPARE(largest=2, **options).train(run)
    assert changes["sampler"] == {"name": "cluster_balanced", "powers": powers}
