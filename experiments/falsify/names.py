"""Theorems by name: METHOD/THEOREM, or THEOREM alone where only one method has such a theorem."""

from experiments.descriptions import silence_text
from problems import InvalidInput
from problems.errors import unknown_name
from problems.registry import look_up, registered
from simulator import Method, Theorem

__all__ = ["find_theorem", "theorem_names", "theorem_of"]


def theorem_names() -> list[str]:
    """METHOD/THEOREM for all that are registered."""
    return [f"{kind}/{theorem.name}" for kind, cls in registered(Method).items() for theorem in cls.theorems]


def find_theorem(text: str) -> tuple[str, Theorem]:
    """The method's kind and the theorem that the text names.

    Raises:
        InvalidInput: it names none, or one of several methods.
    """
    if "/" in text:
        kind, _, name = text.partition("/")
        return kind, theorem_of(kind, name)
    full = [name for name in theorem_names() if name.partition("/")[2] == text]
    if not full:
        raise unknown_name("theorem", text, {name.partition("/")[2] for name in theorem_names()})
    if len(full) > 1:
        raise InvalidInput(f"{len(full)} methods have a theorem {text!r}; say which: {', '.join(full)}")
    return find_theorem(full[0])


def theorem_of(kind: str, name: str) -> Theorem:
    """The theorem of that name of the method.

    Raises:
        InvalidInput: there is no such method, or it has no such theorem.
    """
    cls = look_up("method", kind, registered(Method))
    if not cls.theorems:
        raise InvalidInput(f"{kind} has no theorem to break: {silence_text(cls)}")
    return look_up(f"theorem of {kind}", name, {theorem.name: theorem for theorem in cls.theorems})
