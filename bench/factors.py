#!/usr/bin/env python3
"""Peers of the factor models, on the data of `criteo_like.py`: Vowpal Wabbit, and LightGBM with few trees."""
from common import clock, main, quality

import os

import numpy as np

LABEL = "label"
VW_COMMON = "--loss_function logistic --link logistic -b 22 --quiet --holdout_off"


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


def repeat(a):
    """One file that repeats a file's rows until it is large enough, or has enough rows in a single row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

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


def matrix(path):
    """The labels, and all other columns as float64, missing values as NaN."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, use_threads=False)
    columns = [table[name].to_numpy().astype(np.float64) for name in table.column_names if name != LABEL]
    return table[LABEL].to_numpy(), np.stack(columns, axis=1)


if __name__ == "__main__":
    main(__doc__, [vw_train, vw_predict, lightgbm_train, repeat], "data", "test", "model", "out", "ROWS", "BYTES")
