"""Published settings as a sweep: which runs, at what cost, and the verdict on what came back."""

from pathlib import Path

import pytest

from debias import config as configs
from debias.__main__ import BENCHMARKS as CHOICES
from debias.__main__ import main
from debias.metrics.selection import chosen_rule
from debias.reports.tables import Spread
from debias.sweeps import estimate
from debias.sweeps.checks import check
from debias.sweeps.estimate import SIZES, Estimator, Speed
from debias.sweeps.published import BENCHMARKS, Setting
from debias.sweeps.reproduce import (
    IMAGES,
    RULE,
    TIMED,
    cost_lines,
    reproduction,
    result_lines,
    verdict,
)
from tests.commands.conftest import SMALL
from tests.sweeps.finished_runs import finish

JTT = Setting("waterbirds/jtt", "86.7", "somebody")


#: Figures whose epoch is not chosen by the worst group of validation: Kirichenko et al. evaluate
#: their base model after its last epoch, Sagawa et al. stop early in another row, and the other two
#: methods read no group labels.
LAST = ("erm_augmented", "group_dro_strong", "masktune", "class_balanced_last_layer")


def rule_of(config: str) -> str:
    benchmark, _, name = config.partition("/")
    if benchmark == "biased_mnist":
        return "average"
    return "last" if name in LAST else "worst_group"


def test_every_setting_is_shipped_and_has_a_figure() -> None:
    assert tuple(BENCHMARKS) == CHOICES == tuple(SIZES)
    for benchmark, settings in BENCHMARKS.items():
        assert len({(setting.name, *setting.varied.items()) for setting in settings}) == len(
            settings
        )
        for setting in settings:
            assert setting.config.partition("/")[0] == benchmark
            assert chosen_rule(configs.load(setting.config).select, labelled=True) == rule_of(
                f"{benchmark}/{setting.name}"
            )
            assert 0.05 < setting.mean < 1
            assert 0 <= setting.deviation < 0.1
            assert setting.source


@pytest.mark.parametrize("benchmark", CHOICES)
def test_every_setting_passes_the_checks_of_a_sweep(benchmark: str) -> None:
    planned, _ = reproduction(benchmark, ["data.root=anywhere", "seeds=[0]"])
    check(planned.runs)
    assert len(planned.runs) == len(BENCHMARKS[benchmark])


def test_figures_by_hand() -> None:
    """Two of the table of methods, one of this table, and one of Biased-MNIST."""
    found = {
        (s.config, *s.varied.values()): (s.mean, s.deviation)
        for every in BENCHMARKS.values()
        for s in every
    }
    assert found["waterbirds/jtt",] == (0.867, 0)
    assert found["waterbirds/group_dro_strong",] == (0.846, 0)
    assert ("celeba/group_dro_strong",) not in found  # of C = 0 no figure was found
    assert found["celeba/dfr",] == pytest.approx((0.883, 0.011))
    assert found["waterbirds/erm_augmented",] == pytest.approx((0.749, 0.024))
    assert found["biased_mnist/rebias", 0.997] == (0.642, 0)


@pytest.mark.parametrize(
    ("figure", "measured", "expected"),
    [
        ("86.7", Spread(0.847, None), "PASS"),
        ("86.7", Spread(0.887, None), "PASS"),
        ("86.7", Spread(0.846, None), "-2.1"),
        ("86.7", Spread(0.888, 0.009), "+2.1"),
        ("86.7 ± 1.2", Spread(0.888, 0.009), "PASS"),
        ("86.7 ± 1.2", Spread(0.836, 0.009), "-3.1"),
        ("86.7", Spread(None, None), "-"),
    ],
)
def test_verdict_by_hand(figure: str, measured: Spread, expected: str) -> None:
    """1.5, and then 3.0 points->= 1.5, so 3.0 points"""
    assert verdict(JTT._replace(figure=figure), measured) == expected


def test_runs_are_those_of_train(tmp_path: Path) -> None:
    """Two settings with two seeds, the first seed of both first; as of `debias train`."""
    overrides = ["seeds=[0,7]", f"out={tmp_path}", "data.root=birds", "batch_size=16"]
    planned, found = reproduction("waterbirds", overrides, names=["jtt", "group_dro_strong"])
    sources = ["waterbirds/group_dro_strong", "waterbirds/jtt"]
    assert [(run.source, run.config.seed) for run in planned.runs] == [
        (s, seed) for seed in (0, 7) for s in sources
    ]
    assert [[run.config.seed for run in one.runs] for one in found] == [[0, 7], [0, 7]]
    told = ["data.root=birds", "batch_size=16", "seed=7"]
    same = configs.load("waterbirds/jtt", [*told, "precision=32-true"])
    assert planned.runs[3].folder == tmp_path / configs.run_name(same)
    mixed, _ = reproduction("waterbirds", [*overrides, "precision=bf16-mixed"], names=["jtt"])
    assert {run.config.precision for run in mixed.runs} == {"bf16-mixed"}


