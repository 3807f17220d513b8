"""``debias evaluate MODEL data=NAME``: a model on another data set than the one of its training."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Optional

from debias import components, shipped_configs
from debias import config as configs
from debias.commands.predictions import write_numbers
from debias.data.checks import check_rows
from debias.data.class_maps import WNIDS, class_map
from debias.data.examples import SPLITS, Examples
from debias.devices import resolve_accelerator
from debias.errors import InputError, check_at_least, check_one_of, near
from debias.evaluation.evidence import Evidence
from debias.evaluation.measures import Measures, chosen_families, measure_all, measure_names
from debias.evaluation.other_classes import ClassMatch, match_classes
from debias.json_files import Json, typed
from debias.merging import Settings, converted, read_overrides, split_overrides, taken
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.accuracy.scalars import group_report
from debias.metrics.families import family_of
from debias.presets import is_preset, preset
from debias.reports.classes import positive_class
from debias.reports.evaluation import Evaluation
from debias.reports.named_predictions import write_named
from debias.reports.split import Split
from debias.reports.terminal import accuracy_lines, measure_lines, short_line
from debias.trained.model import load
from debias.trained.picture_model import PictureModel
from debias.trained.pretrained import pretrained

#: Beginning of the name of a network of timm with its own classifier of ImageNet.
TIMM = "timm:"


@dataclass
class ElsewhereOptions:
    """Options beside the data: what is measured, what is written, and how it is computed."""

    root: Optional[str] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "str | None"
    split: Optional[str] = None  # noqa: UP045
    measures: Optional[str] = None  # noqa: UP045
    weights: Optional[str] = None  # noqa: UP045
    positive: Optional[str] = None  # noqa: UP045
    out: Optional[str] = None  # noqa: UP045
    predictions: Optional[str] = None  # noqa: UP045
    batch_size: int = 64
    workers: int = 0
    accelerator: str = "auto"
    progress: bool = True


NAMES = tuple(field.name for field in fields(ElsewhereOptions))


def is_elsewhere(model: str, overrides: Collection[str]) -> bool:
    """Whether a model is evaluated on other data: it is one of timm, or ``data=`` is given."""
    return model.startswith(TIMM) or any(text.startswith("data=") for text in overrides)


def run(model: str, overrides: list[str]) -> None:
    """Print the accuracies and measures of a model on another data set. Nothing of a run changes.

    Args:
        model: a finished run's folder, or "timm:NAME".
        overrides: ``data=NAME`` (a preset or another loader) or ``data=CONFIG``, ``data.KEY=VALUE``
            for its options, and :class:`ElsewhereOptions`.

    Raises:
        ValueError: as :func:`evaluate_elsewhere`.
    """
    evaluation, whole = evaluate_elsewhere(model, overrides, tell=print)
    lines = measure_lines(
        evaluation.measures, evaluation.left_out, whole=whole, positive=evaluation.positive
    )
    made_for = [
        name
        for name in evaluation.measures
        if (family := family_of(name)) is not None and family.by_request
    ]
    for name, split in evaluation.splits.items():
        # the groups of a set that was made for a measure mean little beside it
        lines += [short_line(name, split)] if made_for else accuracy_lines(name, split)
    print("\n".join(lines))


def evaluate_elsewhere(
    model: str, overrides: list[str], *, tell: Callable[[str], object]
) -> tuple[Evaluation, list[str]]:
    """Evaluate a model on another data set; see :func:`run`.

    Returns:
        The evaluation, and the families that the user or the data set names.

    Raises:
        ValueError: the model, the data or an option has a mistake, or a class of the data set is
            none of the model.
    """
    data, others = taken(overrides, "data", None)
    section, texts = split_overrides(others, ("data",))
    options = _options(texts)
    if options.weights is not None and not model.startswith(TIMM):
        raise InputError(f"weights={options.weights} is for a network of timm; got the run {model}")
    if not data:
        raise InputError(f"{model} needs a data set: add data=NAME; see `debias data list`")
    if not model.startswith(TIMM) and Path(model).is_file():
        raise InputError(f"data={data} needs a run's folder or timm:NAME; got the file {model}")
    families, named = _families(data, options.measures)
    examples = _examples(data, section, options.root)
    split = _split(examples, options.split)
    predictor = _predictor(model, options.weights)
    match = _match(data, predictor, examples)
    rows = examples.rows(split)
    tell(f"{model} on {data}, {split}: {len(rows)} images; {_rule(match)}")
    logits = predictor.to(resolve_accelerator(options.accelerator)).predict_rows(
        examples,
        rows,
        batch_size=options.batch_size,
        workers=options.workers,
        progress=options.progress,
    )
    predictions = match.predictions(examples, rows, logits)
    positive = positive_class(match.groups, options.positive)
    evidence = Evidence(predictions, match.groups, scored=match.scored, positive=positive)
    return _evaluation(evidence, measure_all(evidence, families), split, options), named


def _evaluation(
    evidence: Evidence, measures: Measures, split: str, options: ElsewhereOptions
) -> Evaluation:
    """The accuracies and measures of predictions, which are also written where options say so."""
    rows, groups = evidence.predictions, evidence.groups
    counts = margin_counts(*evidence.facts)
    metrics = group_report(counts, groups, None) | {"unknown": int((rows.bias < 0).sum())}
    if options.out is not None:
        numbers: Json = {"metrics": metrics, "positive": evidence.positive}
        write_numbers(Path(options.out), numbers, measures)
    if options.predictions is not None:
        write_named(Path(options.predictions), rows, groups, scored=evidence.scored)
    splits = {split: typed(Split, metrics)}
    return Evaluation(splits, measures.scalars, measures.left_out, evidence.positive)


def _options(texts: list[str]) -> ElsewhereOptions:
    # as text, since YAML reads the class "no" as false
    positive, others = taken(texts, "positive", None)
    given = read_overrides(others)
    for key in given:
        if key not in NAMES:
            hint = near(key, (*NAMES, "data"))
            raise InputError(f"unknown option {key!r} of an evaluation on other data; {hint}")
    options = ElsewhereOptions(
        **{key: converted(ElsewhereOptions, key, value) for key, value in given.items()},
        positive=positive,
    )
    check_at_least(1, {"batch_size": options.batch_size})
    check_at_least(0, {"workers": options.workers})
    for key, path in {"out": options.out, "predictions": options.predictions}.items():
        if path is not None and Path(path).is_dir():
            raise InputError(f"{key}={path} is a folder: give a file in it")
    if options.split is not None:
        check_one_of(SPLITS, {"split": options.split})
    return options


def _examples(data: str, texts: list[str], root: str | None) -> Examples:
    """The data set that ``data=`` names: a preset or another loader, or that of a config."""
    if root is not None:
        texts = [*texts, f"data.root={json.dumps(root, ensure_ascii=False)}"]
    section: Settings
    facts: Settings = {}
    if data in components.names("data") or ":" in data:
        section = {"name": data, **read_overrides(texts).get("data", {})}
    elif (
        "/" in data or "." in data or data in (*shipped_configs.names(), *shipped_configs.former())
    ):
        config = configs.load(data, texts)
        section, facts = config.data, {"cache_dir": config.cache_dir}
    else:
        known = near(data, components.names("data"), "debias data list")
        raise InputError(f"data={data} is no data set, and no config that is shipped; {known}")
    examples: Examples = components.construct("data", section, facts)
    check_rows(examples)
    return examples


def _families(data: str, measures: str | None) -> tuple[list[str], list[str]]:
    """The families to measure, and those that the user or the data set names."""
    of_set = preset(data).measures if is_preset(data) else []
    if measures is None:
        chosen = ",".join(of_set) or "quick"
        return chosen_families(chosen), of_set
    families = chosen_families(measures)
    return families, [name for name in families if name in measure_names(measures)]


def _predictor(model: str, weights: str | None) -> PictureModel:
    if model.startswith(TIMM):
        return pretrained(model.removeprefix(TIMM), weights)
    return load(model)


def _match(data: str, predictor: PictureModel, examples: Examples) -> ClassMatch:
    facts = preset(data) if is_preset(data) else None
    if facts is None or not facts.imagenet:
        return match_classes(predictor.groups, examples.groups)
    imagenet, top = class_map(facts.imagenet), facts.decision == "top"
    return match_classes(predictor.groups, examples.groups, imagenet, top=top)


def _split(examples: Examples, given: str | None) -> str:
    """The split to evaluate: the one that is given, else test, or the last that has images."""
    filled = [split for split in SPLITS if len(examples.rows(split))]
    if given is not None and given not in filled:
        raise InputError(f"split={given} has no image; the data has {', '.join(filled)}")
    return given or filled[-1]


def _rule(match: ClassMatch) -> str:
    """How a class is chosen, for the line above the results."""
    if match.mapping is None:
        return f"the classes are the {match.groups.outputs} of the model"
    classes = match.groups.rows - match.top
    if match.top:
        return f"the highest of {len(WNIDS)} outputs decides, read as one of {classes} classes"
    return f"the score of each of {classes} classes is the mean probability of its ImageNet classes"
