"""The config of a run: its schema, and how YAML files and ``key=value`` overrides fill it.

Nothing here imports torch, so that planning many runs is fast. A section that names a component
(``strategy``, ``sampler``, ...) holds its name and its options. ``build`` checks the options
against the signature of the component.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Optional

from omegaconf import OmegaConf

from debias import merging, shipped_configs
from debias.errors import InputError, near
from debias.files import write_atomically
from debias.own_parts import short_name
from debias.texts import check_texts

#: Keys that say where and how a run is executed. They do not change its results, so they are not
#: part of its identity.
EXECUTION = (
    "name", "out", "cache", "cache_dir", "cache_gb", "share", "keep_all", "measures", "workers",
    "progress", "eval_batch_size", "anonymous", "loggers",
)  # fmt: skip
#: Keys that later releases added. At its default, such a key is not part of a run's identity, so
#: that earlier runs keep their names.
ADDED = ("accumulate", "ema", "compile", "nodes", "sync_batchnorm", "scale_lr")

#: Placeholder for a preprocessing that no file names; the data set then determines it.
UNNAMED = "unnamed"
#: Data sets whose preprocessing is then "waterbirds". That of all others is "resize".
LIKE_WATERBIRDS = ("waterbirds", "celeba", "drawn_birds", "biased_mnist")
#: File with the config of the last stage, in a run of several stages. Evaluation builds the model
#: from it.
LAST_STAGE = "last_stage.yaml"


def _component(name: str) -> Any:
    return field(default_factory=lambda: {"name": name})


@dataclass
class GroupsFile:
    """A CSV ``file`` of ``debias infer-groups``, which replaces the bias labels of ``splits``."""

    file: Optional[str] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "float | None"
    splits: list[str] = field(default_factory=lambda: ["train"])


@dataclass
class Config:
    """All settings of a run.

    Attributes:
        data: name and options (``root``, ...) of the data set.
        preprocessing: name and options (``size``, ...) of the cropping and resizing. The default is
            "waterbirds" for the four oldest data sets, and "resize" for all others.
        model: ``name`` of timm or "module:function", ``pretrained``, ``weights``, ``head``, ...
        strategy: name and options of the mitigation strategy. A name of a component may also be
            that of a class or function of yours, as in "my_method:MyStrategy".
        sampler: which training images an epoch visits, and how often.
        augment: change to each training batch, on the device, before the strategy sees it. Its key
            ``then`` names another, with options of its own, that follows it.
        optimizer: name and options of the optimiser of every player.
        players: optimiser options of single players, as in ``{early: {lr: 1e-2}}``. They override
            ``optimizer``.
        scheduler: learning-rate schedule, stepped once per epoch.
        recipe: the stages of training, and their options.
        groups: ``{file: ..., splits: [train, val]}``. The CSV file of inferred groups replaces the
            bias labels of these splits.
        epochs: passes over the order of the sampler.
        batch_size: images per training step and process.
        eval_batch_size: images per evaluation step; null means ``batch_size``, since evaluation
            needs less memory than training.
        accumulate: parts of each training batch that go through the network one after another. This
            saves memory, and the loss still sees the whole batch.
        clip: largest gradient norm of a player; null does not clip.
        ema: largest decay of an exponential moving average of the weights, such as 0.999. The
            average is validated, selected and saved. Null does not average.
        seed: seed of the initialisation, the order and the augmentation.
        select: selection rule of the reported epoch, such as "worst_group", or "auto"; see
            docs/metrics.md.
        precision: "32-true", "bf16-mixed", or "auto": "bf16-mixed" if it is fast on this device.
        compile: compile the network for training by ``torch.compile``.
        accelerator: "cuda", "mps", "cpu", or "auto" for the first available.
        devices: number of devices to train on in each machine, with one process each.
        nodes: number of machines with this number of devices each. ``torchrun`` or ``srun`` starts
            the processes.
        sync_batchnorm: batch normalisation over the images of all processes, on GPUs.
        scale_lr: factor of all learning rates: "none" (1), "linear" (the number of processes), or
            "sqrt" (its square root).
        name: the config from which the run was started.
        out: folder that receives the run's folder.
        cache: decode images once into a memory-mapped file.
        cache_dir: folder of that file; null means the folder that the environment variable
            ``DEBIAS_CACHE`` names, and without it ``<out>/cache``.
        cache_gb: most GB that this run may add to the cache; null means half of the free space of
            the disk. Larger data are decoded by loader processes at every visit.
        share: folder in which finished stages and features are kept, so that no run trains again
            what another has trained. Null keeps nothing. The runs of a sweep share by default.
        keep_all: keep the weights of every epoch, not only of those that a selection rule prefers.
        measures: families of measures to report on the test split: "quick" (those that need no
            model), a list such as "quick,features,background", or "all".
        workers: number of loader processes; null lets debias choose.
        progress: draw moving bars on a terminal. Lines are printed in any case.
        loggers: where the curves go: some of "tensorboard", "csv", "wandb" and "mlflow".
        anonymous: write file names in place of absolute paths into report.json, as pages always do.
    """

    data: merging.Settings = _component("waterbirds")
    preprocessing: merging.Settings = _component("waterbirds")
    model: merging.Settings = _component("resnet50.tv_in1k")
    strategy: merging.Settings = _component("erm")
    sampler: merging.Settings = _component("shuffled")
    augment: merging.Settings = _component("none")
    optimizer: merging.Settings = _component("sgd")
    players: merging.Settings = field(default_factory=dict)
    scheduler: merging.Settings = _component("constant")
    recipe: merging.Settings = _component("single")
    groups: GroupsFile = field(default_factory=lambda: GroupsFile())
    epochs: int = 100
    batch_size: int = 128
    eval_batch_size: Optional[int] = None  # noqa: UP045
    accumulate: int = 1
    clip: Optional[float] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "float | None"
    ema: Optional[float] = None  # noqa: UP045
    seed: int = 0
    select: str = "auto"
    precision: str = "auto"
    compile: bool = False
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    sync_batchnorm: bool = False
    scale_lr: str = "none"
    name: str = ""
    out: str = "runs"
    cache: bool = True
    cache_dir: Optional[str] = None  # noqa: UP045
    cache_gb: Optional[float] = None  # noqa: UP045
    share: Optional[str] = None  # noqa: UP045
    keep_all: bool = False
    measures: str = "quick"
    workers: Optional[int] = None  # noqa: UP045
    progress: bool = True
    anonymous: bool = False
    loggers: list[str] = field(default_factory=lambda: ["tensorboard"])

    @property
    def processes(self) -> int:
        """Number of processes that train together, on all machines."""
        return self.nodes * self.devices


SECTIONS = tuple(
    item.name for item in fields(Config) if item.type == merging.Settings and item.name != "players"
)


class Base(NamedTuple):
    """The merged values of a config's files, before any override. One reading serves many runs."""

    source: str
    values: merging.Settings

    def config(self, overrides: Sequence[str] = ()) -> Config:
        """The config with ``key=value`` overrides on top, as :func:`load` reads them."""
        return _assemble(merging.read_overrides(overrides), below=self.values)


