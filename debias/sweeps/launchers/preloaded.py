"""What every run needs and takes seconds to import, for a process that is forked for each run.

Its objects are frozen: a forked process does not search them for garbage, and shares their memory.
"""

from importlib import import_module

from debias.imports import fast_imports
from debias.reports.templates import environment

#: The modules, most of which import others.
MODULES = (
    "debias.sweeps.launchers.worker",
    "debias.build",
    "debias.runs.description",
    "debias.runs.outcome",
    "debias.reports.page",
    "albumentations.pytorch",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "torch.utils.tensorboard",
)

with fast_imports():
    for name in MODULES:
        import_module(name)
    environment().get_template("page.html")
