"""SSA: on which guesses of its teacher a predictor is trained; predictors are fake logits."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from debias import config as configs
from debias.config import Config
from debias.data.examples import Examples, TrainingNoise
from debias.errors import InputError
from debias.group_inference.pseudo_labels import balanced_pseudo_labels
from debias.merging import Settings
from debias.parts import Parts
from debias.recipes.ssa import SSA
from debias.runs.run import Run
from debias.types import Attribute, Groups
from tests.fakes import GROUPS

TRAIN, VAL = 200, 20
GENERATOR = torch.Generator().manual_seed(0)
#: Of a training image: how many say 1 rather than 0, as a difference of logits. Class 1 is guessed
#: to be 1 more often.
MARGIN = 3 * torch.randn(TRAIN, generator=GENERATOR) + 2 * (torch.arange(TRAIN) % 2) - 0.5
#: Train first, then validation, whose four groups have 8, 2, 4 and 6 images.
TARGET = torch.cat([torch.arange(TRAIN) % 2, torch.tensor([0] * 10 + [1] * 10)])
BIAS = torch.cat(
    [torch.zeros(TRAIN, dtype=torch.int64), torch.tensor([0] * 8 + [1] * 2 + [0] * 4 + [1] * 6)]
)


def table_of(csv_file: str) -> dict[str, list[tuple[int, int, int]]]:
    """Row of the data set, value of the bias and class, by the split of a predictor's table."""
    found: dict[str, list[tuple[int, int, int]]] = {"train": [], "val": [], "test": []}
    for line in csv.DictReader(Path(csv_file).read_text().splitlines()):
        found[line["split"]].append(
            (int(line["path"].partition(".")[0]), int(line["target"]), int(line["bias"]))
        )
    return found


class HandMade(Run):
    """The teacher says ``MARGIN``; so do predictors of folds, the other way. No last stage."""

    read: list[Settings]

    def train_stage(self, name: str, config: Config) -> Any:
        self.read = [*getattr(self, "read", []), config.data]
        asked = torch.tensor([row for row, *_ in table_of(config.data["csv"])["test"]])
        margin = MARGIN[asked] if name == "teacher" else -MARGIN[asked]
        logits = torch.stack([torch.zeros_like(margin), margin], dim=1)
        return SimpleNamespace(predictions=lambda split: SimpleNamespace(logits=logits))

    def train_last(self, changes: Any = None, *, partition: Any = None, start: Any = None) -> Any:
        return changes


def examples_of(changes: Settings | None = None) -> Examples:
    """Rows of ``TARGET`` and ``BIAS``, with some fields changed."""
    split = torch.tensor([0] * TRAIN + [1] * VAL)
    names = tuple(f"{row}.png" for row in range(TRAIN + VAL))
    made = Examples(Path("pictures"), names, TARGET, BIAS, split, GROUPS, Path("table.csv"))
    return replace(made, **(changes or {}))


def trained(folder: Path, accepted: Settings | None = None, **options: Any) -> HandMade:
    """Train with options of SSA, on images that are ``accepted`` by options of the data set."""
    run, recipe = HandMade(configs.load("drawn_birds", ["seed=4"]), folder), SSA(**options)
    parts = Parts(examples_of(accepted), None, None, "cpu", "32-true")  # type: ignore[arg-type]  # nothing is trained
    run.built[configs.identity(recipe.stages(run)[0])] = parts
    recipe.train(run)
    return run


def test_predictors_accept_the_images_of_the_run(tmp_path: Path) -> None:
    accepted = {"max_pixels": 7, "follow_links": True}
    for data in trained(tmp_path, accepted).read:
        assert {key: data[key] for key in accepted} == accepted


def test_degraded_images_are_refused() -> None:
    """The predictors read files, which are not degraded."""
    noise = TrainingNoise(TARGET, torch.ones(TRAIN + VAL, dtype=torch.bool), (("blur", 2.0),), 0)
    parts = Parts(examples_of({"noise": noise}), None, None, "cpu", "32-true")  # type: ignore[arg-type]  # nothing is trained
    with pytest.raises(InputError, match=r"SSA does not allow data\.image_noise"):
        SSA().check(parts, configs.load("drawn_birds"))


@pytest.mark.parametrize("threshold", [0.6, 0.8])
def test_a_predictor_sees_the_labelled_half_and_the_balanced_guesses_of_the_other_folds(
    tmp_path: Path, threshold: float
) -> None:
    trained(tmp_path, folds=3, threshold=threshold)
    labelled = set(table_of(tmp_path / "stages/teacher/labels.csv")["train"])
    group = torch.tensor([2 * target + bias for _, bias, target in labelled])
    counts = torch.bincount(group, minlength=4)
    assert counts.tolist() == [4, 1, 2, 3]
    asked_by_all: list[int] = []
    for fold in (1, 2, 3):
        table = table_of(tmp_path / f"stages/fold-{fold}/labels.csv")
        asked = [row for row, *_ in table["test"]]
        others = torch.tensor([row for row in range(TRAIN) if row not in asked])
        guess, confidence = (MARGIN[others] > 0).long(), MARGIN[others].abs().sigmoid()
        sure = balanced_pseudo_labels(
            confidence, 2 * TARGET[others] + guess, counts, threshold=threshold
        )
        assert 5 < int(sure.sum()) < 0.9 * len(others)
        guesses = zip(
            others[sure].tolist(), guess[sure].tolist(), TARGET[others[sure]].tolist(), strict=True
        )
        assert sorted(table["train"]) == sorted([*labelled, *guesses])
        assert not {row for row, *_ in table["val"]} & {row for row, *_ in labelled}
        asked_by_all += asked
    assert sorted(asked_by_all) == list(range(TRAIN))


def test_the_guesses_of_the_folds_are_the_groups(tmp_path: Path) -> None:
    """Not those of the teacher, which says the opposite."""
    trained(tmp_path, folds=2)
    lines = list(csv.DictReader((tmp_path / "groups.csv").read_text().splitlines()))
    assert [int(line["inferred"]) for line in lines] == (MARGIN < 0).long().tolist()


def test_a_predictor_has_no_class_for_a_combination_that_does_not_exist(tmp_path):
    """Of four combinations, validation has 0, 2 and 3. The predictors give the last one of them."""
    attributes = [Attribute(name, ("no " + name, name)) for name in ("hat", "tie")]
    target, value = torch.arange(24) % 2, torch.tensor([0, 2, 3]).repeat_interleave(8)
    split = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]).repeat(3)
    names = tuple(f"{row}.png" for row in range(24))
    groups = Groups.product(("cat", "dog"), attributes)
    examples = Examples(Path(), names, target, value, split, groups, Path("t.csv"))
    classes = []

    def train_stage(name, config):
        """Logits that are greatest for the last class of the stage's table."""
        classes.append(config.data["target_names"])
        table = table_of(config.data["csv"])
        assert {value for _, value, _ in table["train"]} == {0, 1, 2}
        logits = torch.arange(len(classes[-1])).float().expand(len(table["test"]), -1)
        return SimpleNamespace(predictions=lambda split: SimpleNamespace(logits=logits))

    run = SimpleNamespace(
        config=SimpleNamespace(seed=0),
        folder=tmp_path,
        build=lambda config: SimpleNamespace(examples=examples),
        stage_config=lambda *changes: Config(),
        train_stage=train_stage,
        infer=lambda inferred, examples: inferred,
        train_last=lambda partition: partition,
    )
    inferred = SSA().train(run)
    assert classes == [["no hat & no tie", "hat & no tie", "hat & tie"]] * 4
    assert inferred.tolist() == torch.where(split == 0, 3, -1).tolist()
