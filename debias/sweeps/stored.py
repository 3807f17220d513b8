"""A sweep on object storage: what other machines have finished, and the files beside the runs."""

from collections.abc import Callable, Collection
from contextlib import suppress

from filelock import FileLock

from debias.places import run_held
from debias.storage.copies import Copy
from debias.storage.leases import HeldError
from debias.storage.results import is_small
from debias.storage.runs import REPORT, StoredRun
from debias.storage.urls import copies_folder, opened, told_errors
from debias.sweeps.files import PLAN, left
from debias.sweeps.plan import Plan
from debias.sweeps.protocol import FILE as PROTOCOL


def bring_results(plan: Plan) -> None:
    """Bring the results of runs that other machines have finished, and send runs not yet sent.

    Only the small files of these runs are brought. The local copy of a run that is not finished is
    brought when the run starts. For a sweep on a disk, this does nothing.

    Raises:
        ValueError: the storage cannot be read or written.
    """
    if plan.url is None:
        return
    send_finished(plan)
    cache_dir = plan.runs[0].config.cache_dir
    copy = Copy(opened("out", plan.url), plan.out, copies_folder("out", plan.url, cache_dir))
    copy.lock.parent.mkdir(parents=True, exist_ok=True)
    unfinished = {run.name for run in left(plan.runs)}
    with FileLock(copy.lock), told_errors("out", plan.url):
        copy.pull(_of(unfinished, lambda name: name.endswith(f"/{REPORT}")), live=True)
        copy.pull(_of(unfinished - {run.name for run in left(plan.runs)}, is_small))


def send_finished(plan: Plan) -> None:
    """Send finished runs whose last files could not be sent, unless another process trains them.

    For a sweep on a disk, this does nothing.

    Raises:
        ValueError: the storage cannot be read or written.
    """
    if plan.url is None:
        return
    for run in plan.runs:
        if (run.folder / REPORT).is_file():
            stored = StoredRun(plan.url, run.name, run.config.cache_dir)
            if stored.unsent.is_file():
                with suppress(HeldError), run_held(run.config):
                    pass


def _of(runs: Collection[str], wanted: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda name: name.partition("/")[0] in runs and wanted(name)


def send_plan(plan: Plan) -> None:
    """Send the plan and the protocol of a sweep, or remove the protocol of an earlier command.

    For a sweep on a disk, this does nothing.

    Raises:
        ValueError: the storage cannot be written.
    """
    if plan.url is None:
        return
    place = opened("out", plan.url)
    with told_errors("out", plan.url):
        place.files.put_file(str(plan.out / PLAN), place.below(PLAN))
        if (plan.out / PROTOCOL).is_file():
            place.files.put_file(str(plan.out / PROTOCOL), place.below(PROTOCOL))
        else:
            with suppress(FileNotFoundError):
                place.files.rm_file(place.below(PROTOCOL))
