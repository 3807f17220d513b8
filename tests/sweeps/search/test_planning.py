"""A sweep file with a search: space to settings, settings to runs, every mistake in one line."""

import pytest
from optuna.trial import FixedTrial

from debias import config as configs
from debias.commands.sweep_search import prepare_search
from debias.sweeps.draws import draw
from debias.sweeps.plan import plan
from debias.sweeps.search.planning import plan_search
from debias.sweeps.search.space import check_space, ends, points, readable, suggest

SPACE = {"optimizer.lr": {"log_uniform": [0.001, 0.1]}, "clip": {"choice": [None, 1.0, 5.0]}}
LR = "space: {optimizer.lr: {log_uniform: [0.001, 0.1]}}, trials: 4"


def test_random_settings_are_the_draws_of_a_sweep():
    assert points(SPACE, "random", 3, 7) == draw(3, seed=7, values=SPACE)
    assert points(SPACE, "random", 5, 7)[:3] == points(SPACE, "random", 3, 7)
    assert points(SPACE, "tpe", 3, 7) is None


def test_grid_by_hand():
    space = {"clip": {"choice": [None, 1]}, "epochs": {"choice": [3, 4]}}
    found = [(point["clip"], point["epochs"]) for point in points(space, "grid", 0, 0)]
    assert found == [(None, 3), (None, 4), (1, 3), (1, 4)]


def test_ends_hold_every_choice_and_every_bound():
    """Two bounds with a number between them, and three choices: three settings."""
    found = [(setting["optimizer.lr"], setting["clip"]) for setting in ends(SPACE)]
    assert found == [(0.001, None), (0.1, 1.0), (0.06218, 5.0)]


def test_numbers_are_shortened_and_stay_in_bounds():
    assert readable({"clip": 5.0, "optimizer.lr": 0.0123456}, SPACE) == {
        "optimizer.lr": 0.01235,
        "clip": 5.0,
    }
    assert readable({"a": 1.00001}, {"a": {"uniform": [1.00001, 2]}}) == {"a": 1.00001}


CONDITIONAL = {
    "strategy.strength": {"choice": [0.1, 1.0], "when": {"strategy.name": ["mmd", "coral"]}},
    "strategy.name": {"choice": ["erm", "mmd", "coral"]},
    "strategy.warmup": {"uniform": [0, 9], "when": {"strategy.name": "mmd"}},
}


def space_of(*keys: str) -> dict:
    return {key: CONDITIONAL[key] for key in keys}


def test_a_grid_leaves_out_what_does_not_exist():
    """ERM once, without the strength; the order is that of the product."""
    found = points(space_of("strategy.strength", "strategy.name"), "grid", 0, 0)
    assert found == [
        {"strategy.name": "erm"},
        {"strategy.strength": 0.1, "strategy.name": "mmd"},
        {"strategy.strength": 0.1, "strategy.name": "coral"},
        {"strategy.strength": 1.0, "strategy.name": "mmd"},
        {"strategy.strength": 1.0, "strategy.name": "coral"},
    ]


def test_random_settings_leave_out_what_does_not_exist():
    space = space_of("strategy.strength", "strategy.name")
    found = points(space, "random", 20, 3)
    assert all(("strategy.strength" in one) == (one["strategy.name"] != "erm") for one in found)
    assert {len(one) for one in found} == {1, 2}


def test_optuna_proposes_a_key_only_if_its_condition_holds():
    space = space_of("strategy.strength", "strategy.name")
    for name, expected in (("erm", ["strategy.name"]), ("mmd", list(space))):
        fixed = {"strategy.name": name, "strategy.strength": 1.0}
        found = suggest(FixedTrial(fixed), space)
        assert sorted(found) == sorted(expected)
        assert list(readable(found, space)) == expected
    assert readable({"strategy.name": "mmd"}, space) == {}  # killed while it was proposed
    assert readable({"strategy.strength": 1.0}, space) == {}


def test_ends_hold_each_value_beside_its_condition():
    found = list(ends(space_of("strategy.strength", "strategy.name")))
    pairs = {(one["strategy.name"], one.get("strategy.strength")) for one in found}
    every = {(name, strength) for name in ("mmd", "coral") for strength in (0.1, 1.0)}
    assert pairs == {("erm", None), *every}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("mmd", r"strength\.when must be \{key: value\}; got 'mmd'"),
        ({"strategy.nam": "mmd"}, r"must name another key of the space that has a choice"),
        ({"strategy.strength": 1.0}, r"must name another key .* got strategy.strength"),
        ({"strategy.warmup": 1}, r"must name another key .* got strategy.warmup"),
        ({"strategy.name": []}, r"when.strategy.name must name at least one value; got \[\]"),
        ({"strategy.name": "irm"}, r"when.strategy.name must be one of \['erm', 'mmd', 'coral'\]"),
    ],
)
def test_mistakes_of_conditions(condition, message):
    own = {"strategy.strength": {"choice": [1.0], "when": condition}}
    with pytest.raises(ValueError, match=message):
        check_space(CONDITIONAL | own, "tpe")


