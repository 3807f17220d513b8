"""Shipped settings that published figures are compared with, against the authors' code."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from debias import components, shipped_configs
from debias import config as configs
from debias.data.pictures.geometry import CentreCrop, CentreSquare, Resize
from debias.losses.balanced_weights import balanced_weights
from debias.runs.run import Run
from debias.sweeps.published import BENCHMARKS, MARK, NOTHING, Setting, differences
from debias.sweeps.reproduce import Reproduced
from debias.sweeps.reproducing.verdicts import result_lines

#: Training images of each group.
COUNTS = {"waterbirds": (3498, 184, 56, 1057), "celeba": (71629, 66874, 22880, 1387)}
SUBPOPBENCH = (
    "erm_subpopbench", "crt", "group_square_root", "group_effective_number", "cvar_dro", "focal",
    "irm", "ldam", "logit_adjustment", "mmd",
)  # fmt: skip
SETTINGS = {
    f"{benchmark}/{setting.name}": setting
    for benchmark, settings in BENCHMARKS.items()
    for setting in settings
}
#: Words by which a comment admits that something is not as it was published.
ADMISSIONS = re.compile(
    r"\b(here|there|choices?|differs?|told|unknown|stands? in|instead|but for|where theirs)\b", re.I
)


def built_from(name: str) -> list[str]:
    """Names of a shipped config and of those that it builds on."""
    text = (shipped_configs.folder() / f"{name}.yaml").read_text()
    base = re.search(r"^extends: (.*)$", text, re.M)
    return [*(built_from(base[1]) if base else []), name]


def comments(name: str) -> list[str]:
    return [
        line
        for line in (shipped_configs.folder() / f"{name}.yaml").read_text().splitlines()
        if "#" in line
    ]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_comment_admits_is_printed_beside_the_verdict(name: str) -> None:
    """Of the config and those it builds on: every line after a first mark, in a setting's note."""
    printed = result_lines([Reproduced(SETTINGS[name], ())])
    notes = [
        line.partition(": ")[2] for line in printed if line.startswith(f"{SETTINGS[name].name}: ")
    ]
    assert notes == SETTINGS[name].differences
    assert set(SETTINGS[name].notes) <= set(notes)
    for source in built_from(SETTINGS[name].config):
        lines = comments(source)
        marked = [i for i, line in enumerate(lines) if line.startswith(MARK)]
        first = marked[0] if marked else len(lines)
        assert not ADMISSIONS.search(" ".join(lines[:first])), (
            f"{source} admits something before {MARK!r}"
        )
        for line in lines[first:]:
            if line.startswith(MARK + NOTHING):
                assert line == lines[-1]
                continue
            assert any(line.removeprefix(MARK).removeprefix("# ") in note for note in notes)


