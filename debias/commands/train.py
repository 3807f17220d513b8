"""``debias train``: train one run, evaluate it, and write its report."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from debias import components
from debias import config as configs
from debias.commands import begin
from debias.commands.stopping import end_with_parent, ended_by_signals
from debias.config import Config
from debias.errors import InputError
from debias.imports import fast_imports
from debias.launched import check_launched, is_helper_process
from debias.merging import taken
from debias.places import epoch_sender, run_held, runs_folder
from debias.progress import say
from debias.storage.urls import is_url, joined

if TYPE_CHECKING:
    from debias.parts import Parts
    from debias.reports.record import Report
    from debias.runs.run import Recipe
    from debias.training.fit import Additions
    from debias.training.recorder import Watch


def run(config: str, overrides: list[str]) -> None:
    """Train a config, or resume an interrupted run, which the override ``resume=RUN`` names.

    ``resume=auto`` resumes the config's own run if it was interrupted, and starts it if it does not
    exist. If the run is finished, only its result is printed. SIGINT (Ctrl-C) and SIGTERM end the
    process at once, and print the command that resumes the run.

    Raises:
        ValueError: the config, the data or the run's folder has a mistake.
    """
    resume, others = taken(overrides, "resume", None)
    again = shlex.join(["debias", "train", config, *others, f"resume={resume or begin.AUTO}"])
    if is_helper_process():
        end_with_parent()
    with ended_by_signals("" if is_helper_process() else f"resume with `{again}`"):
        chosen = configs.load(config, others)
        with run_held(chosen):
            folder = None if resume is None else chosen_run(chosen, resume)
            if not (resume == begin.AUTO and folder and (folder / "report.json").is_file()):
                folder = train(chosen, resume=folder, alone=begin.locked)
        if not is_helper_process():
            _print_result(folder)


def train(
    config: Config,
    *,
    resume: Path | None = None,
    watch: Watch | None = None,
    alone: Callable[[Path], AbstractContextManager[None]] | None = None,
    additions: Additions | None = None,
) -> Path:
    """Train, evaluate and report one run; an interrupted run resumes from its last checkpoint.

    Args:
        config: the settings of the run.
        resume: folder of the interrupted run; ``None`` starts a new run.
        watch: called with the history after each epoch of the last stage; the run ends if it
            raises.
        alone: makes a context that is held while the run's folder is written, such as a lock.
        additions: the user's own callbacks and options of Lightning's Trainer.

    Returns:
        The run's folder.

    Raises:
        ValueError: the config, the data or the folder has a mistake; nothing has been trained then.
    """
    check_launched(config.nodes, config.devices)
    folder = resume or own_folder(config)
    begin.check_folder(folder, config, resuming=resume is not None)
    with fast_imports():
        from debias.runs.circumstances import circumstances
        from debias.runs.description import describe
        from debias.runs.outcome import finish
        from debias.runs.run import Run
        from debias.training.cluster import connect
        from debias.training.fit import NOTHING

        additions = additions or NOTHING
        additions.check()
        recipe: Recipe = components.construct("recipe", config.recipe, {})
        run = Run(config, folder, watch=watch, additions=additions, sent=epoch_sender(config))
        parts = run.check(recipe)
    description = describe(parts, begin.as_begun(config, folder) if resume else config, recipe)
    parts.data.decode()
    with alone(folder) if alone else nullcontext():
        begin.check_folder(folder, config, resuming=resume is not None)
        now = circumstances(parts, config)
        if resume is None:
            begin.claim(folder, config, parts.examples, now)
        else:
            description |= begin.resume_in(folder, config, parts.examples, now)
        _say_start(folder, parts, config, resumed=resume is not None)
        connect(parts.accelerator, nodes=config.nodes, devices=config.devices)
        begin.check_common_folder(folder)
        finish(recipe.train(run), run, description | additions.described())
    return folder


def _say_start(folder: Path, parts: Parts, config: Config, *, resumed: bool) -> None:
    """Say the run's folder, the device, the precision, and the images per group."""
    import torch

    from debias.commands.images import image_lines

    name = f"{torch.get_num_threads()} threads"
    if parts.accelerator == "cuda":
        name = torch.cuda.get_device_name()
    number = f"{config.nodes} x " if config.nodes > 1 else ""
    number += f"{config.devices} x " if config.processes > 1 else ""
    say(f"run: {folder}{' (resumed)' if resumed else ''}")
    say(f"device: {number}{parts.accelerator} ({name}), precision {parts.precision}")
    say("\n".join(image_lines(parts.examples)))


def _print_result(folder: Path) -> None:
    """Print the test accuracies, the selected epoch and, last, the path of the page."""
    from debias.reports.record import PAGE, read_report
    from debias.reports.terminal import accuracy_lines
    from debias.reports.wording import choice_line

    report = read_report(folder)
    print("\n".join(accuracy_lines("test", report.test)))
    if report.choice:
        print(f"chosen: {choice_line(report.choice)}")
    for stage in report.taken:
        print(f"not trained again: {stage}")
    print(_selection_line(report))
    print(folder / PAGE)


def _selection_line(report: Report) -> str:
    """The selected epoch and its selection rule; epochs are counted from 0."""
    last = len(report.history) - 1
    epochs = f"of 0 to {last}" if last else "the only one"
    rule, epoch = report.selection.rule, report.selection.epoch
    return f"selected by the rule {rule}: epoch {epoch}, {epochs}"


def own_folder(config: Config) -> Path:
    """The folder of a config's run; for a run on object storage, its local copy."""
    return runs_folder(config) / configs.run_name(config)


def chosen_run(config: Config, given: str) -> Path | None:
    """The folder to resume, which ``resume=given`` names; ``None`` if the run has not started."""
    own = own_folder(config)
    folder = own if given in (begin.AUTO, joined(config.out, own.name)) else Path(given)
    if folder != own and is_url(config.out):
        raise InputError(f"resume must be auto for a run on object storage; got resume={given}")
    return None if folder == own and not (folder / "config.yaml").is_file() else folder
