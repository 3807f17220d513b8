"""A sweep file to its runs: exact lists by hand, identities, and every mistake in one line."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from debias import config as configs
from debias.sweeps.plan import plan


def test_every_combination_in_order(sweep):
    """2 seeds x (2 configs) x (2 x 2 points): per seed all, the last key of the grid fastest."""
    planned = plan(
        sweep("""
        configs: [drawn_birds, drawn_birds/coral]
        seeds: [0, 7]
        grid: {optimizer.lr: [1e-3, 1e-4], clip: [null, 1.5]}
        set: {epochs: 5, data.root: birds}
        """)
    )
    expected = [
        (seed, strategy, lr, clip)
        for seed in (0, 7)
        for strategy in ("erm", "coral")
        for lr, clip in ((1e-3, None), (1e-3, 1.5), (1e-4, None), (1e-4, 1.5))
    ]
    made = [run.config for run in planned.runs]
    assert [(c.seed, c.strategy["name"], c.optimizer["lr"], c.clip) for c in made] == expected
    assert {(c.epochs, c.data["root"], c.progress) for c in made} == {(5, "birds", False)}
    assert planned.runs[1].settings == "drawn_birds optimizer.lr=0.001 clip=1.5 seed=0"
    assert planned.merged == ()


def test_a_run_is_what_debias_train_would_make_of_it(sweep):
    """The same identity and the same folder as from the command line; it shares what it trains."""
    path = sweep("""
        configs: [drawn_birds/coral]
        grid: {strategy.strength: [0.1]}
        set: {epochs: 5}
        """)
    (run,) = plan(path, ["batch_size=16"]).runs
    arguments = [
        "epochs=5",
        "batch_size=16",
        "strategy.strength=0.1",
        "seed=0",
        f"out={path.parent / 'runs'}",
    ]
    assert run.name == configs.run_name(configs.load("drawn_birds/coral", arguments))
    assert run.folder == path.parent / "runs" / run.name
    arguments += [*run.overrides, "progress=false", f"share={path.parent / 'runs' / 'shared'}"]
    assert configs.load(run.source, arguments) == run.config
    shares = [plan(path, [f"share={place}"]).runs[0].config.share for place in ("null", "there")]
    assert shares == [None, "there"]


def test_a_config_may_have_a_grid_of_its_own(sweep):
    planned = plan(
        sweep("""
        configs:
          - drawn_birds
          - drawn_birds/coral: {strategy.strength: [0.1, 0.2], optimizer.lr: [1e-2]}
        grid: {optimizer.lr: [1e-3]}
        """)
    )
    found = [(run.config.strategy, run.config.optimizer["lr"]) for run in planned.runs]
    assert found == [
        ({"name": "erm"}, 1e-3),
        ({"name": "coral", "conditional": True, "strength": 0.1}, 1e-2),
        ({"name": "coral", "conditional": True, "strength": 0.2}, 1e-2),
    ]


def test_draws_are_combined_with_the_grid(sweep):
    """3 draws at each of 2 points, the same draws at both; a fourth is added to them."""
    path = sweep("""
        configs: [drawn_birds]
        grid: {epochs: [1, 2]}
        draws: {count: 3, seed: 5, values: {optimizer.lr: {log_uniform: [1e-4, 1e-2]}}}
        """)
    runs = plan(path).runs
    rates = [run.config.optimizer["lr"] for run in runs]
    assert [run.config.epochs for run in runs] == [1, 1, 1, 2, 2, 2]
    assert rates[:3] == rates[3:]
    assert len(set(rates)) == 3
    more = plan(path, ["draws.count=4"]).runs
    assert len(more) == 8
    assert {run.name for run in runs} < {run.name for run in more}


def test_repeated_runs_are_merged(sweep):
    """Loader processes are no part of a run's identity."""
    planned = plan(
        sweep("""
        configs: [drawn_birds]
        grid: {workers: [0, 2], epochs: [1]}
        """)
    )
    assert len(planned.runs) == 1
    assert planned.merged == (
        (
            "drawn_birds workers=2 epochs=1 seed=0 is the same run as drawn_birds "
            "workers=0 epochs=1 seed=0"
        ),
    )


