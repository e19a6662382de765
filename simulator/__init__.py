"""How it is minimised, how fast, and what theory promises: compressors, methods with their theorems, the engine."""

import simulator.compressors as _compressors  # noqa: F401  (importing registers)
import simulator.methods as _methods  # noqa: F401
import simulator.oracles as _oracles  # noqa: F401
from simulator.compressor import Compressor
from simulator.compressors.adversarial import Adversarial
from simulator.compressors.block_k import BlockK
from simulator.compressors.composition import Composition
from simulator.compressors.damped import Damped
from simulator.compressors.fp4 import FP4
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
from simulator.gradient_code import CyclicRepetition, FractionalRepetition, GradientCode, decoding_weights
from simulator.inner_optimizers import SGD, AdamW, InnerOptimizer
from simulator.method import Method
from simulator.methods.adam import Adam
from simulator.methods.adam_ef import AdamEF
from simulator.methods.async_fedavg import AsyncFedAvg
from simulator.methods.clag import CLAG
from simulator.methods.co2 import CO2
from simulator.methods.dcgd import DCGD
from simulator.methods.dgc import DGC
from simulator.methods.diana import DIANA
from simulator.methods.diloco import DiLoCo
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
from simulator.methods.fedavg import FedAvg
from simulator.methods.fedbuff import FedBuff
from simulator.methods.fedfix import FedFix
from simulator.methods.gd import GD
from simulator.methods.gradient_coding import GradientCoding
from simulator.methods.lag import LAG
from simulator.methods.local_sgd import LocalSGD
from simulator.methods.marina import MARINA
from simulator.methods.one_bit_adam import OneBitAdam
from simulator.methods.streaming_diloco import StreamingDiLoCo
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
from simulator.sequential_codes import Multiplexed, SelectiveRepeat
from simulator.stragglers import FixedStragglers, GilbertElliott, IndependentStragglers, Stragglers
from simulator.theorem import Assumption, Contraction, Descent, Growth, Theorem
from simulator.trace import Trace
from simulator.traffic import Size, Traffic, dense, nothing, traffic
from simulator.verdict import Verdict
from simulator.working_times import ExponentialTimes, FixedTimes, ParetoTimes, WorkingTimes

# Raised when the numbers of a run change, beyond rounding: what was computed before is then computed anew.
NUMERICAL_VERSION = 2

__all__ = [
    "CLAG",
    "CO2",
    "DCGD",
    "DGC",
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
    "FP4",
    "GD",
    "L0",
    "L1",
    "LAG",
    "MARINA",
    "NUMERICAL_VERSION",
    "QSGD",
    "SGD",
    "Adam",
    "AdamEF",
    "AdamW",
    "Adversarial",
    "Assumption",
    "AsyncFedAvg",
    "BlockK",
    "Box",
    "ClonedEF21",
    "Composition",
    "Compressor",
    "Constants",
    "Contraction",
    "CyclicRepetition",
    "Damped",
    "Descent",
    "DiLoCo",
    "EControl",
    "EF21Plus",
    "EF21Prox",
    "Exact",
    "ExponentialTimes",
    "FedAvg",
    "FedBuff",
    "FedFix",
    "FixedNumber",
    "FixedStragglers",
    "FixedTimes",
    "FractionalRepetition",
    "GaussianNoise",
    "GilbertElliott",
    "GradientCode",
    "GradientCoding",
    "GradientOracle",
    "Growth",
    "HardThreshold",
    "Identity",
    "Independent",
    "IndependentStragglers",
    "InnerOptimizer",
    "LocalSGD",
    "LowRank",
    "Method",
    "Minibatch",
    "Multiplexed",
    "Natural",
    "NearestPower",
    "OneBit",
    "OneBitAdam",
    "Paper",
    "ParetoTimes",
    "Participation",
    "PermK",
    "PowerSGD",
    "ProximalRegularizer",
    "RandK",
    "RelativeThreshold",
    "SelectiveRepeat",
    "Sign",
    "Size",
    "Stragglers",
    "StreamingDiLoCo",
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
    "WorkingTimes",
    "constants_of",
    "decoding_weights",
    "dense",
    "nothing",
    "simulate",
    "traffic",
]