def test_a_condition_names_no_key_with_a_condition():
    own = {"sampler.name": {"choice": ["shuffled"], "when": {"strategy.strength": 0.1}}}
    with pytest.raises(ValueError, match=r"no condition; got strategy\.strength"):
        check_space(CONDITIONAL | own, "tpe")


def test_a_config_keeps_its_own_places(search_file, tmp_path):
    (tmp_path / "own.yaml").write_text("extends: drawn_birds\ncache_dir: fast\nshare: kept\n")
    path = search_file(f"{{{LR}}}", configs="[own.yaml, drawn_birds]")
    own, other = [planned.config for planned in plan_search(path).check_runs()[::3]]
    assert (own.cache_dir, own.share) == ("fast", "kept")
    assert (other.cache_dir, other.share) == (f"{tmp_path}/runs/cache", f"{tmp_path}/runs/shared")


def test_a_config_twice_is_refused(search_file):
    path = search_file(f"{{{LR}}}", configs="[drawn_birds, {drawn_birds: {clip: {choice: [1]}}}]")
    with pytest.raises(ValueError, match="each config once; got drawn_birds twice"):
        plan_search(path)


def test_a_number_between_the_bounds_of_an_integer_option_is_refused(search_file):
    path = search_file("{space: {batch_size: {uniform: [16, 128]}}, trials: 3}")
    with pytest.raises(ValueError, match=r"batch_size must be an integer; got 85\.22"):
        prepare_search(str(path), [])


def test_backbones_and_conditional_options_are_searched(search_file):
    """Strength is an option of CORAL only, and pooling one of every network: all ends are valid."""
    space = (
        "{model.name: {choice: [test_resnet, test_vit]}, model.pooling: {choice: [null, max]}, "
        "strategy.name: {choice: [erm, coral]}, "
        "strategy.strength: {log_uniform: [0.1, 10], when: {strategy.name: coral}}}"
    )
    labels = "training_groups_known"
    path = search_file(f"{{trials: 3, space: {space}}}", labels=labels)
    planned, _ = prepare_search(str(path), [])
    models = {run.config.model["name"] for run in planned.check_runs()}
    assert models == {"test_resnet", "test_vit"}
    strengths = {run.config.strategy.get("strength") for run in planned.check_runs()}
    assert strengths == {None, 0.1, 6.218, 10}
    without = space.replace(", when: {strategy.name: coral}", "")
    with pytest.raises(ValueError, match=r"unknown option strategy\.strength"):
        prepare_search(str(search_file(f"{{trials: 3, space: {without}}}", labels=labels)), [])


def test_the_first_check_comes_before_the_last_epoch(search_file):
    """Without a pruner there is no check, and one epoch has none with the default."""
    path = str(search_file(f"{{{LR}, prune: asha, min_epochs: 2}}"))
    with pytest.raises(
        ValueError,
        match=r"min_epochs must be below the 2 epochs of drawn_birds; got 2\. Set fewer, or search",
    ):
        prepare_search(path, [])
    for allowed in (["search.prune=none"], ["epochs=3"], ["search.min_epochs=null", "epochs=1"]):
        prepare_search(path, allowed)


def test_runs_of_a_trial(search_file):
    """One per search seed, each the run that ``debias train`` makes in the trials' folder."""
    path = search_file(f"{{{LR}}}", seeds="[0, 1]")
    (tuned,) = plan_search(path, ["batch_size=16"]).tuned
    runs = tuned.runs({"optimizer.lr": 0.02})
    folder = path.parent / "runs" / "trials"
    for seed, run in enumerate(runs):
        told = ["epochs=2", "batch_size=16", "optimizer.lr=0.02", f"seed={seed}"]
        assert run.folder == folder / configs.run_name(configs.load("drawn_birds", told))
        assert run.config.cache_dir == str(path.parent / "runs" / "cache")


def test_final_runs(search_file):
    path = search_file(f"{{{LR}}}")
    planned = plan_search(path, ["trials=9"])
    (tuned,) = planned.tuned
    finals = planned.finals([(tuned, {"optimizer.lr": 0.02}), (tuned, {"optimizer.lr": 0.03})])
    found = [
        (run.config.seed, run.config.optimizer["lr"], run.folder.parent) for run in finals.runs
    ]
    out = path.parent / "runs"
    assert found == [(10, 0.02, out), (10, 0.03, out), (11, 0.02, out), (11, 0.03, out)]
    assert planned.protocol.trials == 9
    assert planned.protocol.final_seeds == (10, 11)


