"""The weights of a finished run, from which another run starts (``model.weights=RUN``)."""

from pathlib import Path

from torch import Tensor

from debias import config as configs
from debias.errors import InputError
from debias.merging import Section
from debias.models.classifier import Classifier
from debias.models.weights import fitted, read_checkpoint
from debias.reports.record import read_report

#: Prefix of the model's weights in a checkpoint. The others are those of the strategy.
_MODEL = "model."
_HEAD = "head."
#: Options of a model that do not change its architecture or its normalisation.
_FREE = ("pretrained", "weights", "freeze_batch_norm", "first_layer", "ridge")


def architecture(model: Section) -> Section:
    """The options of a model that determine what it computes from its weights."""
    return {key: value for key, value in model.items() if key not in _FREE}


def differing(model: Section, other: Section) -> list[str]:
    """The options of :func:`architecture` in which two models differ, sorted."""
    ours, theirs = architecture(model), architecture(other)
    return sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))


def run_of(model: Section) -> Path | None:
    """The folder of the run that ``model.weights`` names; ``None`` for a file, or without it."""
    weights = model.get("weights")
    return Path(weights) if isinstance(weights, str) and Path(weights).is_dir() else None


def labels_of(run: str | Path) -> tuple[str, ...]:
    """Splits whose true group labels a finished run has read; none if it is no folder of a run."""
    if not (Path(run) / "report.json").is_file():
        return ()
    return tuple(read_report(Path(run)).strategy.group_labels.split("+"))


def run_weights(run: Path) -> dict[str, Tensor]:
    """The model's weights of a run's selected epoch, with the keys of a :class:`Classifier`.

    Raises:
        ValueError: the folder has no finished run, or its checkpoint cannot be read.
    """
    epoch = read_report(run).selection.epoch
    state, _ = read_checkpoint(run / "checkpoints" / f"epoch={epoch:03d}.ckpt")
    names = [name for name in state if name.startswith(_MODEL)]
    return {name.removeprefix(_MODEL): state[name] for name in names}


def check_architecture(run: Path, model: Section, *, apart: tuple[str, ...] = ()) -> None:
    """Check that a finished run's model computes the same from its weights as that of a config.

    Args:
        run: folder of the finished run.
        model: the config section of the model.
        apart: options that may differ.

    Raises:
        ValueError: the run is not finished, or an option differs.
    """
    read_report(run)  # says whether the run is finished
    theirs = configs.read(configs.evaluated(run)).model
    for key in differing(model, theirs):
        if key not in apart:
            raise InputError(
                f"the run {run} has model.{key}={theirs.get(key)}; got model.{key}="
                f"{model.get(key)}: set the same to use its weights"
            )


def start_from(run: Path, classifier: Classifier, model: Section) -> None:
    """Load the weights of a run. A head of another kind, or of other classes, is not loaded.

    Args:
        run: folder of the finished run.
        classifier: the new model; it is changed in place.
        model: the config section from which it was made.

    Raises:
        ValueError: the run is not finished, its model is another one, or its weights are not
            finite.
    """
    check_architecture(run, model)
    own, stored = classifier.state_dict(), run_weights(run)
    # another kind of head, which a new training cannot start from
    if {name for name in stored.keys() ^ own.keys() if name.startswith(_HEAD)}:
        stored = {name: value for name, value in stored.items() if not name.startswith(_HEAD)}
    classifier.load_state_dict(fitted(stored, own, source=str(run), head="head"))
