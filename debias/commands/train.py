"""``debias train``: train one run, evaluate it, and write its report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from debias import components
from debias import config as configs
from debias.config import Config

if TYPE_CHECKING:
    from debias.recipes.run import Recipe
    from debias.training.recorder import Watch

AUTO = "auto"


def run(config: str, overrides: list[str]) -> None:
    """Train a config; ``resume=RUN`` among the overrides goes on with an interrupted run.

    ``resume=auto`` goes on with the config's own run where it was interrupted, and does nothing where it is finished.

    Raises:
        ValueError: something is wrong with the config, the data or the run's folder.
    """
    resume = [text.partition("=")[2] for text in overrides if text.startswith("resume=")]
    chosen = configs.load(config, [text for text in overrides if not text.startswith("resume=")])
    folder = _run_to_resume(chosen, resume[-1]) if resume else None
    if not (resume and resume[-1] == AUTO and folder and (folder / "report.json").is_file()):
        folder = train(chosen, resume=folder)
    if not _is_helper_process():
        _print_result(folder)


def train(config: Config, *, resume: Path | None = None, watch: Watch | None = None) -> Path:
    """Train, evaluate and report one run; a run that was interrupted goes on from its last checkpoint.

    Args:
        config: what to train.
        resume: folder of the interrupted run.
        watch: looks at the history after each epoch of the last stage; the run ends if it raises.

    Returns:
        The run's folder.

    Raises:
        ValueError: something is wrong with the config, the data or the folder; nothing has been trained then.
    """
    from debias.recipes.outcome import describe, finish
    from debias.recipes.run import Run

    folder = resume or Path(config.out) / configs.run_name(config)
    check_folder(folder, config, resuming=resume is not None)
    recipe: Recipe = components.construct("recipe", config.recipe, {})
    run = Run(config, folder, watch=watch)
    parts = run.check(recipe)
    description = describe(parts, config, recipe)
    parts.data.decode()
    claim(folder, config, resuming=resume is not None)
    finish(recipe.train(run), run, description)
    return folder


def check_folder(folder: Path, config: Config, *, resuming: bool) -> None:
    """Refuse a folder that holds another run, a finished one, or an interrupted one that is not to be resumed.

    Raises:
        ValueError: as above; the message says what to do.
    """
    if _is_helper_process():
        return
    if (folder / "report.json").is_file():
        raise ValueError(f"{folder} is finished: read {folder}/report.html, or train another seed")
    if resuming:
        _check_same(folder, config)
    elif folder.exists():
        raise ValueError(f"{folder} holds an interrupted run: add resume={folder} to go on, or delete the folder")


def claim(folder: Path, config: Config, *, resuming: bool) -> None:
    """Make the run's folder, which no other process may have made since, and write the config into it."""
    if resuming or _is_helper_process():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        raise ValueError(f"{folder} was just made by another process: that one trains this run") from None
    configs.save(config, folder / "config.yaml")


def _print_result(folder: Path) -> None:
    """The accuracies of the test split; the path of the page stays the last line, which scripts read."""
    from debias.reports.run_folder import read_report
    from debias.reports.terminal import accuracy_lines

    print("\n".join(accuracy_lines("test", read_report(folder)["metrics"]["test"])))
    print(f"{folder}/report.html")


def _run_to_resume(config: Config, given: str) -> Path | None:
    if given != AUTO:
        return Path(given)
    folder = Path(config.out) / configs.run_name(config)
    return folder if folder.exists() else None


def _check_same(folder: Path, config: Config) -> None:
    if not (folder / "config.yaml").is_file():
        raise ValueError(f"cannot resume {folder}: it holds no config.yaml; give the folder of an interrupted run")
    before, now = configs.plain(configs.read(folder / "config.yaml")), configs.plain(config)
    changed = [key for key in now if key not in configs.EXECUTION and now[key] != before[key]]
    if changed:
        differences = "; ".join(f"{key} was {before[key]}, is {now[key]}" for key in changed)
        raise ValueError(f"cannot resume {folder} with another config: {differences}")


def _is_helper_process() -> bool:
    # Lightning starts the command once more for every further device
    return os.environ.get("LOCAL_RANK", "0") != "0"