def test_a_large_sweep_reads_each_file_and_each_value_once(sweep, monkeypatch):
    """1 config in 1 file, 4 x 4 x 4 points: what OmegaConf reads and converts follows from 15
    values, not 64 runs.

    The sweep file, and ``drawn_birds`` are read. Texts are the 3 x 4 varied
    ones, the seed, ``out`` and ``progress``; of these epochs, batch sizes, seed, ``out`` and
    ``progress`` are no options of a component.
    """
    calls = Counter()
    for name in ("load", "from_dotlist", "merge"):
        counted = partial(_counted, calls, name, getattr(OmegaConf, name))
        monkeypatch.setattr(OmegaConf, name, staticmethod(counted))
    axes = "optimizer.lr: [1.1e-5, 1.2e-5, 1.3e-5, 1.4e-5], epochs: [1001, 1002, 1003, 1004]"
    path = sweep(
        f"configs: [drawn_birds]\ngrid: {{{axes}, batch_size: [2001, 2002, 2003, "
        "2004]}\nseeds: [777]"
    )
    runs = plan(path).runs
    assert len({run.name for run in runs}) == 64
    assert calls["load"] == 2
    assert calls["from_dotlist"] <= 15
    # the fields of the schema, of the files and of the runs, and the sweep file
    assert calls["merge"] <= 60


def _counted(calls, name, function, *arguments):
    calls[name] += 1
    return function(*arguments)


