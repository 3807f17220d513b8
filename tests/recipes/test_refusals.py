"""What recipes refuse before training: options out of range, and sections that they set."""

from pathlib import Path

import pytest

from debias import components
from debias import config as configs
from debias.runs.run import Run

PND = "drawn_birds recipe.name=pnd strategy.name=partition"
#: Config and overrides, and what the message says.
REFUSED = [
    ("drawn_birds/aflite recipe.repeats=0", "recipe.repeats must be at least 1 for AFLite; got 0"),
    ("drawn_birds/aflite recipe.least=0.01", "fitted must be below least"),
    ("drawn_birds/aflite sampler.name=class_balanced", "aflite sets sampler.name itself"),
    ("drawn_birds/aflite strategy.name=group_dro", "infers an error set, not group labels"),
    ("drawn_birds/bcsi recipe.top=0", "recipe.top must be at least 1; got 0"),
    ("drawn_birds/bcsi recipe.rest=0", "recipe.rest must be positive; got 0"),
    ("drawn_birds/bcsi sampler.name=class_balanced", "recipe.name=bcsi sets sampler.name itself"),
    ("drawn_birds/bias_ensemble recipe.networks=0", "recipe.networks must be at least 1; got 0"),
    (
        "drawn_birds/bias_ensemble recipe.agreement=6",
        "recipe.agreement must be at most recipe.networks=5; got .*=6",
    ),
    (
        "drawn_birds/bias_ensemble recipe.threshold=2",
        r"recipe.threshold must lie in \[0, 1\]; got 2",
    ),
    (
        "drawn_birds/bias_ensemble strategy.name=lff",
        "strategy.name must be one of amplified_lff, amplified_disentangled",
    ),
    (
        "drawn_birds/bias_ensemble sampler.name=class_balanced",
        "recipe.name=bias_ensemble sets sampler.name itself",
    ),
    ("drawn_birds/per_sample_gradient recipe.norm=0", "recipe.norm must be positive; got 0"),
    (
        "drawn_birds/per_sample_gradient sampler.name=class_balanced",
        "per_sample_gradient sets sampler.name itself",
    ),
    (
        "drawn_birds/per_sample_gradient strategy.name=group_dro",
        "infers an error set, not group labels",
    ),
    (f"{PND} strategy.name=erm", "strategy.name must be one of partition; got 'erm'"),
    (f"{PND} recipe.experts.strategy.width=64", "recipe.experts changes strategy.width, but the"),
    (f"{PND} recipe.experts.strategy.layers=[layer4]", "set strategy.layers for the run"),
    (f"{PND} recipe.experts.strategy.name=erm", "recipe.experts changes strategy.name"),
    (f"{PND} recipe.debiased_weight=-1", "recipe.debiased_weight must be at least 0; got -1"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_refused_before_training(tmp_path: Path, given: str, message: str) -> None:
    name, *overrides = given.split()
    config = configs.load(name, overrides)
    with pytest.raises(ValueError, match=message):
        components.construct("recipe", config.recipe, {}).stages(Run(config, tmp_path))
