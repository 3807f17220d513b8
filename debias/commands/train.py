"""``debias train``: train one run, evaluate it, and write its report."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias import components
from debias import config as configs
from debias.commands.begin import (
    CIRCUMSTANCES,
    DATA,
    as_json,
    check_unbegun,
    claim,
    describe_data,
    is_helper_process,
)
from debias.commands.stopping import end_with_parent, ended_by_signals
from debias.config import Config
from debias.errors import InputError, shortened, shown
from debias.files import remove_unfinished, write_atomically
from debias.json_files import read_json
from debias.merging import taken

if TYPE_CHECKING:
    from debias.data.examples import Examples
    from debias.runs.run import Recipe
    from debias.training.recorder import Watch

AUTO = "auto"
TRAINED_NOW = "is being trained by another process: wait for it, or stop it first"


def run(config: str, overrides: list[str]) -> None:
    """Train a config; ``resume=RUN`` among the overrides goes on with an interrupted run.

    ``resume=auto`` goes on with the config's own run where it was interrupted, and does nothing
    where it is finished. SIGINT (Ctrl-C) and SIGTERM end the process at once, with the command that
    goes on.

    Raises:
        ValueError: something is wrong with the config, the data or the run's folder.
    """
    resume, others = taken(overrides, "resume", None)
    again = shlex.join(["debias", "train", config, *others, f"resume={resume or AUTO}"])
    if is_helper_process():
        end_with_parent()
    with ended_by_signals("" if is_helper_process() else f"resume with `{again}`"):
        chosen = configs.load(config, others)
        folder = None if resume is None else _run_to_resume(chosen, resume)
        if not (resume == AUTO and folder and (folder / "report.json").is_file()):
            folder = train(chosen, resume=folder, alone=locked)
        if not is_helper_process():
            _print_result(folder)


def train(
    config: Config,
    *,
    resume: Path | None = None,
    watch: Watch | None = None,
    alone: Callable[[Path], AbstractContextManager[None]] | None = None,
) -> Path:
    """Train, evaluate and report one run; an interrupted run goes on from its last checkpoint.

    Args:
        config: what to train.
        resume: folder of the interrupted run.
        watch: looks at the history after each epoch of the last stage; the run ends if it raises.
        alone: is held while the run's folder is written to.

    Returns:
        The run's folder.

    Raises:
        ValueError: something is wrong with the config, the data or the folder; nothing has been
            trained then.
    """
    from debias.runs.description import circumstances, describe
    from debias.runs.outcome import finish
    from debias.runs.run import Run

    folder = resume or Path(config.out) / configs.run_name(config)
    check_folder(folder, config, resuming=resume is not None)
    recipe: Recipe = components.construct("recipe", config.recipe, {})
    run = Run(config, folder, watch=watch)
    parts = run.check(recipe)
    description = describe(parts, _as_begun(config, folder) if resume else config, recipe)
    parts.data.decode()
    with alone(folder) if alone else nullcontext():
        check_folder(folder, config, resuming=resume is not None)
        now = circumstances(parts)
        if resume is None:
            claim(folder, config, parts.examples, now)
        else:
            description |= resume_in(folder, parts.examples, now)
        finish(recipe.train(run), run, description)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder against other processes, by the lock that the workers of a sweep take.

    Raises:
        ValueError: another process holds it.
    """
    from filelock import Timeout

    from debias.sweeps.files import Files

    if is_helper_process():
        yield
        return
    lock = Files(folder.parent, folder.name).lock()
    try:
        # a sweep's command holds it for a moment, and loader processes of a killed run for 5 s
        lock.acquire(timeout=8)
    except Timeout:
        raise InputError(f"{folder} {TRAINED_NOW}") from None
    try:
        yield
    finally:
        lock.release()


def check_folder(folder: Path, config: Config, *, resuming: bool) -> None:
    """Refuse a folder of another run, of a finished one, or of one that is not to be resumed.

    Raises:
        ValueError: as above; the message says what to do.
    """
    from debias.reports.run_folder import page_of

    if is_helper_process():
        return
    if (folder / "report.json").is_file():
        raise InputError(f"{folder} is finished: read {page_of(folder)}, or train another seed")
    if resuming:
        _check_same(folder, config)
    elif folder.exists():
        from debias.sweeps.files import Files

        if Files(folder.parent, folder.name).locked():
            raise InputError(f"{folder} {TRAINED_NOW}")
        if (folder / "config.yaml").is_file():
            raise InputError(
                f"{folder} holds an interrupted run: add resume={folder}, or delete the folder"
            )
        check_unbegun(folder)


