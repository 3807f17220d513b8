"""A user's own parts: classes and functions that a config names as "module:object".

Python finds the module where it finds every installed one, and after that in the folder in which
``debias`` was called. :mod:`debias.components` checks and builds own parts like those of debias.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_type_hints

from debias.errors import InputError, near

#: The class of the object that a part makes, by kind.
MADE = {
    "data": "debias.data.examples:Examples",
    "preprocessing": "debias.data.pictures.preprocessing:Preprocessing",
    "model": "torch.nn:Module",
    "strategy": "debias.strategies.strategy:Strategy",
    "sampler": "debias.data.orders:Order",
    "augment": "debias.augment.augmentation:Augmentation",
    "optimizer": "torch.optim:Optimizer",
    "scheduler": "torch.optim.lr_scheduler:LRScheduler",
    "recipe": "debias.runs.run:Recipe",
}
#: Kinds whose parts are classes, because debias reads their class attributes. Parts of the other
#: kinds may be functions too.
CLASSES = ("strategy", "augment", "recipe")
_DATA_FACTS = (
    *("groups", "samples", "frequencies", "class_frequencies", "row", "bias", "group", "seed"),
    *("occurring", "partition", "chosen", "importance", "partition_by_row", "chosen_by_row"),
)
_MODEL_FACTS = ("model", "image", "mean", "std", "read_folder", "read_weights")
#: The facts that positional arguments may name, by kind; see :func:`debias.build.facts_of`.
FACTS: dict[str, tuple[str, ...]] = {
    "strategy": (*_DATA_FACTS, *_MODEL_FACTS, "process_batch_size"),
    "augment": (*_DATA_FACTS, *_MODEL_FACTS),
    "model": ("outputs", "num_classes", "pretrained"),
    "sampler": (*_DATA_FACTS, "batch_size"),
    "optimizer": ("parameters",),
    "scheduler": ("optimizer", "epochs"),
}


def is_own(name: object) -> bool:
    """Whether the name of a component is that of a user's own part, as in "my_method:Mine"."""
    return isinstance(name, str) and ":" in name


def short_name(name: str) -> str:
    """The name of a component without its module, for names of folders and methods.

    Example:
        >>> short_name("my_package.methods:Mine"), short_name("erm")
        ('Mine', 'erm')
    """
    return name.rpartition(":")[2]


def own_part(kind: str, place: str) -> Any:
    """Import a user's own part, and check its kind.

    Args:
        kind: a key of ``MADE``.
        place: "module:object".

    Raises:
        InputError: the text has another form, there is no such module or object, or the object is
            of another kind. An error inside the module itself is raised as it is.
    """
    where, (module, _, name) = f"{kind}.name={place}", place.partition(":")
    if not name.isidentifier():
        raise InputError(f"{where} must be MODULE:OBJECT, as in my_package.methods:MyMethod")
    found = _module(where, module)
    if not hasattr(found, name):
        valid = [item for item in vars(found) if not item.startswith("_")]
        own = [item for item in valid if _is_from(getattr(found, item), found)]
        raise InputError(f"{where}: {_file(found)} has no {name!r}; {near(name, own or valid)}")
    part = getattr(found, name)
    if is_kind(kind, part) is False:
        needed = "a subclass of" if kind in CLASSES else "a function or class that makes"
        raise InputError(f"{where} must be {needed} {_dotted(MADE[kind])}; it is {_is(part)}")
    return part


def is_kind(kind: str, part: object) -> bool | None:
    """Whether an object is a part of a kind; ``None`` for a function that does not say.

    A function says it by the annotation of what it returns.
    """
    made = part if inspect.isclass(part) else _returned(part)
    if inspect.isclass(made) and (inspect.isclass(part) or kind not in CLASSES):
        return issubclass(made, _base(kind))
    return None if callable(part) and kind not in CLASSES else False


def kind_of(kinds: Sequence[str], place: str) -> str:
    """The first of several kinds that a user's own part belongs to.

    Raises:
        InputError: it cannot be imported, or is of none of them.
    """
    module, _, name = place.partition(":")
    fits = {kind: is_kind(kind, getattr(_module(place, module), name, None)) for kind in kinds}
    kind = next((kind for kind in kinds if fits[kind] is not False), kinds[0])
    own_part(kind, place)
    return kind