def base(source: str) -> Base:
    """Read the files of a config, without overrides; see :func:`load`.

    Raises:
        ValueError: there is no such config, or one of its files cannot be read.
    """
    return Base(source, _merged({"name": source}, *_layers(_find(source, Path()))))


def load(source: str, overrides: Sequence[str] = ()) -> Config:
    """Read a config: a shipped one by name or a YAML file by path, then ``key=value`` overrides.

    A YAML file may name the config it builds on (``extends: waterbirds``, a shipped name or a path
    relative to it). A layer that changes the ``name`` of a component drops the options that earlier
    layers gave to the old one.

    Args:
        source: "waterbirds/jtt", or the path of a YAML file.
        overrides: OmegaConf dot-list, such as ``["data.root=/data", "seed=1"]``.

    Raises:
        ValueError: an unknown config, key or type; the message names the nearest valid one.
    """
    return base(source).config(overrides)


def from_plain(values: merging.Settings, overrides: Sequence[str] = ()) -> Config:
    """Make a config from nested dictionaries, as :func:`plain` returns them, and overrides."""
    check_texts("", layer := merging.plain_layer(values))
    return _assemble(layer, merging.read_overrides(overrides))


def read(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config that :func:`save` wrote, such as that of a run's folder, and add overrides."""
    return _assemble(
        merging.plain_layer(merging.read_yaml(path)), merging.read_overrides(overrides)
    )


def evaluated(run: Path) -> Path:
    """Path of the config that a run's model was built from.

    In a run of several stages it is the config of the last stage.
    """
    last = run / LAST_STAGE
    return last if last.is_file() else run / "config.yaml"


def changed(config: Config, changes: merging.Section) -> Config:
    """A config with nested changes. Changing the name of a component drops its old options."""
    return _assemble(changes, below=plain(config))


def save(config: Config, path: Path) -> None:
    """Write a config atomically, as one file that does not refer to the files it came from."""
    write_atomically(path, OmegaConf.to_yaml(OmegaConf.structured(config)))


def plain(config: Config) -> merging.Settings:
    """The config as nested dictionaries of plain values."""
    values = {item.name: getattr(config, item.name) for item in fields(Config)}
    values["groups"] = asdict(config.groups)
    return {
        key: merging.laid_over({}, value)
        if isinstance(value, dict)
        else merging.converted(Config, key, value)
        for key, value in values.items()
    }


def identity(config: Config) -> str:
    """Eight hexadecimal digits that two configs share exactly if they compute the same."""
    computed = computing(plain(config))
    # both select the same epoch wherever both are possible
    computed["select"] = computed["select"].replace("auto", "worst_group")
    # this key was once part of the identity: a constant keeps the names of earlier runs
    computed["eval_batch_size"] = 256
    return hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()[:8]


def computing(settings: merging.Section) -> merging.Settings:
    """The settings that determine results: not those of :data:`EXECUTION`."""
    kept = without_additions(settings).items()
    return {key: value for key, value in kept if key not in EXECUTION}


def without_additions(settings: merging.Section) -> merging.Settings:
    """Settings without the keys of :data:`ADDED` that are at their defaults."""
    defaults = Config()
    return {
        key: value
        for key, value in settings.items()
        if not (key in ADDED and value == getattr(defaults, key))
    }


def method_name(config: Config) -> str:
    """Short name of the method, such as "jtt": recipe and strategy that are not the default."""
    return "-".join(_chosen(config, "recipe", "strategy")) or config.strategy["name"]


def run_name(config: Config) -> str:
    """Name of the run's folder: data set, method, seed, and the config's identity."""
    data, method = short_name(config.data["name"]), method_name(config)
    parts = [data, method, *_chosen(config, "sampler", "augment")]
    return "-".join([*parts, f"seed{config.seed}", identity(config)])


def _chosen(config: Config, *sections: str) -> list[str]:
    """Short names of the components in these sections that are not the default ones."""
    names = [
        (each["name"], getattr(Config(), section)["name"])
        for section in sections
        for each in merging.in_turn(getattr(config, section))
    ]
    return [short_name(name) for name, default in names if name != default]


def _assemble(*layers: Mapping[Any, Any], below: merging.Settings | None = None) -> Config:
    merged = _merged(*layers, below=below)
    merged["preprocessing"] = _preprocessing(merged)
    if any(text == merging.MISSING or "${" in text for text in merging.texts(merged)):
        merged = merging.resolved(Config, merged)
    merging.check_names({section: merged[section] for section in SECTIONS})
    own = merging.laid_over({}, merged)  # no two configs share a list or a dictionary
    return Config(**own | {"groups": GroupsFile(**own["groups"])})


def _preprocessing(merged: merging.Section) -> merging.Settings:
    """The section ``preprocessing``. The data set gives its name if no layer has named it."""
    section: merging.Settings = merged["preprocessing"]
    implied = "waterbirds" if merged["data"]["name"] in LIKE_WATERBIRDS else "resize"
    return section | {"name": implied} if section["name"] == UNNAMED else section


def _find(source: str, beside: Path) -> Path:
    for path in (beside / source, shipped_configs.folder() / f"{source}.yaml"):
        if path.is_file() and path.suffix in (".yaml", ".yml"):
            return path
    if instead := shipped_configs.former().get(source):
        raise InputError(
            f"config {source!r} was removed, because it only combined names: write {instead}"
        )
    raise InputError(
        f"no config {source!r}: it is neither a YAML file nor shipped; "
        f"{near(source, shipped_configs.names(), 'debias list configs')}"
    )


def _layers(path: Path, above: tuple[Path, ...] = ()) -> list[dict[Any, Any]]:
    if path.resolve() in above:
        raise InputError(
            f"{path} extends itself, through {' and '.join(map(str, above))}: remove one extends"
        )
    layer = merging.plain_layer(merging.read_yaml(path))
    base = layer.pop("extends", None)
    if not isinstance(base, (str, type(None))):
        raise InputError(
            f"{path}: extends must be one config, as in 'extends: waterbirds'; got {base}"
        )
    return [*(_layers(_find(base, path.parent), (*above, path.resolve())) if base else []), layer]


def _merged(*layers: Mapping[Any, Any], below: merging.Settings | None = None) -> merging.Settings:
    merged = dict(below or plain(Config()) | {"preprocessing": {"name": UNNAMED}})
    for layer in layers:
        if unknown := [str(key) for key in layer if key not in merged]:
            raise InputError(f"unknown key {unknown[0]!r}; {near(unknown[0], merged)}")
        # sections first, and data before the preprocessing that it may imply
        for key in sorted(layer, key=lambda key: (key not in SECTIONS, key != "data")):
            old, new = merged[key], layer[key]
            if key == "preprocessing" and isinstance(new, dict) and "name" in new:
                old = _preprocessing(merged)
            laid = _section(key, old, new) if key in SECTIONS else merging.laid_over(old, new)
            merged[key] = _field(key, merged[key], laid)
    return merged


def _section(key: str, below: merging.Settings, section: Any) -> merging.Settings:
    if not isinstance(section, dict):
        raise InputError(f"{key} must be a section: write {key}.name={section or 'NAME'}")
    name = section.get("name", merging.MISSING)
    # every model is built by the same component, with the same options
    keeps = key == "model" or name in (merging.MISSING, below["name"])
    below = dict(below if keeps else {"name": name})
    if key.partition(".")[0] == "augment" and "then" in section:
        after = below.pop("then", {"name": ""})
        section = section | {"then": _section(f"{key}.then", after, section["then"])}
    return dict(merging.laid_over(below, section))


def _field(key: str, before: Any, value: Any) -> Any:
    """Convert a value to the type of its field. Options of components are not converted here."""
    free = (
        key in (*SECTIONS, "players")
        and isinstance(value, dict)
        and all(isinstance(name, str) for name in value)
    )
    if free or (isinstance(value, dict) and value == before):
        return value
    return merging.converted(Config, key, value)
