"""Where the picture caches of a run lie."""

from pathlib import Path

from debias.config import Config
from debias.storage.urls import named_cache


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
