"""``debias sweep search`` with real training on drawn birds."""

import csv

import pytest

from debias.__main__ import main
from debias.commands.train import train
from debias.sweeps.launchers.worker import Pruned
from debias.sweeps.plan import plan
from tests.commands.conftest import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def small(tmp_path) -> list[str]:
    kept = [text for text in SMALL if not text.startswith(("progress", "epochs"))]
    return [*kept, f"data.root={tmp_path}/birds"]


def test_from_the_file_to_the_table(search_file, small, capsys):
    """Two settings, a seed to choose on, one to report; the table has the protocol and one run."""
    path = search_file(
        "{sampler: grid, space: {optimizer.lr: {choice: [0.001, 0.01]}}}",
        set="{epochs: 1}",
        final_seeds="[10]",
    )
    assert main(["sweep", "search", str(path), *small, "threads=1", "workers=1"]) == 0
    printed = capsys.readouterr().out
    assert "drawn_birds: 2 trials: 2 done\n  chosen: trial " in printed
    out = path.parent / "runs"
    assert len(list((out / "trials").glob("*/report.json"))) == 2
    (run,) = out.glob("*/report.json")
    assert "-seed10-" in run.parent.name
    with (out / "trials.csv").open() as file:
        values = [float(row["worst_group"]) for row in csv.DictReader(file)]
    assert f"worst_group {100 * max(values):.1f} on validation" in printed
    assert main(["sweep", "report", str(out)]) == 0
    report = capsys.readouterr().out
    assert "Protocol validation_groups_known: " in report
    assert (
        "A search tried 2 settings per config (seeds 0) and chose by worst_group on validation. "
        "The tables report new seeds (10)." in report
    )
    assert "| erm | val | 10 |" in report
    assert main(["sweep", "search", str(path), *small, "search.seed=1"]) == 2
    assert "was started with another search" in capsys.readouterr().err


def test_a_run_that_is_ended_after_an_epoch(sweep, small):
    """History is seen once the checkpoint is there; there is no report, the run can be resumed."""
    (run,) = plan(sweep("configs: [drawn_birds]\nset: {epochs: 2}"), small).runs
    seen = []

    def watch(history) -> None:
        seen.append([entry["epoch"] for entry in history])
        assert (run.folder / "checkpoints" / "last.ckpt").is_file()
        if len(history) == 1:
            raise Pruned("behind")

    with pytest.raises(Pruned, match="behind"):
        train(run.config, watch=watch)
    assert not (run.folder / "report.json").exists()
    train(run.config, resume=run.folder, watch=watch)
    assert seen == [[0], [0, 1]]
    assert (run.folder / "report.json").is_file()
