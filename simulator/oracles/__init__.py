"""The gradient oracles, one file each. A new file in this folder is a registered oracle."""

from problems.registry import import_modules

import_modules(__name__, __path__)
