"""Instances of every compressor of the package, for its laws, and the dimension that they are tried in."""

import numpy as np

from simulator import Compressor, Identity, RandK, TopK
from simulator.compressors.adversarial import Adversarial
from simulator.compressors.block_k import BlockK
from simulator.compressors.composition import Composition
from simulator.compressors.damped import Damped
from simulator.compressors.fp4 import FP4
from simulator.compressors.hard_threshold import HardThreshold
from simulator.compressors.low_rank import LowRank
from simulator.compressors.natural import Natural
from simulator.compressors.nearest_power import NearestPower
from simulator.compressors.one_bit import OneBit
from simulator.compressors.perm_k import PermK
from simulator.compressors.power_sgd import PowerSGD
from simulator.compressors.qsgd import QSGD
from simulator.compressors.relative_threshold import RelativeThreshold
from simulator.compressors.sign import Sign
from simulator.compressors.terngrad import TernGrad

DIM = 12  # a matrix of 3 x 4; three blocks of 4; neither 5 nor 20 workers divide it


def compressor_examples() -> list[Compressor]:
    return [
        Identity(),
        TopK(1),
        TopK(3),
        RandK(1),
        RandK(3),
        RandK(3, scaled=True),
        RandK(8, scaled=True),  # contractive as well
        RandK(3, scaled=True, shared_randomness=True),
        PermK(4),
        PermK(5),
        PermK(20),
        BlockK(4),
        BlockK(5),
        Sign(),
        OneBit(),
        Natural(),
        NearestPower(),
        FP4(),
        QSGD(1),
        QSGD(3),
        QSGD(4),
        TernGrad(),
        LowRank(1, rows=3),
        LowRank(2, rows=4),
        PowerSGD(1, rows=3),
        PowerSGD(2, rows=4),
        HardThreshold(0.5),
        RelativeThreshold(0.5),
        RelativeThreshold(1.0),
        Damped(RandK(3, scaled=True)),
        Damped(Natural()),
        Damped(PermK(4)),
        Composition(Natural(), TopK(3)),
        Composition(Damped(Natural()), BlockK(4)),
        Composition(NearestPower(), RandK(4)),
        Composition(TopK(2), RandK(4)),
        Composition(Natural(), RandK(3, scaled=True, shared_randomness=True)),
        Composition(RandK(3, scaled=True, shared_randomness=True), Natural()),
        Composition(QSGD(4), Natural()),
        Composition(QSGD(4), NearestPower()),
        Composition(OneBit(), TopK(3)),
        Composition(FP4(), TopK(3)),
        Adversarial(0.3),
        Adversarial(0.3, "inward"),
        Adversarial(0.3, "outward"),
        Adversarial(0.3, chosen=np.arange(DIM) - 3.0),
    ]
