"""A run's saved predictions: read where they are those of the weights and the data, and refused
with a reason.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.config import Config, GroupsFile
from debias.data.examples import SPLITS, Examples
from debias.evaluation.predictions import with_labels
from debias.evaluation.saved import origin, saved_predictions, trained_config
from debias.reports.predictions import Predictions, write
from debias.training.prediction import Predicted
from tests.fakes import GROUPS


@pytest.fixture
def examples() -> Examples:
    """Nine images, three in each split."""
    target, bias = torch.arange(9) % 2, torch.tensor([0, 1, -1] * 3)
    names = tuple(f"{row}.png" for row in range(9))
    split = torch.tensor([2, 0, 1] * 3)
    return Examples(Path("pictures"), names, target, bias, split, GROUPS, Path("metadata.csv"))


@pytest.fixture
def run(examples: Examples, tmp_path: Path) -> Path:
    """A folder with predictions of these images, and weights."""
    generator = torch.Generator().manual_seed(0)
    for split in SPLITS:
        logits = torch.randn(3, 2, generator=generator)
        rows = with_labels(examples, Predicted(examples.rows(split), logits))
        write(tmp_path / "predictions" / f"{split}.csv", rows, GROUPS)
    (tmp_path / "weights.ckpt").write_bytes(b"weights")
    return tmp_path


def read(run: Path, examples: Examples) -> dict[str, Predictions]:
    same = origin(run / "weights.ckpt", "auto")
    return saved_predictions(run, same, same, examples)


def test_every_split_bit_for_bit(run: Path, examples: Examples) -> None:
    found = read(run, examples)
    generator = torch.Generator().manual_seed(0)
    for split in SPLITS:
        assert torch.equal(found[split].logits, torch.randn(3, 2, generator=generator))
        assert torch.equal(found[split].index, examples.rows(split))
    assert found["test"].paths == ("0.png", "3.png", "6.png")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"images": tuple(f"other{row}.png" for row in range(9))},
            "train.csv has other images than the data",
        ),
        ({"target": (torch.arange(9) + 1) % 2}, "train.csv has other labels than the data"),
        ({"bias": torch.zeros(9, dtype=torch.int64)}, "train.csv has other labels than the data"),
        ({"split": torch.tensor([0, 1, 2] * 3)}, "train.csv has other rows than the data"),
        (
            {"split": torch.tensor([2, 0, 1] * 2 + [2, 0, 0])},
            "train.csv has other rows than the data",
        ),
    ],
)
def test_other_data_is_told(
    run: Path, examples: Examples, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        read(run, replace(examples, **changes))  # type: ignore[arg-type]


def test_only_paths_that_the_run_wrote_are_those_inside_it(tmp_path: Path) -> None:
    """The user's files have the same names as the run's, and are those of the config."""
    given = Config(groups=GroupsFile("g/groups.csv"), data={"name": "table", "masks": "g/masks"})
    (tmp_path / "masks").mkdir()
    (tmp_path / "groups.csv").touch()
    configs.save(given, tmp_path / "config.yaml")
    assert trained_config(tmp_path) == given
    wrote = replace(
        given, groups=GroupsFile("old/groups.csv"), data={**given.data, "masks": "old/masks"}
    )
    configs.save(wrote, tmp_path / configs.LAST_STAGE)
    found = trained_config(tmp_path)
    assert found.groups.file == str(tmp_path / "groups.csv")
    assert found.data["masks"] == str(tmp_path / "masks")


def test_other_weights_are_told(run: Path, examples: Examples) -> None:
    """The fingerprint is that of ``printf weights | sha256sum``; one byte more makes another."""
    before = origin(run / "weights.ckpt", "auto")
    assert before["weights"] == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    (run / "weights.ckpt").write_bytes(b"weights.")
    with pytest.raises(ValueError, match="the saved predictions come from other weights"):
        saved_predictions(run, before, origin(run / "weights.ckpt", "auto"), examples)
    with pytest.raises(ValueError, match="the saved predictions have precision=auto"):
        saved_predictions(run, before, before | {"precision": "32-true"}, examples)
    with pytest.raises(ValueError, match="does not name the weights"):
        saved_predictions(run, None, before, examples)


def test_what_is_not_there_is_told(run: Path, examples: Examples) -> None:
    (run / "predictions" / "val.csv").unlink()
    with pytest.raises(ValueError, match=r"val\.csv: no such file$"):
        read(run, examples)
    with pytest.raises(ValueError, match="no checkpoint"):
        origin(run / "nothing.ckpt", "auto")
