"""Sweep files, searches, reports of sweeps, comparisons and reproductions."""

from tests.commands.bad_inputs.case import SEARCH, SWEEP, rows

PLAN = "sweep plan sweep.yaml"


def sweep(more: str) -> dict[str, str]:
    """The sweep with more lines."""
    return {"sweep.yaml": SWEEP + more + "\n"}


def search(old: str, new: str) -> dict[str, str]:
    """The search with another text in place of one."""
    assert old in SEARCH
    return {"search.yaml": SEARCH.replace(old, new)}


SWEEPS = rows(
    "sweep files",
    [
        ("sweep plan nowhere.yaml", "no sweep file nowhere.yaml"),
        ("sweep plan images", "no sweep file images"),
        (PLAN, "configs is empty", {"sweep.yaml": ""}),
        (PLAN, "not valid YAML", {"sweep.yaml": "configs: [a"}),
        (PLAN, "not valid YAML", {"sweep.yaml": b"\xff\xfe"}),
        (PLAN, "must hold keys and values", {"sweep.yaml": "[a]"}),
        (PLAN, "seeds is empty", {"sweep.yaml": "configs: [own.yaml]\nseeds: []\n"}),
        (PLAN, "sweep.yaml: configs", {"sweep.yaml": "configs: own.yaml\n"}),
        (PLAN, "an entry of configs must be NAME", {"sweep.yaml": "configs: [3]\n"}),
        (PLAN, "no config 'nosuch'", {"sweep.yaml": "configs: [nosuch]\n"}),
        (PLAN, "an entry of configs must be NAME", {"sweep.yaml": "configs: [{own.yaml: 3}]\n"}),
        (PLAN, "seeds", {"sweep.yaml": "configs: [own.yaml]\nseeds: [a]\n"}),
        (PLAN, "seeds", {"sweep.yaml": "configs: [own.yaml]\nseeds: 3\n"}),
        (PLAN, "unknown key 'sed'", sweep("sed: [1]")),
        (PLAN, "oc.env", sweep("set: {data.root: '${oc.env:HOME}'}")),
        (PLAN, "seed must be at least 0", {"sweep.yaml": "configs: [own.yaml]\nseeds: [-1]\n"}),
        (
            PLAN,
            "grid.optimizer.lr must be a list of values, as in optimizer.lr: [1]; got 1",
            sweep("grid: {optimizer.lr: 1}"),
        ),
        (
            PLAN,
            "own.yaml: strategy.name must be a list of values, as in strategy.name: [group_dro]; "
            "got 'group_dro'",
            {"sweep.yaml": "configs: [{own.yaml: {strategy.name: group_dro}}]\n"},
        ),
        (PLAN, "grid.optimizer.lr must be a list", sweep("grid: {optimizer.lr: []}")),
        (PLAN, "unknown key 'optimiser'", sweep("grid: {optimiser.lr: [1]}")),
        (PLAN, "optimizer.lr", sweep("grid: {optimizer.lr: [fast]}")),
        (PLAN, "strategy.name must be one name", sweep("grid: {strategy.name: [[erm, lff]]}")),
        (PLAN, "seed cannot be set or varied for runs", sweep("grid: {seed: [1]}")),
        (PLAN, "epochs occurs in two of set, grid", sweep("grid: {epochs: [1]}\nset: {epochs: 2}")),
        (PLAN, "draws needs values and a count", sweep("draws: {count: 2}")),
        (
            PLAN,
            "unknown distribution",
            sweep("draws: {count: 2, values: {optimizer.lr: {normal: [0, 1]}}}"),
        ),
        (PLAN, "two numbers", sweep("draws: {count: 2, values: {optimizer.lr: {uniform: [1]}}}")),
        (
            PLAN,
            "two positive numbers",
            sweep("draws: {count: 2, values: {optimizer.lr: {log_uniform: [0, 1]}}}"),
        ),
        (PLAN, "must name one distribution", sweep("draws: {count: 2, values: {optimizer.lr: 3}}")),
        (PLAN, "unknown protocol", sweep("labels: none_known")),
        (PLAN, "describes a search, not a list of runs", sweep("final_seeds: [1]")),
        (PLAN, "devices must be 1 in a sweep; got devices=2", sweep("set: {devices: 2}")),
        (PLAN, "nodes must be 1 in a sweep; got nodes=2", sweep("set: {nodes: 2}")),
        (PLAN + " epochs", "must be key=value"),
        (PLAN + " launcher=cloud", "unknown launcher 'cloud'"),
        (PLAN + " launcher=local workers=two", "launcher.workers"),
        (PLAN + " seeds=x", "seeds"),
        ("sweep run sweep.yaml", "control character", sweep('set: {data.root: "\\e[31m"}')),
        (
            "sweep run sweep.yaml",
            "data.root=gone does not exist",
            sweep("set: {data.name: folder, data.root: gone}"),
        ),
    ],
)
SEARCHES = rows(
    "searches",
    [
        ("sweep search nowhere.yaml", "no sweep file nowhere.yaml"),
        ("sweep search sweep.yaml", "has no search section"),
        ("sweep search search.yaml trials=0", "search.trials must be at least 1"),
        ("sweep search search.yaml trials=many", "search.trials"),
        ("sweep search search.yaml minutes=10", "a search takes no minutes="),
        (
            "sweep search search.yaml data.name=folder data.root=gone",
            "data.root=gone does not exist",
        ),
        ("sweep search search.yaml launcher=slurm partition=p", "a search needs launcher=local"),
        ("sweep search search.yaml storage=nosuch://x", "storage"),
        ("sweep search search.yaml storage=sqlite:////nowhere/x.db", "storage"),
        ("sweep search search.yaml storage=text", "storage"),
        (
            "sweep search search.yaml",
            "labels is missing",
            search("labels: training_groups_known\n", ""),
        ),
        ("sweep search search.yaml", "unknown protocol", search("training_groups_known", "known")),
        ("sweep search search.yaml", "final_seeds must be one or more seeds", search("[5]", "[0]")),
        ("sweep search search.yaml", "final_seeds must be one or more seeds", search("[5]", "[]")),
        ("sweep search search.yaml", "unknown distribution", search("log_uniform", "log_normal")),
        ("sweep search search.yaml", "two positive numbers", search("[1e-4, 1e-2]", "[-1, 1]")),
        (
            "sweep search search.yaml",
            "search.space is empty",
            search("optimizer.lr: {log_uniform: [1e-4, 1e-2]}", ""),
        ),
        (
            "sweep search search.yaml",
            "search.sampler must be one of",
            search("trials: 2", "trials: 2, sampler: bayes"),
        ),
        (
            "sweep search search.yaml",
            "search.prune must be one of",
            search("trials: 2", "trials: 2, prune: early"),
        ),
        (
            "sweep search search.yaml",
            "objective",
            search("trials: 2", "trials: 2, objectives: [nosuch]"),
        ),
        ("sweep search search.yaml", "objective", search("trials: 2", "trials: 2, objectives: []")),
        (
            "sweep search search.yaml",
            "Key 'nosuch' not in 'Search'",
            search("trials: 2", "trials: 2, nosuch: 1"),
        ),
        (
            "sweep search search.yaml",
            "must be left out for sampler=grid, which tries every setting",
            search("trials: 2", "trials: 2, sampler: grid"),
        ),
        (
            "sweep search search.yaml",
            "table.csv: File exists",
            search("out: sweep", "out: table.csv"),
        ),
    ],
)
REPORTS = rows(
    "tables of runs",
    [
        ("compare nowhere", "no folder nowhere"),
        ("compare table.csv", "no folder table.csv"),
        ("compare run --measure fairness", "must be family:key"),
        ("compare run --measure fairness:nosuch", "no run has the measure 'fairness:nosuch'"),
        ("sweep report nowhere", "nowhere contains no sweep"),
        ("sweep report images", "images contains no sweep"),
        ("sweep report s", "s/plan.json", {"s/plan.json": ""}),
        ("sweep report s", "s/plan.json", {"s/plan.json": "{"}),
        ("sweep report s", "s/plan.json", {"s/plan.json": "3"}),
        ("sweep report s", "s/plan.json", {"s/plan.json": '[{"nam": 1}]'}),
        ("sweep report s", "s/plan.json", {"s/plan.json": "[1, 2]"}),
        ("sweep report s", "s/plan.json", {"s/plan.json": b"\xff\xfe"}),
        ("sweep report s", "s/protocol.json", {"s/plan.json": "[]", "s/protocol.json": "{"}),
        (
            "sweep report s",
            "s/protocol.json",
            {"s/plan.json": "[]", "s/protocol.json": '{"labels": "x"}'},
        ),
        ("sweep report s format=word", "format=word is unknown", {"s/plan.json": "[]"}),
        ("sweep report s fromat=csv", "format= and out="),
        ("reproduce waterbirds seeds=x", "seeds=x"),
        ("reproduce waterbirds seeds=[]", "seeds=[]"),
        ("reproduce waterbirds seeds=[a]", "seeds=['a']"),
        ("reproduce waterbirds epochs", "must be key=value"),
        ("reproduce waterbirds nosuch=1", "unknown key 'nosuch'"),
        (
            "reproduce waterbirds workers=0 data.root=images --strategies jtt",
            "workers must be at least 1",
        ),
        ("reproduce waterbirds launcher=cloud", "unknown launcher"),
        ("reproduce waterbirds minutes=0", "minutes must be positive"),
        ("reproduce waterbirds images_per_second=2000", "is for an estimate: add --dry-run"),
        ("reproduce waterbirds --dry-run images_per_second=fast", "must be a number; got fast"),
        ("reproduce waterbirds --dry-run images_per_second=-1", "must be positive"),
        ("reproduce waterbirds seed=1", "seed cannot be set"),
        ("reproduce celeba --dry-run epochs=x", "epochs"),
    ],
)
