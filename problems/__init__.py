"""What is minimised: f = (1/n) sum_i f_i with exact constants, synthetic or on real data, dealt to n workers.

Importing this package sets JAX up, see `problems/jax_settings.py`: float64, all cores, a cache of compiled programs.
"""

from problems.jax_settings import set_up_jax

set_up_jax()  # before JAX is used by what follows

from problems.datasets import Dataset, dataset_names, load_dataset  # noqa: E402
from problems.errors import InvalidInput  # noqa: E402
from problems.least_squares import LeastSquares  # noqa: E402
from problems.logistic_regression import LogisticRegression  # noqa: E402
from problems.partition import partition  # noqa: E402
from problems.problem import Evaluation, FiniteSum, Problem, Sparsity  # noqa: E402
from problems.pytrees import frozen_pytree, static  # noqa: E402
from problems.quadratic import Quadratic  # noqa: E402
from problems.registry import import_modules  # noqa: E402
from problems.scaling import scale_features  # noqa: E402
from problems.two_layer_network import TwoLayerNetwork  # noqa: E402

__all__ = [
    "Dataset",
    "Evaluation",
    "FiniteSum",
    "InvalidInput",
    "LeastSquares",
    "LogisticRegression",
    "Problem",
    "Quadratic",
    "Sparsity",
    "TwoLayerNetwork",
    "dataset_names",
    "frozen_pytree",
    "load_dataset",
    "partition",
    "scale_features",
    "static",
]

import_modules(__name__, __path__)  # a new file in this folder is a registered problem
