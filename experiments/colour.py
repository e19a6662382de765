"""Verdicts and statuses in colours, beside their words, which say the same where there are none.

Only commands print coloured text, and click takes the colours away where no terminal reads them; the command line does
where NO_COLOR or TERM=dumb ask for that.
"""

import click

__all__ = ["coloured", "visible"]

COLOURS = {
    **dict.fromkeys(("holds", "met"), "green"),
    **dict.fromkeys(("VIOLATED", "NOT MET"), "red"),
    **dict.fromkeys(("undecided", "untested"), "yellow"),
}


def coloured(word: str) -> str:
    """A verdict or a status in its colour; any other word as it is."""
    return click.style(word, fg=COLOURS[word]) if word in COLOURS else word


def visible(text: str) -> int:
    """How many columns the text takes."""
    return len(click.unstyle(text))
