"""A run finds the picture cache by its config, then by the environment, then beside the runs."""

from pathlib import Path

from debias import config as configs
from debias.places import cache_folder, cache_place


def test_cache_folder(monkeypatch):
    monkeypatch.delenv("DEBIAS_CACHE", raising=False)
    config = configs.load("drawn_birds", ["out=there"])
    assert cache_folder(config) == Path("there/cache")
    assert cache_place(config, "moved") == Path("moved/cache")
    monkeypatch.setenv("DEBIAS_CACHE", "shared")
    assert cache_folder(config) == cache_place(config, "moved") == Path("shared")
    config.cache_dir = "elsewhere"
    assert cache_folder(config) == cache_place(config, "moved") == Path("elsewhere")
    config.cache = False
    assert cache_folder(config) is None
