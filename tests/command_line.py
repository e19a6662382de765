"""The command line, as a user types it."""

from click.testing import CliRunner, Result

from experiments.cli import main


def efsim(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """What a user's mistake is told."""
    done = efsim(*arguments)
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.stderr
    return done.stderr
