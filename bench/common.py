"""What the scripts of `cargo xtask bench` share: one thread, the clock, the rows, and one JSON object as the answer."""
import os

# Before any library is imported: each reads it when it starts its threads.
for library in ("OMP", "MKL", "OPENBLAS", "TBB"):
    os.environ[f"{library}_NUM_THREADS"] = os.environ.get("BENCH_THREADS", "1")

import argparse
import contextlib
import json
import sys
import time

import numpy as np

FEATURES = 39


@contextlib.contextmanager
def clock(report):
    """Writes the CPU seconds that its block took, in all threads, into the report."""
    start = time.process_time()
    yield
    report["cpu_seconds"] = time.process_time() - start


def quality(labels, predictions):
    """Log loss and area under the ROC curve."""
    from sklearn.metrics import log_loss, roc_auc_score

    clipped = np.clip(predictions, 1e-12, 1 - 1e-12)
    return {"logloss": float(log_loss(labels, clipped)), "auc": float(roc_auc_score(labels, predictions))}


def sigmoid(raw):
    return 1 / (1 + np.exp(-raw))


def read_rows(path, rows=None):
    """The first rows of a file of float32 columns, one after the other, as a row-major matrix."""
    return np.ascontiguousarray(np.fromfile(path, np.float32).reshape(FEATURES, -1)[:, :rows].T)


def write_rows(path, features):
    np.ascontiguousarray(features.T, np.float32).tofile(path)


def main(description, commands, *options):
    """Runs the command named first; its options are text, or whole numbers where their name is in capitals."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("command", choices=[command.__name__ for command in commands])
    for option in options:
        parser.add_argument(f"--{option.lower().replace('_', '-')}", type=int if option.isupper() else str)
    a = parser.parse_args()
    command = next(command for command in commands if command.__name__ == a.command)
    with contextlib.redirect_stdout(sys.stderr):  # Some libraries are talkative.
        report = command(a)
    json.dump(report, sys.stdout)