def test_a_difference_ends_with_its_comment(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one config, one of the config below it; later comments are not of them."""
    (tmp_path / "base.yaml").write_text(
        "# A base.\n# Differs: one thing,\n# and more.\nepochs: 3\n# no part\n"
    )
    (tmp_path / "own.yaml").write_text(
        "# Own.\n# Differs: two.\n# Differs: three.\nextends: base\n"
    )
    monkeypatch.setattr(shipped_configs, "folder", lambda: tmp_path)
    assert differences("own") == ["one thing, and more.", "two.", "three."]


def test_notes_by_hand() -> None:
    """MaskTune's corrected labels are Waterbirds'; SubpopBench's ten are each the best of 16."""
    found = {name: " ".join(setting.differences) for name, setting in SETTINGS.items()}
    assert "corrected labels" in found["waterbirds/masktune"]
    assert "ImageNet weights" in found["waterbirds/masktune"]
    assert found["celeba/masktune"] == ""
    assert found["waterbirds/group_dro_strong"] == ""
    assert all(
        "best of 16 random settings" in found[f"{data}/{name}"]
        for data in COUNTS
        for name in SUBPOPBENCH
    )
    assert all(
        "best of 50 random settings" in found[f"{data}/{name}"]
        for data in COUNTS
        for name in ("rwg", "subg")
    )
    assert "epoch by test accuracy" in found["biased_mnist/rebias"]
    assert (
        Setting("celeba/dac", "1", "")
        .differences[1]
        .startswith("the first model has the settings of DFR")
    )


@pytest.mark.parametrize("data", COUNTS)
@pytest.mark.parametrize(
    ("name", "mean"),
    [("group_effective_number", (0.143, 0.396)), ("group_square_root", (0.369, 0.428))],
)
def test_the_weighted_losses_of_subpopbench_take_its_steps(
    data: str, name: str, mean: tuple[float, float]
) -> None:
    """Its weights have a mean of 1 over groups, and m over images; ours have 1 over images.

    A step of SGD on a loss of weights m w with lr and decay is one on weights w with lr m and decay
    / m.
    """
    counts = torch.tensor(COUNTS[data], dtype=torch.float64)
    inverse = counts**-0.5 if name == "group_square_root" else (1 - 0.9999) / (1 - 0.9999**counts)
    theirs = inverse / inverse.sum() * len(counts)
    m = float((counts * theirs).sum() / counts.sum())
    assert m == pytest.approx(mean[list(COUNTS).index(data)], abs=6e-4)
    config = configs.load(f"{data}/{name}", ["data.root=x"])
    options = {key: config.strategy[key] for key in ("power", "beta") if key in config.strategy}
    ours = balanced_weights(torch.tensor(COUNTS[data]), **options)
    torch.testing.assert_close(
        config.optimizer["lr"] * ours.double(), 1e-3 * theirs, rtol=1e-3, atol=0
    )
    assert config.optimizer["lr"] * config.optimizer["weight_decay"] == pytest.approx(
        1e-7, rel=1e-3
    )
    assert config.optimizer["weight_decay"] == pytest.approx(1e-4 / m, rel=1e-3)


@pytest.mark.parametrize("data", COUNTS)
def test_subpopbench_freezes_batch_normalisation(data: str) -> None:
    found = [configs.load(SETTINGS[f"{data}/{name}"].config) for name in SUBPOPBENCH]
    assert [config.model.get("freeze_batch_norm") for config in found] == [True] * 10
    others = set(SETTINGS) - {f"{data}/{name}" for data in COUNTS for name in (*SUBPOPBENCH, "cnc")}
    assert not any(
        configs.load(SETTINGS[name].config).model.get("freeze_batch_norm") for name in others
    )


@pytest.mark.parametrize(
    "name", ["dfr", "afr", "self", "class_balanced_last_layer", "erm_augmented"]
)
def test_celeba_is_squeezed_and_cut_where_the_authors_do(name: str) -> None:
    """178 x 218 to 256 x 256, its middle 224; MaskTune and DaC cut the middle square first."""
    steps = components.construct(
        "preprocessing", configs.load(f"celeba/{name}").preprocessing, {}
    ).evaluation.steps
    assert steps == (Resize(256, 256), CentreCrop(224, 224))
    for other in ("masktune", "dac", "jtt", "erm_strong", "erm_subpopbench"):
        section = configs.load(f"celeba/{other}").preprocessing
        assert components.construct("preprocessing", section, {}).evaluation.steps == (
            CentreSquare(),
            Resize(224, 224),
        )


@pytest.mark.parametrize(
    ("name", "lowest"), [("masktune", 1.0), ("dac", 1.0), ("afr", 0.75), ("dfr", 0.75)]
)
def test_crops_of_celeba_have_the_authors_ratio(name: str, lowest: float) -> None:
    made = components.construct("preprocessing", configs.load(f"celeba/{name}").preprocessing, {})
    assert made.augmentation.transforms[0].ratio == pytest.approx((lowest, 4 / 3))


def test_afr_ends_at_a_hundredth_of_its_rate() -> None:
    config = configs.load("celeba/afr")
    facts = {"parameters": [torch.nn.Parameter(torch.zeros(1))]}
    optimizer = components.construct("optimizer", config.optimizer, facts)
    scheduler = components.construct(
        "scheduler", config.scheduler, {"optimizer": optimizer, "epochs": config.epochs}
    )
    for _ in range(config.epochs):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3e-3 / 100)


@pytest.mark.parametrize("data", COUNTS)
def test_masktune_keeps_its_rate(data: str) -> None:
    """Its code calls ``train_erm`` and ``finetune`` without steps of the schedule."""
    config = configs.load(f"{data}/masktune")
    recipe, run = components.construct("recipe", config.recipe, {}), Run(config, Path("x"))
    for stage in recipe.stages(run):
        assert (stage.optimizer["lr"], stage.scheduler) == (1e-4, {"name": "constant"})


@pytest.mark.parametrize("data", COUNTS)
@pytest.mark.parametrize("name", ["masktune", "dac"])
def test_masks_are_those_of_xgrad_cam(data: str, name: str) -> None:
    assert configs.load(f"{data}/{name}").recipe["cam"] == "xgrad_cam"
