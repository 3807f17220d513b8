"""Training-time debiasing of image classifiers: losses, strategies, group metrics, and the command
line.
"""

import os

# albumentations asks the network for its newest version when it is imported; nothing here may.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
