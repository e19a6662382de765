"""The models of configs, made from the registered constructors, so that a new class is configurable at once."""

from collections.abc import Callable
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Union

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, create_model
from pydantic.errors import PydanticUserError

from experiments.clock import CLOCK_TABLES, Clock
from experiments.descriptions import field_meanings, first_line
from experiments.expectations import EXPECTATIONS, Expectation
from experiments.spec import COMPONENTS, component_of, constructors, parameters, spec_of
from experiments.strict import Positive, Strict, tag_of
from problems import InvalidInput, Problem
from simulator import Method
from simulator.arguments import Precision
from simulator.traffic import Payload

__all__ = ["DEEPEST", "Choice", "Rule", "Schema", "Start", "schema"]

DEEPEST = 3  # components may have components that have components

Constructors = dict[type, dict[str, Callable[..., Any]]]


WHOLE = "An experiment of efsim: problems, methods and stepsizes to sweep, and what is expected of the results."
MEANINGS = {
    "name": "Of the experiment and its results folder: letters, digits, '.', '_' and '-'.",
    "description": "In words.",
    "plugins": "Python files with classes that this config names, relative to it; they are imported.",
    "rounds": "How many rounds every run takes.",
    "record_every": "Rounds between two that are recorded; every round is judged.",
    "seeds": "Of the methods that draw: a run for each.",
    "target": "The fraction of |grad f(x^0)|^2 to reach; the first round there is noted.",
    "precision": "Of the runs' numbers; theorems can hardly be judged in float32.",
    "payload": "Bits that a float costs to send.",
    "start": "The starting point x^0.",
    "clock": "The cost model of simulated time, for tables and figures; the runs do not depend on it.",
    "problem": "What is minimised: a table, or several.",
    "method": "How it is minimised: a list of tables.",
    "expect": "Claims beyond those of the theorems, which `efsim verify` and pytest check.",
    "reduced": "Changes that make a small version of the config, in the keys of --set.",
}
STEPSIZE = "gamma: a number, or multiples of the largest stepsize of theorems."


class Choice(Strict):
    """A table whose fields are the parameters of a registered constructor; every field holds the list of its values."""

    constructor: ClassVar[Callable[..., Any]]
    kind: str


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _swept(element: Any) -> Any:
    """The type of a field that takes one value or a list of values to sweep."""
    many = Annotated[list[element], Field(min_length=1)]
    return Annotated[many, BeforeValidator(_listed, json_schema_input_type=element | many)]


class Rule(Strict):
    """Stepsizes as multiples of the largest stepsize of a theorem."""

    rule: _swept(str) = Field(description="The name of a theorem of the method.")  # type: ignore[valid-type]
    multiple: _swept(Positive) = Field([1.0], description="Of its largest stepsize.")  # type: ignore[valid-type]


Stepsize = Annotated[
    Union[Annotated[Positive, Tag("number")], Annotated[Rule, Tag("by-rule")]],  # noqa: UP007
    Discriminator(lambda value: "by-rule" if isinstance(value, dict | Rule) else "number"),
]


class Start(Strict):
    """The starting point x^0: the origin, or scale times a standard normal vector drawn with the seed."""

    kind: Literal["zeros", "normal"] = Field(default="zeros", description="The origin, or a draw.")
    scale: Positive = Field(default=1.0, description="Of the draw.")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="Of the draw.")


class Schema(NamedTuple):
    """The model of a whole config, and those of its tables by what pydantic calls them in the location of an error."""

    whole: type[BaseModel]
    tables: dict[str, type[BaseModel]]


def schema() -> Schema:
    """The schema for what is registered now."""
    bases = (Problem, *COMPONENTS)
    return _schema_of(tuple((base, tuple(constructors(base).items())) for base in bases))