def test_by_itself_everything_with_three_seeds() -> None:
    planned, found = reproduction("biased_mnist")
    assert planned.out == Path("runs/reproduce_biased_mnist")
    assert len(found) == 20
    assert [run.config.seed for run in found[0].runs] == [0, 1, 2]
    assert {run.config.data["rho"] for run in planned.runs} == {0.999, 0.997, 0.995, 0.99}


@pytest.mark.parametrize(
    ("overrides", "names", "words"),
    [
        ([], ["jt"], "waterbirds has no published setting 'jt'; did you mean 'jtt'"),
        (["seeds=0"], [], "seeds=0 must be a list"),
        (["seed=1"], [], "seed cannot be set or varied for runs"),
        (["epoch=1"], [], "did you mean 'epochs'"),
    ],
)
def test_mistakes(overrides: list[str], names: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        reproduction("waterbirds", overrides, names=names)


def test_result_lines(tmp_path: Path) -> None:
    """JTT measured 85.0 and 87.0: 86.0 ± 1.4; Group DRO 60.0 once, 24.6 too low; no third."""
    overrides = [f"out={tmp_path}", "data.root=birds", "seeds=[0,1]"]
    names = ["jtt", "group_dro_strong", "rwg"]
    _, found = reproduction("waterbirds", overrides, names=names)
    dro, rwg, jtt = found
    finish(jtt.runs[0], worst=0.85)
    finish(jtt.runs[1], worst=0.87)
    finish(dro.runs[0], worst=0.6)
    assert rwg.measured == Spread(None, None)
    lines = result_lines(found)
    assert lines[2].endswith(
        "Sagawa et al. 2020, without group adjustment  1 of 2        84.6    60.0 ± -    -24.6"
    )
    assert lines[3].endswith(
        "Idrissi et al. 2022, Table 2                  0 of 2  87.6 ± 1.6           -        -"
    )
    assert lines[4].endswith(
        "Liu et al. 2021, Table 1                      2 of 2        86.7  86.0 ± 1.4     PASS"
    )
    assert RULE in lines
    assert (
        lines[-1]
        == "rwg: the figure is the best of 50 random settings, and this is Sagawa et al.'s."
    )


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the networks timed, at 1,000 images a second in training, 4,000 in evaluation."""
    names: list[str] = []

    def speed_of(config: configs.Config) -> Speed:
        names.append(config.model["name"])
        return Speed(1000.0, 4000.0)

    monkeypatch.setattr(estimate, "speed_of", speed_of)
    return names


def test_cost_lines(tmp_path: Path, timed: list[str]) -> None:
    """JTT sees 4,795 images in 60 epochs, in 300 more 240 errors 100 times beside: 8.9262 million.

    It validates on 1,199 images in each of 360 epochs, and each stage predicts 11,788: 0.4552
    million. Three runs take 3 * (8,926 + 114) seconds at the speed of this machine, 7.5 hours; one
    that is done took 95 seconds.
    """
    overrides = [f"out={tmp_path}", "data.root=birds", "accelerator=cpu"]
    planned, found = reproduction("waterbirds", overrides, names=["jtt", "rwg"])
    lines = cost_lines("waterbirds", planned, found)
    assert lines[3].split()[-6:] == ["3", "360", "26.8", "1.4", "~7.5", "h"]
    assert lines[-2:] == [IMAGES, TIMED]
    assert timed == ["resnet50.tv_in1k"]
    rwg, jtt = found
    assert jtt.runs[0].config.recipe["name"] == "jtt"
    for run in (jtt.runs[0], *rwg.runs):
        finish(run, worst=0.85)
    lines = cost_lines("waterbirds", planned, found)
    assert lines[2].split()[-5:] == ["0", "300", "0.0", "0.0", "-"]
    assert lines[3].split()[-6:] == ["2", "360", "17.9", "0.9", "3", "min"]
    assert lines[-1] == IMAGES
    assert timed == ["resnet50.tv_in1k"]


@pytest.mark.parametrize(
    ("config", "epochs", "trained", "evaluated"),
    [
        # 50 of 599 images; 3 times 50 of these and two thirds of the split, 3,197; 300 of all
        # at most; teacher and folds validate on 600 images, and predict all that they have
        (
            "waterbirds/ssa",
            500,
            50 * 599 + 150 * (599 + 3197) + 300 * 4795,
            200 * 600 + (599 + 600 + 4795) + 3 * (599 + 3197 + 600 + 1598) + 300 * 1199 + 11788,
        ),
        # 21 epochs, then 150 with 240 errors 139 times beside
        ("waterbirds/bam", 171, 21 * 4795 + 150 * (4795 + 139 * 240), 171 * 1199 + 2 * 11788),
        # four times the smallest group
        ("waterbirds sampler.name=group_subsample", 300, 300 * 224, 300 * 1199 + 11788),
        # 80 % of the split
        ("waterbirds/afr", 50, 50 * 3836, 50 * 1199 + 11788),
        # twice the smaller class in both stages; a map and six masked pictures of each image
        ("celeba/dac", 70, 70 * 2 * 24267, 70 * 19867 + 2 * 202599 + 7 * 162770),
        ("celeba/masktune", 21, 21 * 162770, 21 * 19867 + 2 * 202599 + 162770),
        # twins
        ("waterbirds/xrm", 336, 336 * 4795, 336 * 1199 + 3 * 11788),
        ("biased_mnist strategy.name=rubi", 80, 80 * 55000, 80 * 5000 + 70000),
    ],
)
def test_images_that_a_run_sees(config: str, epochs: int, trained: int, evaluated: int) -> None:
    source, *names = config.split()
    found = Estimator(source.partition("/")[0]).estimate(
        configs.load(source, ["data.root=x", *names]), timed=False
    )
    assert (found.epochs, found.images, found.seconds) == (epochs, (trained, evaluated), None)


def test_a_network_is_timed(tmp_path: Path) -> None:
    """Training and evaluation, a third of the work; how fast depends on the machine."""
    small = ["data.root=x", "model.name=test_resnet", "preprocessing.size=32", "accelerator=cpu"]
    found = estimate.speed_of(configs.load("waterbirds/jtt", small))
    assert found is not None
    assert min(found) > 0
    assert estimate.timed_batch(configs.load("waterbirds/jtt", small)) == 8
    assert estimate.timed_batch(configs.load("waterbirds/jtt", [*small, "batch_size=4"])) == 4


def test_dry_run_runs_nothing(
    tmp_path: Path, timed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also with the options between the arguments, where argparse would give up."""
    command = [
        "reproduce",
        "celeba",
        "--strategies",
        "jtt,dfr",
        "--dry-run",
        f"out={tmp_path}/runs",
        "data.root=x",
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[2:4]] == ["jtt", "dfr"]
    assert printed[-2] == (
        "data.root=x does not exist: put the data there, or correct the path, to train"
    )
    assert printed[-1] == f"{tmp_path}/runs: 6 runs, 6 left"
    assert list(tmp_path.iterdir()) == []


def test_dry_run_says_whether_the_data_are_absent(
    tmp_path: Path, timed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reproduce", "celeba", "--strategies", "jtt", "--dry-run", f"out={tmp_path}/runs"]
    for option, line in (
        ([], "data.root is not set: add data.root=PATH, the folder of the data, to train"),
        ([f"data.root={tmp_path}"], ""),
    ):
        assert main([*command, *option]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert [text for text in printed if text.startswith("data.root")] == (
            [line] if line else []
        )


def test_strangers_among_the_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["reproduce", "celeba", "--dry", "--what"], ["list", "configs", "a", "b"]):
        with pytest.raises(SystemExit) as stop:
            main(command)
        assert stop.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs on drawn birds, trained, reported, and not trained again; a figure that both must
    miss, 5 %.
    """
    setting = Setting("drawn_birds", "5.0", "nobody", "average")
    monkeypatch.setitem(BENCHMARKS, "waterbirds", [setting])
    small = [text for text in SMALL if not text.startswith("progress")]
    options = [
        "seeds=[0,1]",
        "epochs=1",
        "workers=1",
        "threads=1",
        f"out={tmp_path}/runs",
        f"data.root={tmp_path}/birds",
    ]
    small = [text for text in small if not text.startswith("epochs")]
    command = ["reproduce", "waterbirds", *small, *options]
    assert main(command) == 0
    first = capsys.readouterr().out.splitlines()
    assert f"{tmp_path}/runs: 2 runs, 2 left" in first
    (line,) = (line for line in first if line.startswith("drawn_birds  "))
    assert "2 of 2" in line
    assert line.split()[-1].startswith("+")
    assert first[-1] == RULE
    assert main(command) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0] == f"{tmp_path}/runs: 2 runs, 0 left"
    assert line in again
    assert not any(text.startswith("started") for text in again)
