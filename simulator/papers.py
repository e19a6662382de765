"""Where methods come from."""

from typing import NamedTuple

__all__ = ["Paper"]


class Paper(NamedTuple):
    """Where a method was proposed."""

    title: str
    year: int
    arxiv: str = ""


CAUCHY = Paper("Méthode générale pour la résolution des systèmes d'équations simultanées", 1847)
EF14 = Paper("1-bit stochastic gradient descent and its application to data-parallel training of speech DNNs", 2014)
ADAM = Paper("Adam: A method for stochastic optimization", 2014, "1412.6980")
DGC = Paper(
    "Deep gradient compression: Reducing the communication bandwidth for distributed training", 2017, "1712.01887"
)
FEDAVG = Paper("Communication-efficient learning of deep networks from decentralized data", 2016, "1602.05629")
GRADIENT_CODING = Paper("Gradient coding: Avoiding stragglers in distributed learning", 2017, "1612.03301")
LAG = Paper("LAG: Lazily aggregated gradient for communication-efficient distributed learning", 2018, "1805.09965")
DCGD = Paper("Distributed learning with compressed gradients", 2018, "1806.06573")
LOCAL_SGD = Paper("Local SGD converges fast and communicates little", 2018, "1805.09767")
DIANA = Paper("Distributed learning with compressed gradient differences", 2019, "1901.09269")
ONE_BIT_ADAM = Paper(
    "1-bit Adam: Communication efficient large-scale training with Adam's convergence speed", 2021, "2102.02888"
)
MARINA = Paper("MARINA: Faster non-convex distributed learning with compression", 2021, "2102.07845")
EF21 = Paper("EF21: A new, simpler, theoretically better, and practically faster error feedback", 2021, "2106.05203")
FEDBUFF = Paper("Federated learning with buffered asynchronous aggregation", 2021, "2106.06639")
BELLS = Paper(
    "EF21 with bells & whistles: practical algorithmic extensions of modern error feedback", 2021, "2110.03294"
)
THREE_PC = Paper("3PC: Three point compressors for communication-efficient distributed training", 2022, "2202.00998")
EF_BV = Paper("EF-BV: A unified theory of error feedback and variance reduction mechanisms", 2022, "2205.04180")
ASYNCHRONOUS = Paper(
    "A general theory for federated optimization with asynchronous and heterogeneous clients updates",
    2022,
    "2206.10189",
)
MOMENTUM = Paper("Momentum provably improves error feedback!", 2023, "2305.15155")
ECONTROL = Paper("EControl: Fast distributed optimization with compression and error control", 2023, "2311.05645")
DILOCO = Paper("DiLoCo: Distributed low-communication training of language models", 2023, "2311.08105")
CO2 = Paper("CO2: Efficient distributed training with full communication-computation overlap", 2024, "2401.16265")
RELOADED = Paper(
    "Error feedback reloaded: From quadratic to arithmetic mean of smoothness constants", 2024, "2402.10774"
)
STREAMING_DILOCO = Paper(
    "Streaming DiLoCo with overlapping communication: Towards a distributed free lunch", 2025, "2501.18512"
)