@lru_cache(maxsize=1)
def _schema_of(known: tuple[tuple[type, tuple[tuple[str, Callable[..., Any]], ...]], ...]) -> Schema:
    models = Models({base: dict(entries) for base, entries in known})
    types: dict[str, tuple[Any, Any]] = {
        "name": (Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)], ...),
        "description": (str, ""),
        "plugins": (list[str], []),
        "rounds": (Annotated[int, Field(ge=1, lt=2**31)], ...),
        "record_every": (Annotated[int, Field(ge=1, lt=2**31)], 1),
        "seeds": (_swept(Annotated[int, Field(ge=0, lt=2**32)]), [0]),
        "target": (Annotated[float, Field(gt=0, lt=1)], 1e-6),
        "precision": (Precision, "float64"),
        "payload": (Payload, 32),
        "start": (Start, Start()),
        "clock": (Clock | None, None),
        "problem": (_swept(models.union(Problem)), ...),
        "method": (Annotated[list[models.union(Method)], Field(min_length=1)], ...),
        "expect": (list[Expectation], []),
        "reduced": (dict[str, Any], {}),
    }
    fields: Any = {name: (kind, Field(default, description=MEANINGS[name])) for name, (kind, default) in types.items()}
    whole = create_model("config", __base__=Strict, __doc__=WHOLE, **fields)
    return Schema(
        whole, models.tables | {"by-rule": Rule, "start": Start, "clock": Clock} | EXPECTATIONS | CLOCK_TABLES
    )


class Models:
    """The models of all registered constructors.

    Attributes:
        tables: by "Base.kind", e.g. "Compressor.top-k": kinds are unique among the classes of one base only. This is
            also what pydantic calls a table in the location of an error.
    """

    def __init__(self, known: Constructors) -> None:
        self.known = known
        self.tables: dict[str, type[BaseModel]] = {}
        self._unions: dict[tuple[type, int], Any] = {}

    def union(self, base: type, depth: int = 0) -> Any:
        """The type of a table that describes an object below `base`, itself `depth` tables below a method."""
        if (base, depth) not in self._unions:
            self._unions[base, depth] = self._union(base, depth)
        return self._unions[base, depth]

    def _union(self, base: type, depth: int) -> Any:
        models = {
            f"{base.__name__}.{kind}": self._model(base, kind, constructor, depth)
            for kind, constructor in self.known[base].items()
            if _has_room([component_of(parameter.hint) for parameter in parameters(constructor)], depth)
        }
        self.tables = models | self.tables  # those higher up accept more
        if len(models) == 1:  # there is no union to discriminate, and pydantic would refuse the discriminator
            return next(iter(models.values()))
        tagged = [Annotated[model, Tag(tag)] for tag, model in models.items()]
        return Annotated[reduce(or_, tagged), Discriminator(lambda table: tag_of(base.__name__, table))]  # type: ignore[arg-type]

    def _model(self, base: type, kind: str, constructor: Callable[..., Any], depth: int) -> type[BaseModel]:
        fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
        meanings = field_meanings(constructor)
        for name, hint, required, default in parameters(constructor):
            component = component_of(hint)
            element = hint if component is None else self.union(component, depth + 1)
            about = Field(... if required else [spec_of(default)], description=meanings.get(name))
            fields[name] = (_swept(element), about)
        if base is Method and depth == 0:
            fields["stepsize"] = (_swept(Stepsize), Field(description=STEPSIZE))
        try:
            name = f"{kind}-within" if base is Method and depth else kind  # it is told from the one with a stepsize
            model: Any = create_model(name, __base__=Choice, __doc__=first_line(constructor), **fields)
        except PydanticUserError as error:
            where = f"{kind} ({getattr(constructor, '__qualname__', constructor)})"
            raise InvalidInput(f"{where} has a parameter that no config can give: {error.message}") from error
        model.constructor = constructor
        return model


def _has_room(components: list[type | None], depth: int) -> bool:
    """Whether what has these components may stand so many tables below a method, which itself stands in none."""
    return (depth < DEEPEST or not any(components)) and not (depth and Method in components)
