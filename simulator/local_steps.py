"""Methods whose workers take steps by themselves, and exchange now and then how far they have come."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from problems import Problem
from simulator.inner_optimizers import InnerOptimizer
from simulator.method import Method
from simulator.oracle import GradientOracle
from simulator.parameters import check_number, check_whole
from simulator.traffic import Size

__all__ = ["LocalMethod", "OuterMethod", "Sent", "Workers"]


class Workers(NamedTuple):
    """What the workers hold between two exchanges."""

    models: Array  # x_i, [n, d]
    memory: Any  # of their inner optimisers


class Sent(NamedTuple):
    """What an exchange has brought."""

    messages: Array  # C(D_i + e_i), [n, d]
    errors: Array  # e_i, what is to be sent later, [n, d]
    size: Size  # of a message

    @property
    def mean(self) -> Array:
        """Of the messages, [d]."""
        return jnp.mean(self.messages, axis=0)


class LocalMethod(Method):
    """H local steps of an inner optimiser. The workers exchange what these have changed, D_i = x - x_i.

    What is sent is C(D_i + e_i), and e_i+ = feedback (D_i + e_i - C(D_i + e_i)): nothing is fed back at 0, all that the
    compressor has withheld at 1, which is error feedback.

    Attributes:
        local_steps: H, between two exchanges of a coordinate.
        feedback: in [0, 1].
    """

    local_steps: int
    inner: InnerOptimizer
    oracle: GradientOracle
    feedback: float

    def __post_init__(self) -> None:
        check_whole("local_steps", self.local_steps)
        check_number("feedback", self.feedback, "[0, 1]")

    def descend(
        self, problem: Problem, stepsize: Array, workers: Workers, key: Array, first: int = 0, last: int | None = None
    ) -> Workers:
        """The workers after the local steps from `first` to before `last` of a round, whose key is for sampling."""
        end = self.local_steps if last is None else last

        def local_step(turn: tuple[Array, Workers]) -> tuple[Array, Workers]:
            number, (models, memory) = turn
            exact = problem.worker_gradients(models)
            gradients = self.oracle.draw(problem, models, exact, jax.random.fold_in(key, number))
            return number + 1, Workers(*self.inner.step(stepsize, models, gradients, memory))

        # not a fori_loop, which becomes a scan, for which simulator/lanes.py has no rule
        return lax.while_loop(lambda turn: turn[0] < end, local_step, (jnp.asarray(first, jnp.int32), workers))[1]

    def descend_from(self, problem: Problem, stepsize: Array, x: Array, memory: Any, key: Array) -> Workers:
        """The workers after H local steps from the server's model x [d]."""
        models = jnp.broadcast_to(x, (problem.num_workers, len(x)))
        return self.descend(problem, stepsize, Workers(models, memory), key)

    def exchange(self, key: Array, starts: Array, models: Array, errors: Array) -> Sent:
        """What the server gets for the differences, and what the workers keep. [d] or [n, d], [n, d], [n, d]."""
        owed = jnp.broadcast_to(starts, models.shape) - models + errors
        messages = self.compressor.compress_rows(key, owed)
        size = self.compressor.size(messages, messages.shape[1])
        return Sent(messages, self.feedback * (owed - messages), size)

    def gradient_passes(self, problem: Problem) -> float:
        return self.local_steps * super().gradient_passes(problem)


class OuterMethod(LocalMethod):
    """Local steps, and a step with momentum along the mean of the differences.

    Attributes:
        outer_stepsize: eta > 0.
        outer_momentum: m, in [0, 1).
    """

    outer_stepsize: float
    outer_momentum: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("outer_stepsize", self.outer_stepsize, "(0, inf)")
        check_number("outer_momentum", self.outer_momentum, "[0, 1)")

    def nesterov(self, x: Array, difference: Array, velocity: Array) -> tuple[Array, Array]:
        """u+ = m u + D, x+ = x - eta (D + m u+). Coordinates of x, D and u -> those of x+ and u+."""
        velocity = self.outer_momentum * velocity + difference
        return x - self.outer_stepsize * (difference + self.outer_momentum * velocity), velocity
