"""How it is minimised, how fast, and what theory promises: compressors, methods with their theorems, the engine."""

import simulator.compressors as _compressors  # noqa: F401  (importing registers)
import simulator.methods as _methods  # noqa: F401
import simulator.oracles as _oracles  # noqa: F401
from simulator.compressor import Compressor
from simulator.compressors.adversarial import Adversarial
from simulator.compressors.block_k import BlockK
from simulator.compressors.composition import Composition
from simulator.compressors.damped import Damped
from simulator.compressors.hard_threshold import HardThreshold
from simulator.compressors.identity import Identity
from simulator.compressors.low_rank import LowRank
from simulator.compressors.natural import Natural
from simulator.compressors.nearest_power import NearestPower
from simulator.compressors.one_bit import OneBit
from simulator.compressors.perm_k import PermK
from simulator.compressors.power_sgd import PowerSGD
from simulator.compressors.qsgd import QSGD
from simulator.compressors.rand_k import RandK
from simulator.compressors.relative_threshold import RelativeThreshold
from simulator.compressors.sign import Sign
from simulator.compressors.terngrad import TernGrad
from simulator.compressors.top_k import TopK
from simulator.constants import Constants, constants_of
from simulator.engine import simulate
from simulator.method import Method
from simulator.methods.clag import CLAG
from simulator.methods.dcgd import DCGD
from simulator.methods.diana import DIANA
from simulator.methods.econtrol import EControl
from simulator.methods.ef14 import EF14
from simulator.methods.ef21 import EF21
from simulator.methods.ef21_bc import EF21BC
from simulator.methods.ef21_cloned import ClonedEF21
from simulator.methods.ef21_hb import EF21HB
from simulator.methods.ef21_page import EF21PAGE
from simulator.methods.ef21_plus import EF21Plus
from simulator.methods.ef21_pp import EF21PP
from simulator.methods.ef21_prox import EF21Prox
from simulator.methods.ef21_sgd import EF21SGD
from simulator.methods.ef21_sgdm import EF21SGDM
from simulator.methods.ef21_w import EF21W
from simulator.methods.ef21_w_pp import EF21WPP
from simulator.methods.ef21_w_sgd import EF21WSGD
from simulator.methods.ef_bv import EFBV
from simulator.methods.gd import GD
from simulator.methods.lag import LAG
from simulator.methods.marina import MARINA
from simulator.methods.three_pc_v1 import ThreePCv1
from simulator.methods.three_pc_v2 import ThreePCv2
from simulator.methods.three_pc_v4 import ThreePCv4
from simulator.methods.three_pc_v5 import ThreePCv5
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.oracles.gaussian_noise import GaussianNoise
from simulator.oracles.minibatch import Minibatch
from simulator.papers import Paper
from simulator.participation import FixedNumber, Independent, Participation
from simulator.proximal import L0, L1, Box, ProximalRegularizer
from simulator.theorem import Assumption, Contraction, Descent, Growth, Theorem
from simulator.trace import Trace
from simulator.traffic import Size, Traffic, dense, nothing, traffic
from simulator.verdict import Verdict

# Raised when the numbers of a run change, beyond rounding: what was computed before is then computed anew.
NUMERICAL_VERSION = 2

__all__ = [
    "CLAG",
    "DCGD",
    "DIANA",
    "EF14",
    "EF21",
    "EF21BC",
    "EF21HB",
    "EF21PAGE",
    "EF21PP",
    "EF21SGD",
    "EF21SGDM",
    "EF21W",
    "EF21WPP",
    "EF21WSGD",
    "EFBV",
    "GD",
    "L0",
    "L1",
    "LAG",
    "MARINA",
    "NUMERICAL_VERSION",
    "QSGD",
    "Adversarial",
    "Assumption",
    "BlockK",
    "Box",
    "ClonedEF21",
    "Composition",
    "Compressor",
    "Constants",
    "Contraction",
    "Damped",
    "Descent",
    "EControl",
    "EF21Plus",
    "EF21Prox",
    "Exact",
    "FixedNumber",
    "GaussianNoise",
    "GradientOracle",
    "Growth",
    "HardThreshold",
    "Identity",
    "Independent",
    "LowRank",
    "Method",
    "Minibatch",
    "Natural",
    "NearestPower",
    "OneBit",
    "Paper",
    "Participation",
    "PermK",
    "PowerSGD",
    "ProximalRegularizer",
    "RandK",
    "RelativeThreshold",
    "Sign",
    "Size",
    "TernGrad",
    "Theorem",
    "ThreePCv1",
    "ThreePCv2",
    "ThreePCv4",
    "ThreePCv5",
    "TopK",
    "Trace",
    "Traffic",
    "Verdict",
    "constants_of",
    "dense",
    "nothing",
    "simulate",
    "traffic",
]
