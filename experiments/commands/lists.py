"""efsim list."""

import click

from experiments.commands.output import Answer, answers

__all__ = ["lists"]

LISTS = {
    "methods": "Methods: what they do, where they come from, their theorems.",
    "theorems": "Theorems: stepsize, assumptions, reference.",
    "compressors": "Compressors and their fields.",
    "oracles": "Gradient oracles and their fields.",
    "inner-optimizers": "Optimisers of local steps, and their fields.",
    "participations": "Ways in which workers take part, and their fields.",
    "times": "How long workers take for their work, and the fields.",
    "regularizers": "Regularisers of proximal methods, and their fields.",
    "codes": "Gradient codes and their fields.",
    "stragglers": "How it comes that workers are late, and the fields.",
    "problems": "Problems and the fields that describe them.",
    "datasets": "Data sets and where they are found.",
}


@click.group(name="list")
def lists() -> None:
    """List what configs may name."""


def _add_list(name: str, text: str) -> None:
    @lists.command(name=name, help=text)
    @answers("a list of objects, whose keys are the labels of the text")
    def show() -> Answer:
        from experiments.listings import LISTINGS
        from problems.registry import load_entry_points

        load_entry_points()
        entries = LISTINGS[name].entries()
        return Answer(LISTINGS[name].text(entries), entries)


for _name, _text in LISTS.items():
    _add_list(_name, _text)
