"""One or more instances of every method, for tests to share: small parameters for WORKERS workers in DIM dimensions."""

from collections.abc import Callable
from typing import Any

from simulator import (
    CLAG,
    DCGD,
    DIANA,
    EF14,
    EF21,
    EF21BC,
    EF21HB,
    EF21PAGE,
    EF21PP,
    EF21SGD,
    EF21SGDM,
    EF21W,
    EF21WPP,
    EF21WSGD,
    EFBV,
    GD,
    L1,
    LAG,
    MARINA,
    Box,
    ClonedEF21,
    Compressor,
    EControl,
    EF21Plus,
    EF21Prox,
    FixedNumber,
    GaussianNoise,
    Independent,
    Method,
    Minibatch,
    RandK,
    ThreePCv1,
    ThreePCv2,
    ThreePCv4,
    ThreePCv5,
    TopK,
)

# How to make each method from a contractive compressor, or from an unbiased one where it needs that.
CONTRACTIVE: dict[str, Callable[[Any], Method]] = {
    "gd": lambda c: GD(),
    "dcgd": DCGD,
    "ef14": EF14,
    "ef21": EF21,
    "ef21-w": EF21W,
    "ef21-cloned": ClonedEF21,
    "ef21-plus": EF21Plus,
    "ef21-pp": lambda c: EF21PP(c, Independent(0.5)),
    "ef21-w-pp": lambda c: EF21WPP(c, FixedNumber(2)),
    "ef21-sgd": lambda c: EF21SGD(c, Minibatch(2)),
    "ef21-w-sgd": lambda c: EF21WSGD(c, Minibatch(3, replacement=True)),
    "ef21-sgdm": lambda c: EF21SGDM(c, Minibatch(2), eta=0.4),
    "ef21-hb": lambda c: EF21HB(c, momentum=0.5),
    "ef21-page": lambda c: EF21PAGE(c, Minibatch(2), probability=0.4),
    "ef21-bc": lambda c: EF21BC(c, TopK(3)),
    "ef21-prox": lambda c: EF21Prox(c, L1(0.05)),
    "econtrol": EControl,
    "ef-bv": EFBV,
    "lag": lambda c: LAG(2.0),
    "clag": lambda c: CLAG(c, 1.5),
    "3pc-v1": ThreePCv1,
    "3pc-v2": lambda c: ThreePCv2(c, RandK(2, scaled=True)),
    "3pc-v4": lambda c: ThreePCv4(c, TopK(2)),
    "3pc-v5": lambda c: ThreePCv5(c, probability=0.3),
}
UNBIASED: dict[str, Callable[[Any], Method]] = {
    "diana": DIANA,
    "marina": lambda q: MARINA(q, probability=0.3),
}
# Those that draw even where the compressor does not.
RANDOM = {"ef21-pp", "ef21-w-pp", "ef21-sgd", "ef21-w-sgd", "ef21-sgdm", "ef21-page", "3pc-v2", "3pc-v5", *UNBIASED}
# Further choices of parts, which change a method's update.
VARIANTS: dict[str, Method] = {
    "ef-sgd": EF14(TopK(2), Minibatch(2)),
    "ef21-prox box": EF21Prox(TopK(2), Box(0.4)),
    "ef21-sgd noise": EF21SGD(TopK(2), GaussianNoise(0.1)),
    "ef-bv unbiased": EFBV(RandK(2, scaled=True)),
    "ef-bv random": EFBV(RandK(2)),
}


def method_examples(contractive: Compressor, unbiased: Compressor) -> dict[str, Method]:
    """Every method by its kind, and the variants."""
    made = {kind: make(contractive) for kind, make in CONTRACTIVE.items()}
    return made | {kind: make(unbiased) for kind, make in UNBIASED.items()} | VARIANTS