def resume_in(folder: Path, examples: Examples, now: dict[str, Any]) -> dict[str, Any]:
    """Prepare an interrupted run's folder: check its data, and note new circumstances.

    Args:
        folder: of the run.
        examples: its data.
        now: this process's :func:`debias.runs.description.circumstances`.

    Returns:
        What the report says of it: all of them, in order, where there were several.

    Raises:
        ValueError: the run was begun with other rows or labels, or at another precision.
    """
    if is_helper_process():
        return {}
    remove_unfinished(folder)
    _check_same_data(folder / DATA, describe_data(examples))
    every = _circumstances(folder)
    if not every and any(
        folder.rglob("*.ckpt")
    ):  # of before they were written down: where it was begun is not known
        return {}
    if every and (begun := every[-1]["precision"]) != now["precision"]:
        raise InputError(
            f"cannot resume {folder} at precision {now['precision']}, to which precision=auto "
            f"comes here: it was begun at {begun}; add precision={begun} beside resume={folder}"
        )
    if not every or every[-1] != now:
        every.append(now)
        write_atomically(folder / CIRCUMSTANCES, as_json(every))
    return {"circumstances": every} if len(every) > 1 else {}


def _circumstances(folder: Path) -> list[dict[str, Any]]:
    """Of every process of a run so far; none of a run of before they were written down."""
    path = folder / CIRCUMSTANCES
    remedy = "delete it, and the report will not say where the run was begun"
    return (
        read_json(path, list, entries={"precision": str}, remedy=remedy) if path.is_file() else []
    )


def _as_begun(config: Config, folder: Path) -> Config:
    """The config that a resumed run is known by: it has the precision of the first start."""
    return replace(config, precision=configs.read(folder / "config.yaml").precision)


def _print_result(folder: Path) -> None:
    """The accuracies of the test split; the path of the page is last, for scripts to read."""
    from debias.reports.record import read_report
    from debias.reports.run_folder import page_of
    from debias.reports.terminal import accuracy_lines
    from debias.reports.wording import choice_line

    report = read_report(folder)
    print("\n".join(accuracy_lines("test", report.test)))
    if report.choice:
        print(f"chosen: {choice_line(report.choice)}")
    print(page_of(folder))


def _run_to_resume(config: Config, given: str) -> Path | None:
    own = Path(config.out) / configs.run_name(config)
    folder = own if given == AUTO else Path(given)
    return None if folder == own and not (folder / "config.yaml").is_file() else folder


def _check_same(folder: Path, config: Config) -> None:
    if not (folder / "config.yaml").is_file():
        raise InputError(
            f"cannot resume {folder}: it holds no config.yaml; give the folder of an "
            "interrupted run"
        )
    before, now = configs.plain(configs.read(folder / "config.yaml")), configs.plain(config)
    if before["precision"] == AUTO and now["precision"] in [
        part["precision"] for part in _circumstances(folder)
    ]:
        now["precision"] = AUTO  # which came to this where the run was begun
    if {before["select"], now["select"]} == {AUTO, "worst_group"}:
        now["select"] = before["select"]  # the same wherever both are possible
    changed = [
        f"{key} was {_short(before[key])}, is {_short(now[key])}"
        for key in now
        if key not in configs.EXECUTION and now[key] != before[key]
    ]
    if changed:
        raise InputError(f"cannot resume {folder} with another config: {shown(changed)}")


def _short(value: Any) -> str:
    return shortened(str(value), 100)


def _check_same_data(path: Path, data: dict[str, Any]) -> None:
    if not path.is_file():  # a run of before this was written down
        write_atomically(path, as_json(data))
    remedy = "delete it, and the run goes on with the data as they are"
    before = read_json(path, dict, entries={"images": int}, remedy=remedy)
    if before != data:
        raise InputError(
            f"cannot resume {path.parent} with other data: it was begun with {before['images']} "
            f"images, and now are {data['images']}, or other labels or splits: restore the data, "
            "or train anew in another folder"
        )