def test_configs_beside_the_sweep_file(sweep, tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: drawn_birds\nepochs: 3\n")
    (run,) = plan(sweep("configs: [mine.yaml]")).runs
    assert run.config.epochs == 3
    assert run.source == str(tmp_path / "mine.yaml")


def test_command_line_changes_the_sweep_or_every_run(sweep):
    path = sweep("""
        configs: [drawn_birds]
        seeds: [0, 1]
        set: {epochs: 5, data: {train: 80}}
        """)
    runs = plan(path, ["seeds=[4]", "out=elsewhere", "epochs=6", "data.root=a b"]).runs
    assert [run.config.seed for run in runs] == [4]
    assert runs[0].folder.parent == Path("elsewhere")
    assert (runs[0].config.epochs, runs[0].config.data) == (
        6,
        {"name": "drawn_birds", "train": 80, "root": "a b"},
    )


def test_a_part_of_a_section_may_vary(sweep):
    """The other way round, a common setting that the values give too would be lost: an error."""
    path = sweep("configs: [drawn_birds]\ngrid: {optimizer.lr: [1, 2]}\nset: {optimizer: {lr: 3}}")
    assert [run.config.optimizer["lr"] for run in plan(path).runs] == [1, 2]
    path = sweep("configs: [drawn_birds]\ngrid: {data: [{train: 80}]}")
    (run,) = plan(path, ["data.root=birds"]).runs
    assert (run.config.data["root"], run.config.data["train"]) == ("birds", 80)
    with pytest.raises(ValueError, match=r"data\.train is lost, because values of the section"):
        plan(path, ["data.train=40"])


def test_default_folder_is_named_after_the_file(tmp_path):
    path = tmp_path / "learning_rates.yaml"
    path.write_text("configs: [drawn_birds]\n")
    assert plan(path).out == Path("runs/learning_rates")


def test_references_are_those_of_each_run(sweep):
    """In ``set``, ``grid`` and ``draws``; elsewhere they are those of the sweep file."""
    path = sweep("""
        configs: [drawn_birds: {clip: [1]}]
        seeds: [3, 4]
        labels: training_groups_known
        grid: {data.root: ["birds-${seed}"]}
        draws: {count: 1, values: {share: {choice: ["${out}/${seed}"]}}}
        set: {cache_dir: "${out}/cache"}
        """)
    planned = plan(path, ["out=runs-${labels}"])
    assert planned.out == Path("runs-training_groups_known")
    found = [(run.config.data["root"], run.config.share) for run in planned.runs]
    assert found == [(f"birds-{seed}", f"{planned.out}/{seed}") for seed in (3, 4)]
    assert {run.config.cache_dir for run in planned.runs} == {f"{planned.out}/cache"}


def test_no_progress_bars_may_be_said(sweep):
    """It is what every run of a sweep is told, so that it changes no run."""
    (said,) = plan(sweep("configs: [drawn_birds]\nset: {progress: false}")).runs
    (unsaid,) = plan(sweep("configs: [drawn_birds]")).runs
    assert said == unsaid
    assert not said.config.progress


ERM = "configs: [drawn_birds]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [0]", "configs is empty. Give at least one"),
        ("configs: []", "configs is empty"),
        (ERM + "seed: [0]", "unknown key 'seed'; did you mean 'seeds'"),
        (ERM + "seeds: [a]", r"sweep.yaml: seeds\[0\] must be an integer; got 'a'"),
        (ERM + "seeds: 3", "seeds must be a list of integers; got 3"),
        ("configs: drawn_birds", "configs must be a list of values; got 'drawn_birds'"),
        (ERM + "draws: {count: [1]}", r"draws.count must be an integer; got \[1\]"),
        (ERM + "draws: {number: 3}", "unknown key 'draws.number'; valid: count, seed, values"),
        (ERM + "final_seeds: ${seed}", "final_seeds: Interpolation key 'seed' not found"),
        ("configs: [drawn_birds/er]", "drawn_birds/er: no config.*did you mean 'drawn_birds/"),
        (ERM + "grid: {epoch: [1]}", "drawn_birds: unknown key 'epoch'; did you mean"),
        (ERM + "grid: {epochs: 1}", "grid.epochs"),
        (ERM + "grid: {epochs: []}", "grid.epochs must be a list of values"),
        (ERM + "grid: {seed: [1]}", "seed cannot be set or varied for .* Use seeds"),
        (ERM + "set: {out: x}", "out cannot be set or varied for runs"),
        (
            ERM + "set: {progress: true}",
            "progress must be false .* write log files; got progress=True",
        ),
        (ERM + "grid: {progress: [false]}", r"progress must be false .* got progress=\[False\]"),
        (ERM + "grid: {epochs: [1]}\nset: {epochs: 2}", "epochs occurs in two of set, grid"),
        (
            ERM + "grid: {optimizer: [{lr: 2}]}\nset: {optimizer.lr: 1}",
            "optimizer.lr is lost, because values of the section optimizer give it too. Keep it",
        ),
        (ERM + "draws: {count: 2}", "draws needs values and a count of at least 1; got count=2"),
        (ERM + "draws: {values: {epochs: {choice: [1]}}}", "draws needs values and a count"),
        (
            "configs: [{drawn_birds: 3}]",
            "an entry of configs must be NAME, or NAME: .* got {'drawn_birds': 3}",
        ),
        ("configs: [", "is not valid YAML"),
        ("- a", "must hold keys and values"),
    ],
)
def test_mistakes(text, message, tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        plan(path)


def test_no_such_file(tmp_path):
    with pytest.raises(ValueError, match="no sweep file"):
        plan(tmp_path / "sweep.yaml")
    (tmp_path / "sweep.yaml").write_text("configs: [drawn_birds]")
    with pytest.raises(ValueError, match="override 'epochs' must be key=value"):
        plan(tmp_path / "sweep.yaml", ["epochs"])


@pytest.mark.parametrize("override", ["epochs=[[", "seeds=[[", "grid.epochs=[["])
def test_values_that_cannot_be_read(override, tmp_path):
    (tmp_path / "sweep.yaml").write_text("configs: [drawn_birds]")
    with pytest.raises(ValueError, match=r"override .*\[\[ cannot be read"):
        plan(tmp_path / "sweep.yaml", [override])