def test_a_config_may_have_a_space_of_its_own(search_file):
    own = "{strategy.strength: {choice: [0.1, 1.0]}}"
    path = search_file(
        "{sampler: grid, space: {clip: {choice: [null, 1]}}}",
        configs=f"[drawn_birds, drawn_birds/coral: {own}]",
        labels="training_groups_known",
    )
    planned = plan_search(path)
    assert [list(tuned.space) for tuned in planned.tuned] == [
        ["clip"],
        ["clip", "strategy.strength"],
    ]
    assert [planned.trials(tuned) for tuned in planned.tuned] == [2, 4]


def test_what_belongs_to_a_study(search_file):
    """More trials may be asked for; another space, seed or setting is another search."""
    path = search_file(f"{{{LR}}}")

    def definition(*overrides: str) -> str:
        planned = plan_search(path, overrides)
        return planned.definition(planned.tuned[0])

    same = [
        definition(),
        definition("trials=9"),
        definition("storage=sqlite:///a.db"),
        definition("workers=0"),
    ]
    other = [
        definition("search.seed=1"),
        definition("epochs=3"),
        definition("search.objectives=[average]"),
        definition("search.space.clip={choice: [1, 2]}"),
        definition("seeds=[1]"),
    ]
    assert len(set(same)) == 1
    assert len({same[0], *other}) == 6


@pytest.mark.parametrize(
    ("section", "more", "message"),
    [
        ("{trials: 3}", {}, r"search.space is empty"),
        (
            "{space: {optimizer.lr: {log_uniform: [0, 1]}}, trials: 3}",
            {},
            r"search.space.optimizer.lr: log_uniform ne",
        ),
        (
            "{space: {clip: {choice: [[1]]}}, trials: 3}",
            {},
            "search.space.clip: choice must have single values",
        ),
        ("{space: {clip: {choice: [1]}}}", {}, "search.trials must be at least 1; got None"),
        (
            "{space: {clip: {uniform: [1, 2]}}, sampler: grid}",
            {},
            r"search.space.clip must be choice: \[values\] for sampler=grid; got uniform",
        ),
        (
            "{space: {clip: {choice: [1]}}, sampler: grid, trials: 2}",
            {},
            "must be left out for sampler=grid, which tries every setting; got 2",
        ),
        (
            f"{{{LR}, sampler: tpo}}",
            {},
            "search.sampler must be one of tpe, random, grid; got 'tpo'",
        ),
        (
            f"{{{LR}, prune: median}}",
            {},
            "search.prune must be one of none, asha, hyperband; got 'median'",
        ),
        (f"{{{LR}, sampel: tpe}}", {}, "sampel"),
        (
            f"{{{LR}, prune: asha}}",
            {"seeds": "[0, 1]"},
            "search.prune=asha needs one search seed, and a number of epochs that is not searched",
        ),
        (
            f"{{{LR}, prune: asha}}",
            {"configs": "[drawn_birds: {epochs: {choice: [2, 4]}}]"},
            "search.prune=asha needs one search seed, and a number of epochs that is not searched",
        ),
        (
            f"{{{LR}, prune: hyperband, objectives: [average, worst_group]}}",
            {},
            r"search.prune=hyperband needs one objective; got .* Use search.prune=asha",
        ),
        (f"{{{LR}, factor: 1}}", {}, "search.factor must be at least 2; got 1"),
        (f"{{{LR}, min_epochs: 0}}", {}, "search.min_epochs must be at least 1; got 0"),
        (
            f"{{{LR}, objectives: [test_average]}}",
            {},
            "validation metrics; got test_average",
        ),
        (
            f"{{{LR}}}",
            {"labels": "validation_groups_unknown"},
            "worst_group reads group labels of validation",
        ),
        (
            f"{{{LR}}}",
            {"labels": ""},
            r"labels is missing\. Declare which group labels the search may use: validation_",
        ),
        (f"{{{LR}}}", {"final_seeds": "[]"}, "final_seeds must be one or more seeds"),
        (
            f"{{{LR}}}",
            {"final_seeds": "[0, 10]"},
            r"none of them among the search seeds \[0\].*got \[0, 10\]",
        ),
        (f"{{{LR}}}", {"grid": "{clip: [1]}"}, "search.space in place of grid and draws"),
        (
            f"{{{LR}}}",
            {"set": "{optimizer: {lr: 1}, optimizer.lr: 2}"},
            "optimizer.lr occurs in two of set, grid",
        ),
        ("{space: {seed: {choice: [1]}}, trials: 3}", {}, "seed cannot be set or varied for runs"),
    ],
)
def test_mistakes(section, more, message, search_file):
    with pytest.raises(ValueError, match=message):
        plan_search(search_file(section, **more))


def test_the_other_command(search_file, sweep):
    with pytest.raises(
        ValueError, match=r"describes a search, not a list of runs\. Use `debias sweep search"
    ):
        plan(search_file(f"{{{LR}}}"))
    with pytest.raises(
        ValueError, match=r"has no search section\. Add one, or use `debias sweep run`"
    ):
        plan_search(sweep("configs: [drawn_birds]"))
