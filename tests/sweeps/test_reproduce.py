"""Published settings as a sweep: which runs they are, what they cost, and the verdict on what came back."""

from __future__ import annotations

from pathlib import Path

import pytest

from debias import config as configs
from debias.__main__ import BENCHMARKS as CHOICES
from debias.__main__ import main
from debias.reports.comparison import Spread
from debias.sweeps import published
from debias.sweeps.checks import check
from debias.sweeps.published import BENCHMARKS, IMAGES, Setting
from debias.sweeps.reproduce import RULE, cost_lines, epochs_of, reproduction, result_lines, verdict
from tests.commands.conftest import SMALL
from tests.sweeps.finished_runs import finish

JTT = Setting("waterbirds/jtt", "86.7", "somebody")


def test_every_setting_is_shipped_and_has_a_figure() -> None:
    assert tuple(BENCHMARKS) == CHOICES == tuple(IMAGES)
    for benchmark, settings in BENCHMARKS.items():
        assert len({(setting.config, *setting.varied.items()) for setting in settings}) == len(settings)
        for setting in settings:
            assert setting.config.startswith(f"{benchmark}/")
            assert configs.load(setting.config).select in ("auto", "worst_group", "average")
            assert 0.05 < setting.mean < 1
            assert 0 <= setting.deviation < 0.1
            assert setting.source


@pytest.mark.parametrize("benchmark", CHOICES)
def test_every_setting_passes_the_checks_of_a_sweep(benchmark: str) -> None:
    planned, _ = reproduction(benchmark, ["data.root=anywhere", "seeds=[0]"])
    check(planned.runs)
    assert len(planned.runs) == len(BENCHMARKS[benchmark])


def test_figures_by_hand() -> None:
    """Two that the catalogue holds, one of this table, and one of Biased-MNIST."""
    found = {(s.config, *s.varied.values()): (s.mean, s.deviation) for every in BENCHMARKS.values() for s in every}
    assert found["waterbirds/jtt",] == (0.867, 0)
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
    """Two points either way, or twice a deviation: sqrt(1.2^2 + 0.9^2) = 1.5, and then 3.0 points."""
    assert verdict(JTT._replace(figure=figure), measured) == expected


def test_runs_are_those_of_train(tmp_path: Path) -> None:
    """Two settings with two seeds, the first seed of both first; the folder is that of `debias train`."""
    overrides = ["seeds=[0,7]", f"out={tmp_path}", "data.root=birds", "batch_size=16"]
    planned, found = reproduction("waterbirds", overrides, names=["jtt", "group_dro_strong"])
    sources = ["waterbirds/group_dro_strong", "waterbirds/jtt"]
    assert [(run.source, run.config.seed) for run in planned.runs] == [(s, seed) for seed in (0, 7) for s in sources]
    assert [[run.config.seed for run in one.runs] for one in found] == [[0, 7], [0, 7]]
    same = configs.load("waterbirds/jtt", ["data.root=birds", "batch_size=16", "seed=7"])
    assert planned.runs[3].folder == tmp_path / configs.run_name(same)


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
        (["seed=1"], [], "seed cannot be set or varied here"),
        (["epoch=1"], [], "did you mean 'epochs'"),
    ],
)
def test_mistakes(overrides: list[str], names: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        reproduction("waterbirds", overrides, names=names)


def test_result_lines(tmp_path: Path) -> None:
    """JTT measured 85.0 and 87.0: 86.0 ± 1.4; Group DRO 60.0 once, 31.4 too little; nothing of the third."""
    overrides = [f"out={tmp_path}", "data.root=birds", "seeds=[0,1]"]
    names = ["jtt", "group_dro_strong", "rwg"]
    _, found = reproduction("waterbirds", overrides, names=names)
    dro, rwg, jtt = found
    finish(jtt.runs[0], worst=0.85)
    finish(jtt.runs[1], worst=0.87)
    finish(dro.runs[0], worst=0.6)
    assert rwg.measured == Spread(None, None)
    lines = result_lines(found)
    assert lines[2].endswith("Sagawa et al. 2020, Table 3   1 of 2  91.4 ± 1.1    60.0 ± -    -31.4")
    assert lines[3].endswith("Idrissi et al. 2022, Table 2  0 of 2  87.6 ± 1.6           -        -")
    assert lines[4].endswith("Liu et al. 2021, Table 1      2 of 2        86.7  86.0 ± 1.4     PASS")
    assert RULE in lines
    assert lines[-1] == f"rwg: {published.OF_50}"


def test_cost_lines(tmp_path: Path) -> None:
    """JTT trains 60 epochs and then 300 of 4,795 images: 1.7262 million a run; a run that is done took 95 seconds."""
    overrides = [f"out={tmp_path}", "data.root=birds"]
    planned, found = reproduction("waterbirds", overrides, names=["jtt"])
    assert epochs_of(planned.runs[0].config) == 360
    assert cost_lines("waterbirds", planned, found)[2].split()[-5:] == ["1", "3", "360", "5.2", "-"]
    finish(planned.runs[0], worst=0.85)
    assert cost_lines("waterbirds", planned, found)[2].split()[-6:] == ["1", "2", "360", "3.5", "3", "min"]


def test_dry_run_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also with the options between the arguments, where argparse would give up."""
    command = ["reproduce", "celeba", "--strategies", "jtt,dfr", "--dry-run", f"out={tmp_path}/runs", "data.root=x"]
    assert main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[2:4]] == ["jtt", "dfr"]
    assert printed[-1] == f"{tmp_path}/runs: 6 runs, 6 left"
    assert list(tmp_path.iterdir()) == []


def test_strangers_among_the_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["reproduce", "celeba", "--dry", "--what"], ["list", "configs", "a", "b"]):
        with pytest.raises(SystemExit) as stop:
            main(command)
        assert stop.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs on drawn birds, trained, reported, and not trained again; a figure that both must miss, 5 %."""
    setting = Setting("drawn_birds/erm", "5.0", "nobody", "made up", "average")
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
    (line,) = (line for line in first if line.startswith("erm "))
    assert "2 of 2" in line
    assert line.split()[-1].startswith("+")
    assert first[-1] == "erm: made up"
    assert main(command) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0] == f"{tmp_path}/runs: 2 runs, 0 left"
    assert line in again
    assert not any(text.startswith("started") for text in again)
