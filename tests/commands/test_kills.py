"""SIGKILL at chosen moments: the same command goes on, and the run ends as if undisturbed."""

import signal

import pytest

from tests.commands.conftest import GROUP_DRO, SMALL
from tests.commands.kill_at_moments import Disturbed

#: Ends of changes before which a run is killed: the folder gets its name; the last checkpoint
#: leaves its place, and the new one takes it; a page is there, and then the report; and what comes
#: after that.
MOMENTS = (
    "/config.yaml",
    "/previous.ckpt",
    "/last.ckpt",
    "/epoch=000.ckpt",
    "/report.html",
    "/report.json",
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_while_it_writes_ends_the_same(tmp_path):
    runs = Disturbed(tmp_path, "drawn_birds", *GROUP_DRO, *SMALL, "epochs=2")
    changes = runs.moments()
    renamed = [place for place, change in enumerate(changes) if change.startswith("os.rename")]
    folder = next(place for place in renamed if "/" not in changes[place])
    chosen = [
        folder,
        *(next(place for place in renamed if changes[place].endswith(end)) for end in MOMENTS),
    ]
    chosen.append(renamed[-1] + 1)
    for number, moment in enumerate(chosen):
        name = f"killed{number}"
        assert runs.train(name, killed_before=moment) == -signal.SIGKILL
        assert runs.train(name) == 0, (tmp_path / name / "printed.txt").read_text()
        assert runs.fault(name) == "", changes[moment]
