"""The report's entries before training: data, model, labels that the run reads, backbone."""

import hashlib
import json
from pathlib import Path

from debias import components
from debias import config as configs
from debias.config import Config
from debias.data.examples import SPLITS, Examples
from debias.json_files import Json
from debias.metrics.selection import GROUP_RULES, chosen_rule
from debias.models.weights import read_state_dict
from debias.own_parts import is_own
from debias.parts import Parts
from debias.reports.privacy import without_places
from debias.reports.record import read_report
from debias.run_weights import labels_of, run_of, run_weights
from debias.runs.circumstances import circumstances, digest_of
from debias.runs.run import Recipe, Run


def describe(parts: Parts, config: Config, recipe: Recipe) -> Json:
    """The report's entries that are known before training: config, data, model, strategy, seed."""
    return {
        "schema": 1,
        "config": configs.plain(config),
        "data": {"name": config.data["name"], **describe_examples(parts.examples)},
        "model": {
            "name": config.model["name"],
            "parameters": sum(parameter.numel() for parameter in parts.module.model.parameters()),
            "weights": _weights(config),
        },
        "strategy": {
            "name": config.strategy["name"],
            "method": configs.method_name(config),
            "requires": list(components.requirements(config)),
            "group_labels": labels_read(
                config, recipe, labelled=bool(parts.data.examples.frequencies("val").any())
            ),
        },
        **backbone_of(config),
        "seed": config.seed,
        **circumstances(parts, config),
    }


def _weights(config: Config) -> str:
    name, given, run = config.model["name"], config.model.get("weights"), run_of(config.model)
    if given and (run or Path(given).is_file()):
        state = run_weights(run) if run else read_state_dict(Path(given))
        return f"{Path(given)} (tensors sha256 {digest_of(state)[:12]})"
    if is_own(name):
        return given or f"as {name} makes them"
    has_weights = name not in components.MODELS and config.model.get("pretrained", True)
    return "pretrained" if has_weights else "none"


def describe_examples(examples: Examples) -> Json:
    """Names and sizes of the groups, several bias attributes, contexts, and the rows' digest."""
    groups = examples.groups
    attributes = [
        {"name": one.name, "values": list(one.values), "aligned": list(map(list, one.aligned))}
        for one in groups.attributes
    ]
    return {
        "digest": examples.digest(),
        "targets": list(groups.target_names),
        "biases": list(groups.bias_names),
        "aligned": [list(pair) for pair in groups.aligned],
        "multi_label": groups.multi_label,
        "groups": list(groups.names),
        "counts": {split: examples.frequencies(split).tolist() for split in SPLITS},
        "class_counts": {split: examples.class_counts(split).tolist() for split in SPLITS},
        **({"attributes": attributes} if attributes else {}),
        **({"contexts": list(map(list, groups.contexts))} if groups.contexts else {}),
    }


def labels_read(config: Config, recipe: Recipe, *, labelled: bool = True) -> str:
    """The splits whose true group labels a run reads: "train", "val", "train+val" or "none".

    A run reads the training labels if a component of a stage needs them and no inferred groups
    replace them. It reads the validation labels if its selection rule does. It also reads those
    that its recipe reads, and those that the run read from whose weights it starts.

    Args:
        config: config of the run.
        recipe: recipe of the run.
        labelled: whether some validation image has a bias label. This is assumed before the data
            are read.
    """
    inferred = {*recipe.infers, *_replaced(config)}
    read = {*recipe.labels_before(), *(set(recipe.reads) - {*_replaced(config)})}
    if _asks(config) and "train" not in inferred:
        read.add("train")
    if chosen_rule(config.select, labelled=labelled) in GROUP_RULES and "val" not in inferred:
        read.add("val")
    for stage in recipe.stages(Run(config, Path(config.out))):
        if _asks(stage) and not recipe.relabels and "train" not in _replaced(stage):
            read.add("train")
        if (start := run_of(stage.model)) is not None:
            read.update(labels_of(start))
    return "+".join(split for split in ("train", "val") if split in read) or "none"


def _asks(config: Config) -> bool:
    """Whether a component of a config needs bias labels of the training split."""
    return bool({"bias", "some bias"} & set(components.requirements(config)))


def _replaced(config: Config) -> tuple[str, ...]:
    """Splits whose bias labels are replaced by the file of inferred groups."""
    return tuple(config.groups.splits) if config.groups.file else ()


def backbone_of(config: Config) -> Json:
    """The report's entry about the finished run whose backbone a config uses, at the same seed.

    It is the method and a digest of the settings except the seed. Runs of several seeds, each on
    the backbone of its own seed, then count as one method. Without such a run it is empty.
    """
    folder = Path(str(config.recipe.get("backbone", "")))
    if not (folder / "report.json").is_file():
        return {}
    report = read_report(folder)
    if report.seed != config.seed:
        return {}
    settings = configs.computing(report.config)
    settings.pop("seed", None)
    if report.backbone:
        settings["recipe"] = settings["recipe"] | {"backbone": report.backbone}
    # with the rule that select=auto resolved to, and without paths, which anonymous reports lack
    settings = without_places(settings | {"select": report.selection.rule})
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return {"backbone": f"{report.method} {digest}"}
