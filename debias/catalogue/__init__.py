"""What each method is, costs and was published to reach: facts for ``debias list strategies``, and no logic."""

from debias.catalogue.method import Method, Published
from debias.catalogue.recipes import RECIPES
from debias.catalogue.sampling import AUGMENTATIONS, SAMPLERS
from debias.catalogue.strategies import STRATEGIES

#: By kind of component, as ``debias.components.TABLES`` has them, and then by name.
METHODS: dict[str, dict[str, Method]] = {
    "strategy": STRATEGIES,
    "recipe": RECIPES,
    "sampler": SAMPLERS,
    "augment": AUGMENTATIONS,
}

__all__ = ["METHODS", "Method", "Published"]
