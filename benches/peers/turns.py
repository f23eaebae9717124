"""The other side of `turns/src/child.rs`: one JSON value a line, on standard input and output."""

import json
import os
import sys
import traceback

import numpy as np


def logits(shape):
    """The float32 logits that `turns/src/data.rs` makes, bit for bit."""
    values = hashed(int(np.prod(shape, dtype=np.int64)), 2654435761)
    return (values * np.float32(12) - np.float32(6)).reshape(shape)


def hashed(count, factor):
    """float32 from 0 to 1."""
    values = np.empty(count, np.float32)
    piece = 1 << 22
    for start in range(0, count, piece):
        i = np.arange(start, min(start + piece, count)).astype(np.uint32)
        i *= np.uint32(factor)
        i >>= np.uint32(8)
        values[start : start + i.size] = i.astype(np.float32) / np.float32(1 << 24)
    return values


def targets(shape, kind="classes"):
    """What `turns/src/kind.rs` makes of a kind: the class of each row, or one float32 a logit."""
    if kind == "classes":
        return classes(shape)
    values = hashed(int(np.prod(shape, dtype=np.int64)), 2246822519).reshape(shape)
    if kind == "signs":
        return np.where(values > np.float32(0.5), np.float32(1), np.float32(-1))
    return values * np.float32(2) / np.float32(shape[1]) if kind == "distributions" else values


def classes(shape):
    """The class of each row; (N), or (N, d1, ...) where the class axis is second."""
    rows = shape[:1] + shape[2:]
    r = np.arange(int(np.prod(rows, dtype=np.int64))).astype(np.uint32) * np.uint32(40503)
    return (r % np.uint32(shape[1])).astype(np.int32).reshape(rows)


def serve(name, prepare):
    """Answers until the input ends.

    `prepare(loss, targets, shape, dtype)`, of a name and an array, returns a list of (variant, gradient, run), and `run()` returns (seconds, loss).
    """
    # Libraries print what they like: the answers have a descriptor of their own.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    entries = []
    say({"name": name})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "prepare" in asked:
                batch = asked["prepare"]
                shape = tuple(batch["shape"])
                entries = prepare(batch["loss"], targets(shape, batch["targets"]), shape, batch["dtype"])
                say({"entries": [{"variant": variant, "gradient": gradient} for variant, gradient, _ in entries]})
            elif "run" in asked:
                seconds, loss = entries[asked["run"]][2]()
                say({"seconds": seconds, "loss": loss})
            else:
                entries = []
                say({})
        except Exception as error:  # the driver leaves this peer out, and says why
            traceback.print_exc()
            say({"error": f"{type(error).__name__}: {error}"})
