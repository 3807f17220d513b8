"""The launcher for Ray, on a cluster of two nodes on this machine; needs the package."""

import threading
import time

import pytest

from debias.sweeps.files import files_of, left
from debias.sweeps.launchers.ray import Ray
from debias.sweeps.plan import plan
from tests.sweeps import trainings
from tests.sweeps.launchers.launching import assert_every_run_once, printed_lines, stop_two

utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # of the package itself, when processes of a cluster end
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster():
    """A head that computes nothing, and two nodes with one CPU each."""
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = utils.Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def address(cluster):
    return cluster.address


@pytest.fixture
def runs(sweep):
    return plan(sweep("configs: [drawn_birds]\nseeds: [0, 1, 2]")).runs


def launched(runs, train, **options) -> list[str]:
    return printed_lines(Ray(**options), runs, train)


def test_every_run_once(runs, address):
    assert_every_run_once(launched(runs, trainings.quick, address=address), runs)


def test_a_failing_run_is_tried_again_and_a_refused_one_is_not(runs, address):
    launched(runs, trainings.seed_one_fails, address=address)
    assert files_of(runs[1]).reason() == "OSError: [Errno 28] No space left on device"
    assert trainings.attempts(runs[1].config) == 2
    launched(runs, trainings.seed_one_is_refused, address=address)
    assert trainings.attempts(runs[1].config) == 3
    assert left(runs) == [runs[1]]


def test_ctrl_c_leaves_no_process(runs, address):
    stop_two(runs)
    with pytest.raises(KeyboardInterrupt):
        launched(runs, trainings.endless, address=address)
    for _ in range(500):
        if not any(files_of(run).locked() for run in runs):
            break
        time.sleep(0.02)
    assert [files_of(run).status() for run in runs] == ["interrupted", "interrupted", "waiting"]


def test_a_lost_node(runs, cluster):
    """Its run had a checkpoint: it continues on the node that is left, and has not failed."""
    file = runs[0].folder / "node.txt"

    def lose() -> None:
        while not (file.is_file() and file.read_text()):
            time.sleep(0.02)
        nodes = {each.all_processes["raylet"][0].process.pid: each for each in cluster.worker_nodes}
        cluster.remove_node(nodes[int(file.read_text())], allow_graceful=False)

    threading.Thread(target=lose).start()
    lines = launched(
        runs,
        trainings.seed_zero_waits_for_the_end_of_its_node,
        address=cluster.address,
        parallel=1,
        retries=0,
    )
    (stopped,) = (line for line in lines if line.startswith("stopped"))
    assert stopped.startswith("stopped drawn_birds seed=0: Ray lost the task: ")
    assert not any(line.startswith("failed") for line in lines)
    assert (runs[0].folder / "attempts.txt").read_text() == "begun\nresumed\n"
    assert left(runs) == []
