"""Training-time debiasing of image classifiers: losses, strategies, group metrics, and the command
line.
"""

import os

# on import albumentations looks up its newest version over the network, which must not happen
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
