"""Faster imports of the libraries of a training, for the command line and its processes."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

METRICS = "torchmetrics"
#: Its module that imports matplotlib, and the function of that module which its classes call.
PLOTS, DRAW = f"{METRICS}.utilities.plot", "plot_single_or_multi_val"


@contextmanager
def fast_imports() -> Iterator[None]:
    """Import torch and Lightning in about two thirds of the time.

    Garbage collection pauses. Imports make a million objects and almost no garbage, and every
    collection would look at all of them. Later collections leave them out too.

    Lightning needs two classes of torchmetrics. That package also imports metrics of sound, text
    and images, scipy and matplotlib. It does so here only when another of its names is used.
    """
    first, collecting = "torch" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        if METRICS not in sys.modules:
            _import_two_metrics()
        yield
        if first:
            gc.freeze()
    finally:
        if collecting:
            gc.enable()


class _Deferred(ModuleType):
    """A module that runs its file when a name is first used that it does not have yet."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_complete(self), name)


def _complete(module: ModuleType) -> ModuleType:
    if isinstance(module, _Deferred):
        module.__class__ = ModuleType  # type: ignore[assignment]
        assert module.__spec__ is not None
        assert module.__spec__.loader is not None
        module.__spec__.loader.exec_module(module)
    return module


def _defer(name: str, path: Sequence[str] | None, names: Mapping[str, object]) -> ModuleType:
    spec = PathFinder.find_spec(name, path)
    if spec is None:
        raise ImportError(name)
    module = module_from_spec(spec)
    module.__class__ = _Deferred
    vars(module).update(names)
    sys.modules[name] = module
    return module


def _import_two_metrics() -> None:
    try:
        _defer_metrics()
    except (ImportError, AttributeError):  # a release of another structure is imported as usual
        for name in [name for name in sys.modules if name.partition(".")[0] == METRICS]:
            del sys.modules[name]


def _defer_metrics() -> None:
    package = _defer(METRICS, None, {"_logger": logging.getLogger(METRICS)})
    plots = _defer(PLOTS, [str(Path(package.__path__[0]) / "utilities")], {})
    # two types for annotations, and a function that passes its arguments on
    vars(plots).update(dict.fromkeys(("_AX_TYPE", "_PLOT_OUT_TYPE"), object))
    vars(plots)[DRAW] = lambda *values, **options: getattr(_complete(plots), DRAW)(
        *values, **options
    )
    # its modules import each other in a circle, which this order enters at the right place
    vars(importlib.import_module(f"{METRICS}.utilities"))["plot"] = plots
    for module, name in (("metric", "Metric"), ("collections", "MetricCollection")):
        vars(package)[name] = getattr(importlib.import_module(f"{METRICS}.{module}"), name)
