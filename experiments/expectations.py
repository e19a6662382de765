"""What a config expects of its results: the tables [[expect]]."""

from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from experiments.strict import Positive, Strict, tag_of

__all__ = [
    "EXPECTATIONS",
    "Expectation",
    "Exponent",
    "RoundsRatio",
    "SecondsRatio",
    "Selection",
    "VerdictExpectation",
    "told",
]


def _flat(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one: {"problem": {"dim": 3}} becomes {"problem.dim": 3}, the name of a column of results."""
    flat: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float):
            flat[prefix + name] = value
        else:
            told = {"column": prefix + name}
            raise PydanticCustomError("selection", "{column} must be a number, a word, true or false", told)
    return flat


def _interval(ends: list[float]) -> list[float]:
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise PydanticCustomError("interval", "must be [low, high] with low < high")
    return ends


# Runs by what the config chooses for them: {"rule": "quadratic-mean", "problem.smoothness_ratio": 10.0}.
Selection = Annotated[dict[str, Any], AfterValidator(_flat)]
Interval = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], AfterValidator(_interval)]


class VerdictExpectation(Strict):
    """A theorem of a method gets this verdict on the runs that it speaks of."""

    kind: Literal["verdict"]
    method: str = Field(description="Its kind.")
    theorem: str = Field(description="Its name.")
    verdict: Literal["holds", "violated", "undecided"] = Field(default="holds", description="What it has to be.")

    @property
    def name(self) -> str:
        """The claim's name: that of the theorem."""
        return f"{self.method}/{self.theorem}"

    @property
    def statement(self) -> str:
        """The claim in words."""
        return f"the verdict on {self.theorem} of {self.method} is {self.verdict!r}"


class RoundsRatio(Strict):
    """How many times the rounds to the target that `to` takes are taken by `of`; the tolerance is relative."""

    kind: Literal["rounds-ratio"]
    of: Selection = Field(description="The runs whose rounds are divided.")
    to: Selection = Field(description="The runs by whose rounds they are divided.")
    equals: Positive = Field(description="What the ratio should be.")
    tolerance: Positive = Field(description="By how much it may differ, relative to `equals`.")
    reference: str = Field(default="", description="Where the claim comes from.")

    @property
    def name(self) -> str:
        """The claim's name: what is compared."""
        return f"rounds at {told(self.of)} to rounds at {told(self.to)}"

    @property
    def statement(self) -> str:
        """The claim in words."""
        return f"the ratio of the {self.name} is {self.equals:g}, within {100 * self.tolerance:g}%"


class SecondsRatio(Strict):
    """How many times the simulated seconds to the target that `to` takes are taken by `of`."""

    kind: Literal["seconds-ratio"]
    of: Selection = Field(description="The runs whose seconds are divided.")
    to: Selection = Field(description="The runs by whose seconds they are divided.")
    between: Interval = Field(
        description="[low, high], between which the ratio lies.", json_schema_extra={"minItems": 2, "maxItems": 2}
    )
    clock: dict[str, Any] = Field(default={}, description="Fields of the config's clock that are others here.")
    reference: str = Field(default="", description="Where the claim comes from.")

    @property
    def name(self) -> str:
        """The claim's name: what is compared, and by which clock."""
        where = f" with {told(self.clock)}" if self.clock else ""
        return f"simulated seconds at {told(self.of)} to those at {told(self.to)}{where}"

    @property
    def statement(self) -> str:
        """The claim in words."""
        return f"the ratio of the {self.name} is between {self.between[0]:g} and {self.between[1]:g}"


class Exponent(Strict):
    """The slope of log `of` against log `against`, each a column of numbers or the ratio "one/other" of two."""

    kind: Literal["exponent"]
    of: str = Field(default="target_round", description="What is fitted.")
    against: str = Field(description="What it is fitted against.")
    where: Selection = Field(default={}, description="The runs over which it is fitted; all of them by default.")
    between: Interval = Field(
        description="[low, high], between which the exponent lies.", json_schema_extra={"minItems": 2, "maxItems": 2}
    )
    reference: str = Field(default="", description="Where the claim comes from.")

    @property
    def name(self) -> str:
        """The claim's name: what is fitted, and over which runs."""
        return f"exponent of {self.of} against {self.against}" + (f" at {told(self.where)}" if self.where else "")

    @property
    def statement(self) -> str:
        """The claim in words."""
        return f"the {self.name} is between {self.between[0]:g} and {self.between[1]:g}"


def told(selection: dict[str, Any]) -> str:
    """A selection to read."""
    short = {name.removeprefix("problem.").removeprefix("method."): _said(value) for name, value in selection.items()}
    return ", ".join(f"{name} = {value}" for name, value in short.items()) or "every choice"


def _said(value: Any) -> str:
    """A value to read; of a table the kind and the fields: "heavy-tailed shape 1.3"."""
    if not isinstance(value, dict):
        return str(value)
    return " ".join(str(each) if name == "kind" else f"{name} {each}" for name, each in value.items())


# By what pydantic calls them in the location of an error.
EXPECTATIONS: dict[str, type[Strict]] = {
    "Expectation.verdict": VerdictExpectation,
    "Expectation.rounds-ratio": RoundsRatio,
    "Expectation.seconds-ratio": SecondsRatio,
    "Expectation.exponent": Exponent,
}


Expectation = Annotated[
    Union[  # noqa: UP007
        Annotated[VerdictExpectation, Tag("Expectation.verdict")],
        Annotated[RoundsRatio, Tag("Expectation.rounds-ratio")],
        Annotated[SecondsRatio, Tag("Expectation.seconds-ratio")],
        Annotated[Exponent, Tag("Expectation.exponent")],
    ],
    Discriminator(lambda table: tag_of("Expectation", table)),
]
