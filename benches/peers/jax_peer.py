"""JAX with optax's `softmax_cross_entropy_with_integer_labels`, compiled by XLA for the CPU."""

import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import optax

import turns


def cross_entropy(x, t):
    return optax.softmax_cross_entropy_with_integer_labels(x, t).mean()


def prepare(loss, targets, shape, dtype):
    if loss != "cross_entropy":
        raise ValueError(f"no {loss} here")
    x = jnp.asarray(turns.logits(shape), dtype)
    t = jnp.asarray(targets)

    def timed(compute, value_of):
        def run():
            start = time.perf_counter()
            result = jax.block_until_ready(compute(x, t))
            return time.perf_counter() - start, float(value_of(result))

        return run

    return [
        ("jit", False, timed(jax.jit(cross_entropy), lambda value: value)),
        ("jit", True, timed(jax.jit(jax.value_and_grad(cross_entropy)), lambda result: result[0])),
    ]


turns.serve(f"JAX {jax.__version__} + optax {optax.__version__}", prepare)
