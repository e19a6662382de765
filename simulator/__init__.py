"""How it is minimised, how fast, and what theory promises: compressors, methods with their theorems, the engine."""

import simulator.compressors as _compressors  # noqa: F401  (importing registers)
import simulator.methods as _methods  # noqa: F401
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.compressors.rand_k import RandK
from simulator.compressors.top_k import TopK
from simulator.constants import Constants, constants_of
from simulator.engine import simulate
from simulator.method import Bits, Method
from simulator.methods.dcgd import DCGD
from simulator.methods.ef14 import EF14
from simulator.methods.ef21 import EF21
from simulator.methods.ef21_w import EF21W
from simulator.methods.gd import GD
from simulator.theorem import Contraction, Descent, Theorem
from simulator.trace import Trace
from simulator.verdict import Verdict

__all__ = [
    "DCGD",
    "EF14",
    "EF21",
    "EF21W",
    "GD",
    "Bits",
    "Compressor",
    "Constants",
    "Contraction",
    "Descent",
    "Identity",
    "Method",
    "RandK",
    "Theorem",
    "TopK",
    "Trace",
    "Verdict",
    "constants_of",
    "simulate",
]
