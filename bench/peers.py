#!/usr/bin/env python3
"""The Python side of `cargo xtask bench`: makes data, and runs our peers.

Each command prints one JSON object. `cpu_seconds` is the CPU time of the measured part alone, without the interpreter's
start and imports. Every peer runs on one thread.
"""
import argparse
import contextlib
import json
import os
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LABEL = "label"
VW_COMMON = "--loss_function logistic --link logistic -b 22 --quiet --holdout_off"


@contextlib.contextmanager
def clock(report):
    """Writes the CPU seconds that its block took into the report."""
    start = time.process_time()
    yield
    report["cpu_seconds"] = time.process_time() - start


def quality(labels, predictions):
    """Log loss and area under the ROC curve."""
    from sklearn.metrics import log_loss, roc_auc_score

    clipped = np.clip(predictions, 1e-12, 1 - 1e-12)
    return {"logloss": float(log_loss(labels, clipped)), "auc": float(roc_auc_score(labels, predictions))}


def matrix(path):
    """The labels, and all other columns as float64, missing values as NaN."""
    table = pq.read_table(path, use_threads=False)
    names = [name for name in table.column_names if name != LABEL]
    columns = [table[name].to_numpy().astype(np.float64) for name in names]
    labels = table[LABEL].to_numpy() if LABEL in table.column_names else None
    return labels, np.stack(columns, axis=1)


def vw_train(a):
    """Vowpal Wabbit's logistic regression, one pass over its text format."""
    import vowpalwabbit

    report = {"rows": count_lines(a.data)}
    with clock(report):
        vw = vowpalwabbit.Workspace(f"{VW_COMMON} -d {a.data} -f {a.model}")
        vw.finish()
    return report


def vw_predict(a):
    """Vowpal Wabbit's predictions, text to text; their quality is measured outside the clock."""
    import vowpalwabbit

    report = {"rows": count_lines(a.data)}
    with clock(report):
        vw = vowpalwabbit.Workspace(f"-t --link logistic --quiet -i {a.model} -d {a.data} -p {a.out}")
        vw.finish()
    with open(a.data, encoding="utf-8") as lines:
        labels = np.array([line.startswith("1 ") for line in lines])
    predictions = np.loadtxt(a.out, ndmin=1)
    return report | quality(labels, predictions)


def count_lines(path):
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def lightgbm_train(a):
    """LightGBM with 50 trees on the same columns, categories as numbers; then its quality on the test rows."""
    import lightgbm

    labels, features = matrix(a.data)
    report = {"rows": len(labels)}
    parameters = {"objective": "binary", "num_threads": 1, "num_leaves": 31, "learning_rate": 0.1, "verbose": -1}
    with clock(report):
        data = lightgbm.Dataset(features, labels, params={"verbose": -1})
        booster = lightgbm.train(parameters, data, num_boost_round=50)
    booster.save_model(a.model)
    labels, features = matrix(a.test)
    return report | quality(labels, booster.predict(features, num_threads=1))


def trees_make(a):
    """500 trees of 63 leaves over 39 numeric columns, and rows to predict."""
    import lightgbm

    generator = np.random.default_rng(1)
    features = generator.normal(size=(a.rows, 39)).astype(np.float32)
    features[generator.random(features.shape) < 0.05] = np.nan
    known = np.nan_to_num(features)
    logit = known[:, 0] * known[:, 1] + np.sin(known[:, 2] * 2) + known[:, 3:] @ generator.normal(0, 0.3, 36) - 1
    labels = generator.random(a.rows) < 1 / (1 + np.exp(-logit))
    parameters = {"objective": "binary", "num_leaves": 63, "learning_rate": 0.05, "verbose": -1, "seed": 1}
    train = min(a.rows, 50_000)
    data = lightgbm.Dataset(features[:train], labels[:train], feature_name=[f"f{i}" for i in range(39)])
    booster = lightgbm.train(parameters, data, num_boost_round=500)
    booster.save_model(a.model)
    pq.write_table(pa.table({f"f{i}": features[:, i] for i in range(39)}), a.data, compression="snappy")
    return {"rows": a.rows, "trees": booster.num_trees()}


def trees_predict(a):
    """LightGBM's prediction: of a matrix in memory, or from file to file."""
    import lightgbm

    booster = lightgbm.Booster(model_file=a.model)
    report = {}
    if a.out is None:
        _, features = matrix(a.data)
        with clock(report):
            predictions = booster.predict(features, num_threads=1)
    else:
        with clock(report):
            _, features = matrix(a.data)
            predictions = booster.predict(features, num_threads=1)
            pq.write_table(pa.table({"ctr": predictions.astype(np.float32)}), a.out)
    return report | {"rows": len(predictions)}


def compare(a):
    """The largest difference between LightGBM's predictions and those in a file or folder."""
    import lightgbm

    _, features = matrix(a.data)
    expected = lightgbm.Booster(model_file=a.model).predict(features)
    found = pq.read_table(a.out)["ctr"].to_numpy()
    if len(found) != len(expected):
        sys.exit(f"{len(found)} predictions for {len(expected)} rows in {a.out}")
    return {"rows": len(found), "difference_max": float(np.max(np.abs(found - expected)))}


def repeat(a):
    """One file that repeats a file's rows until it is large enough, or has enough rows in a single row group."""
    table = pq.read_table(a.data)
    if a.rows:
        copies = -(-a.rows // len(table))
        whole = pa.concat_tables([table] * copies).slice(0, a.rows)
        pq.write_table(whole, a.out, row_group_size=a.rows, compression="snappy")
        return {"rows": a.rows, "bytes": os.path.getsize(a.out)}
    rows = 0
    with pq.ParquetWriter(a.out, table.schema, compression="snappy") as writer:
        while os.path.getsize(a.out) < a.bytes:
            writer.write_table(table, row_group_size=250_000)
            rows += len(table)
    return {"rows": rows, "bytes": os.path.getsize(a.out)}


def main():
    commands = [vw_train, vw_predict, lightgbm_train, trees_make, trees_predict, compare, repeat]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=[command.__name__ for command in commands])
    parser.add_argument("--data", required=True)
    parser.add_argument("--test")
    parser.add_argument("--model")
    parser.add_argument("--out")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--bytes", type=int)
    a = parser.parse_args()
    command = next(command for command in commands if command.__name__ == a.command)
    json.dump(command(a), sys.stdout)


if __name__ == "__main__":
    main()
