"""Where the folders of a run lie: the runs beside it, and the picture caches."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from debias.config import Config, run_name
from debias.errors import InputError
from debias.launched import DEBIAS, is_helper_process, launched
from debias.storage.runs import StoredRun, held
from debias.storage.stages import StoredStages
from debias.storage.urls import is_url, local_copy, named_cache
from debias.store import Store


def cache_folder(config: Config) -> Path | None:
    """Folder of the cache of decoded images, or ``None`` if the config switches the cache off."""
    return cache_place(config, config.out) if config.cache else None


def cache_place(config: Config, beside: Path | str) -> Path:
    """Folder of the picture caches: ``cache_dir``, else ``DEBIAS_CACHE``, else ``beside``/cache.

    Args:
        config: config of a run.
        beside: folder of runs.
    """
    place = named_cache(config.cache_dir)
    return Path(place) if place else Path(beside) / "cache"


def runs_folder(config: Config) -> Path:
    """The folder ``out`` of a config; for object storage, its local copy.

    Raises:
        ValueError: ``out`` is a URL, and no cache folder is named.
    """
    return (
        local_copy("out", config.out, config.cache_dir) if is_url(config.out) else Path(config.out)
    )


def share_folder(config: Config) -> Path | None:
    """The folder ``share`` of a config; for object storage, its local copy; ``None`` without it."""
    if config.share is None:
        return None
    if is_url(config.share):
        return local_copy("share", config.share, config.cache_dir)
    return Path(config.share)


def store_of(config: Config) -> Store | None:
    """The store of kept stages that ``share`` names; ``None`` without it."""
    if config.share is None:
        return None
    if is_url(config.share):
        return StoredStages(config.share, config.cache_dir)
    return Store(Path(config.share))


def run_held(config: Config, beside: Sequence[Path] = ()) -> AbstractContextManager[None]:
    """Hold a run on object storage; see :func:`debias.storage.runs.held`. Nothing for a disk.

    Args:
        config: config of the run.
        beside: further files of ``out`` to send at the end.
    """
    run = _stored(config)
    return nullcontext() if run is None else held(run, beside)


def epoch_sender(config: Config) -> Callable[[], None] | None:
    """What sends the files of a run on object storage after each epoch; ``None`` for a disk."""
    run = _stored(config)
    return None if run is None else run.send_epoch


def _stored(config: Config) -> StoredRun | None:
    if not is_url(config.out):
        return None
    if config.nodes > 1 or launched().by != DEBIAS:  # its processes would not see one local copy
        if is_helper_process():
            raise SystemExit(2)
        raise InputError(
            f"processes of torchrun or srun need out on a disk that all see; got out={config.out} "
            f"nodes={config.nodes}: set out to a folder"
        )
    if is_helper_process():
        return None
    return StoredRun(config.out, run_name(config), config.cache_dir)
