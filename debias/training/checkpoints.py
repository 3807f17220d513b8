"""Checkpoint files: written atomically; the previous one is kept, in case the last is damaged."""

import io
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from debias.errors import InputError
from debias.files import is_whole_archive, write_atomically

#: The checkpoint that training resumes from, and the one of the epoch before it.
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class CheckpointFiles(TorchCheckpointIO):
    """Writes the Trainer's checkpoints atomically, and keeps the old one as ``previous.ckpt``.

    Lightning's own class first writes them to the temporary folder of the system, which may be on
    another disk without space.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint durably and atomically."""
        write_tensors(Path(path), checkpoint, keep=Path(path).with_name(PREVIOUS))


def write_tensors(path: Path, content: dict[str, Any], *, keep: Path | None = None) -> None:
    """Write tensors and plain values by ``torch.save``; see :func:`debias.files.written_whole`."""
    # if torch.save writes the file itself, it reports a full disk as "unexpected pos"
    saved = io.BytesIO()
    torch.save(content, saved)
    write_atomically(path, saved.getbuffer(), keep=keep)


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint from which training resumes.

    If ``last.ckpt`` is damaged or absent, ``previous.ckpt`` is renamed to it, with a warning.

    Returns:
        The path of ``last.ckpt``; ``None`` if the folder has no checkpoint.

    Raises:
        InputError: ``last.ckpt`` is damaged or absent, and ``previous.ckpt`` cannot replace it.
    """
    last, previous = folder / LAST, folder / PREVIOUS
    if is_whole_archive(last) or not (last.is_file() or previous.is_file()):
        return last if last.is_file() else None
    fault = "is damaged" if last.is_file() else "is absent"
    if not is_whole_archive(previous):
        raise InputError(
            f"{last} {fault}, and there is no intact {PREVIOUS} beside it: restore it, or delete "
            "both to train again from the first epoch"
        )
    warnings.warn(
        f"{last} {fault}: training resumes from {PREVIOUS}, one epoch earlier", stacklevel=2
    )
    os.replace(previous, last)
    return last
