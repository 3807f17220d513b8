"""A stage that another run has trained already is taken from the store, and not trained again."""

import hashlib
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from debias import config as configs
from debias import processes
from debias.config import Config
from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import Json, json_text, read_json
from debias.merging import Settings
from debias.parts import Parts
from debias.places import store_of
from debias.progress import duration, say
from debias.runs.circumstances import code_digest, digest_of, machine, own_parts
from debias.runs.single import title_of
from debias.store import KeptStage, Store
from debias.training.checkpoints import LAST, PREVIOUS
from debias.training.loggers import EXTRAS
from debias.training.recorder import Recorder

#: File in the folder of a stage or run: the digest of what it trains, and from where it was taken.
SHARED = "shared.json"
#: Settings without effect on the files of a stage, or with their effect in another entry of its
#: content: the rule chooses among epochs that are all kept, and each device has its own last bits.
ELSEWHERE = ("select", "recipe", "accelerator", "precision")
#: Settings of the execution that change the files of a stage, or the last bits of its validation.
FILES = ("keep_all", "loggers", "eval_batch_size")
#: Sections whose files have digests of their own, as rows, pictures or weights: the folders do not
#: count. The whole path of a file counts in the other sections.
PLACED = ("data", "model")


def shared(
    train: Callable[[], Recorder], parts: Parts, config: Config, folder: Path, *, apart: bool
) -> Recorder:
    """Train a stage, unless another run has trained the same stage: then take its files.

    A stage is the same if :func:`content_of` is. If another run trains it now, this one waits. A
    stage that was begun without the store, or under other circumstances, is trained to its end and
    not kept. Of several processes, the first takes and keeps the files.

    Args:
        train: trains the stage in its folder, from its last checkpoint if there is one.
        parts: the objects of the stage, before training.
        config: config of the stage; its ``share`` is the folder of the store.
        folder: folder of the stage or run.
        apart: whether the stage never takes or keeps files, since more than its config decides.

    Returns:
        The recorder of the epochs.
    """
    store = store_of(config)
    if store is None or apart or not shares(config):
        return train()
    if processes.rank() > 0:
        while processes.from_first(False):  # another run trains the stage
            pass
        return train()
    content = content_of(parts, config)
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    begun = any((folder / "checkpoints" / name).is_file() for name in (LAST, PREVIOUS))
    note = _note(folder) if begun else {"key": key}
    if note.get("key") != key:
        processes.from_first(False)
        return train()
    write_atomically(folder / SHARED, json_text(note))
    name = title_of(folder)
    with store.alone(key, partial(_wait, name, [])):
        if "run" not in note:
            _take(store, key, folder)
        processes.from_first(False)
        recorder = train()
        seconds = sum(entry["seconds"] for entry in recorder.history)
        place = str(folder.resolve())
        _keep(store, key, folder, KeptStage(name, place, config.epochs, seconds, content))
    return recorder


def _wait(name: str, said: list[bool]) -> None:
    """Say once that another run trains the stage, and keep the other processes waiting."""
    if not said:
        say(f"{name}: another run trains the same, and is waited for")
        said.append(True)
    processes.from_first(True)


def shares(config: Config) -> bool:
    """Whether a stage of this config may take files from the store, and may be kept there."""
    # a logger of another service would get no curves of a stage that is taken
    return not (config.share is None or config.groups.file or {*config.loggers} & {*EXTRAS})


def content_of(parts: Parts, config: Config) -> Json:
    """What determines the files of a stage, to the last bit.

    Args:
        parts: the objects of the stage, with its starting weights.
        config: config of the stage.
    """
    return {
        "settings": stage_settings(config),
        "rows": parts.examples.digest(),
        "pictures": parts.data.pictures_key(),
        "start": digest_of(parts.module.state_dict()),
        "machine": machine(parts),
        "code": code_digest(),
        "own_parts": own_parts(config),
    }


def stage_settings(config: Config) -> Settings:
    """The settings that determine the files of a stage, without the places of data and weights."""
    every = configs.plain(config)
    kept = configs.computing(every) | {key: every[key] for key in FILES}
    return {
        key: _placeless(value) if key in PLACED else value
        for key, value in kept.items()
        if key not in ELSEWHERE
    }


def taken_stages(folder: Path) -> list[Json]:
    """The report's entry: each stage that a run took, with the run that trained it and its time."""
    notes = {"": _note(folder)} | {
        path.parent.name: _note(path.parent) for path in sorted(folder.glob(f"stages/*/{SHARED}"))
    }
    return [
        {"stage": stage, "run": note["run"], "seconds": note["seconds"]}
        for stage, note in notes.items()
        if "run" in note
    ]


def _take(store: Store, key: str, folder: Path) -> None:
    """Take a stage that another folder has trained, and note from where."""
    kept = store.find(key)
    if kept is None or kept.place == str(folder.resolve()) or not store.take(key, folder):
        return
    note = {"key": key, "run": kept.name, "seconds": kept.seconds}
    write_atomically(folder / SHARED, json_text(note))
    say(f"{title_of(folder)}: taken from {kept.name}, which trained it in {duration(kept.seconds)}")


def _keep(store: Store, key: str, folder: Path, record: KeptStage) -> None:
    try:
        store.keep(key, folder, record)
    except (OSError, InputError) as error:  # the run itself is whole
        warnings.warn(f"{record.name} is not kept for other runs: {error}", stacklevel=2)


def _note(folder: Path) -> Json:
    path = folder / SHARED
    if not path.is_file():
        return {}
    return read_json(path, dict, entries={"key": str}, remedy="delete it; the stage is not shared")


def _placeless(value: Any) -> Any:
    """Settings with only the last part of each path."""
    if isinstance(value, dict):
        return {key: _placeless(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_placeless(entry) for entry in value]
    if isinstance(value, str):
        return PureWindowsPath(PurePosixPath(value).name).name
    return value