def check_made(kind: str, place: str, made: object) -> None:
    """Check the object that a user's own part has made.

    Raises:
        InputError: it is not of the class that its kind makes.
    """
    if not isinstance(made, _base(kind)):
        raise InputError(
            f"{kind}.name={place} must return {_dotted(MADE[kind])}; it returned "
            f"{type(made).__name__}"
        )


def check_facts(kind: str, place: str, arguments: Sequence[str]) -> None:
    """Check that the positional arguments of a user's own part are facts that debias passes.

    Raises:
        InputError: an argument is no fact of this kind.
    """
    facts = FACTS.get(kind, ())
    if unknown := [argument for argument in arguments if argument not in facts]:
        remedy = "write it after * in the signature to make it an option"
        known = f"; facts: {', '.join(facts)}" if facts else ""
        raise InputError(
            f"{kind}.name={place}: its positional argument {unknown[0]!r} is no fact of the run: "
            f"{remedy}{known}"
        )


def is_module(name: str) -> bool:
    """Whether Python finds the package of a module; nothing is imported."""
    _look_here()
    top = name.partition(".")[0]
    return top.isidentifier() and importlib.util.find_spec(top) is not None


def parts_in(kind: str, name: str) -> Iterator[str]:
    """The "module:object" of every part of a kind that a module or package defines.

    Every module of a package is imported, except ``__main__``.

    Raises:
        InputError: there is no such module.
    """
    for module in _modules(name):
        for item, part in list(vars(module).items()):
            if not item.startswith("_") and _is_from(part, module) and is_kind(kind, part):
                yield f"{module.__name__}:{item}"


def origin(place: str) -> dict[str, str | None]:
    """Where an own part comes from, for the record of a run.

    Args:
        place: "module:object".

    Returns:
        ``name``, which is ``place``; ``package``, the installed distribution; ``version`` of it, or
        ``__version__`` of a package that is not installed; and ``sha256`` of the file that defines
        it, shortened to 12 digits.
    """
    named, _, item = place.partition(":")
    found = _module(place, named)
    module = sys.modules.get(getattr(getattr(found, item), "__module__", named), found)
    top = module.__name__.partition(".")[0]
    package = next(iter(metadata.packages_distributions().get(top, ())), None)
    said = getattr(sys.modules[top], "__version__", None)
    version = metadata.version(package) if package else said and str(said)
    file = Path(_file(module))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else None
    return {"name": place, "package": package, "version": version, "sha256": digest}


def _look_here() -> None:
    """Let Python find modules in this folder too, after all installed ones."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)


def _module(where: str, name: str) -> ModuleType:
    _look_here()
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"{where}: {name!r} is not the name of a module, as in my_package.methods")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # the user's module itself lacks a module that it imports
        raise InputError(
            f"{where}: there is no module {error.name!r}: is it installed, or in this folder "
            f"({os.getcwd()})?"
        ) from None


def _modules(name: str) -> Iterator[ModuleType]:
    module = _module("module", name)
    yield module
    for entry in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
        if not entry.name.endswith(".__main__"):
            yield importlib.import_module(entry.name)


def _base(kind: str) -> type:
    module, _, name = MADE[kind].partition(":")
    base: type = getattr(importlib.import_module(module), name)
    return base


def _returned(part: object) -> object:
    """The class that a function says it returns, or ``None``."""
    function: Any = inspect.unwrap(part) if inspect.isfunction(part) else None
    try:
        # without the other annotations, which may be imported for type checkers only
        written = getattr(function, "__annotations__", {})
        said = {key: hint for key, hint in written.items() if key == "return"}
        own = SimpleNamespace(__annotations__=said)
        return get_type_hints(own, getattr(function, "__globals__", None)).get("return")
    except NameError:
        return None


def _is_from(part: object, module: ModuleType) -> bool:
    return callable(part) and getattr(part, "__module__", None) == module.__name__


def _is(part: object) -> str:
    """What an object is, for a message."""
    if inspect.isclass(part):
        return f"the class {part.__name__}"
    if not callable(part):
        return f"an object of {type(part).__name__}"
    returned = _returned(part)
    return (
        f"a function that returns {returned.__name__}"
        if inspect.isclass(returned)
        else "a function"
    )


def _file(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or module.__name__


def _dotted(place: str) -> str:
    return place.replace(":", ".")
