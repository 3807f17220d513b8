"""The folder of a run that begins."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias import config as configs
from debias.config import Config
from debias.errors import InputError
from debias.files import made_whole, remove_unfinished, write_atomically

if TYPE_CHECKING:
    from debias.data.examples import Examples

#: The file of a run's folder that says where and with what numbers each of its processes computed.
CIRCUMSTANCES = "circumstances.json"
#: The file that holds the digest of its data.
DATA = "data.json"


def claim(folder: Path, config: Config, examples: Examples, now: dict[str, Any]) -> None:
    """Make the run's folder with data, config and circumstances in it; no other process may have
    made it since.

    Args:
        folder: of the run.
        config: of the run.
        examples: its data.
        now: this process's :func:`debias.runs.description.circumstances`.

    Raises:
        ValueError: another process has made it.
    """
    if is_helper_process():
        return
    if not (folder / "config.yaml").is_file():
        remove_unfinished(folder)
        # an earlier version was killed between this file and the config
        (folder / DATA).unlink(missing_ok=True)
    try:
        with made_whole(folder) as beside:
            write_atomically(beside / DATA, as_json(describe_data(examples)))
            configs.save(config, beside / "config.yaml")
            write_atomically(beside / CIRCUMSTANCES, as_json([now]))
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise InputError(
            f"{folder} was just made by another process: that one trains this run"
        ) from None


def check_unbegun(folder: Path) -> None:
    """Refuse a folder that holds more than what an earlier version left before its config."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".tmp")
    if others := [name for name in names if name != DATA]:
        raise InputError(
            f"{folder} holds {others[0]}, but no config.yaml: it is no run; move or delete it"
        )


def describe_data(examples: Examples) -> dict[str, Any]:
    """What tells whether a run is resumed with the same data."""
    return {"digest": examples.digest(), "images": len(examples)}


def as_json(value: Any) -> str:
    """A value as the small files of a run's folder hold it."""
    return json.dumps(value, indent=1) + "\n"


def is_helper_process() -> bool:
    """Whether Lightning started this process, as it does once for each further device."""
    return os.environ.get("LOCAL_RANK", "0") != "0"
