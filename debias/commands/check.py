"""``debias check``: validate a config and its data without training."""

from debias import components
from debias import config as configs
from debias.commands.images import image_lines
from debias.metrics.selection import chosen_rule
from debias.places import runs_folder
from debias.runs.run import Recipe, Run


def run(config: str, overrides: list[str]) -> None:
    """Build every object of a run and decode every image once, then print what would be trained.

    Decoded images fill the cache, from which ``debias train`` reads them.

    Raises:
        ValueError: the config or the data has a mistake.
    """
    chosen = configs.load(config, overrides)
    recipe: Recipe = components.construct("recipe", chosen.recipe, {})
    run = Run(chosen, runs_folder(chosen) / configs.run_name(chosen))
    parts = run.check(recipe)
    parts.data.decode(once=True)
    print("\n".join(image_lines(parts.examples)))
    parameters = sum(parameter.numel() for parameter in parts.module.model.parameters())
    where = f"{parts.precision} on {parts.accelerator}"
    print(f"model {chosen.model['name']}: {parameters:,} parameters, {where}")
    rule = chosen_rule(chosen.select, labelled=bool(parts.data.examples.frequencies("val").any()))
    epoch = f"an epoch visits {len(parts.data.order)} images"
    print(f"{epoch}; {chosen.epochs} epochs; selected by {rule}")
    if parts.data.caches:
        print(f"picture cache: {parts.data.cache_dir}")
    print(f"run {run.folder.name}: ready")
