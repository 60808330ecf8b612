#!/usr/bin/env python3
"""Scores with a peer: rows in memory, or from file to file; and compares predictions with LightGBM's."""
from common import FEATURES, clock, main, read_rows, sigmoid

import os
import sys
import time

import numpy as np

import own_model
import same_model

ENGINES = same_model.ENGINES | own_model.ENGINES
WARM_ROWS = 2_000
CPU_S_MIN = 0.5


def prepare(a):
    """Trains, converts or compiles a peer's model, once."""
    start = time.time()
    ENGINES[a.engine].prepare(a.data, a.out)
    return {"seconds": time.time() - start}


def load(a):
    """The engine with its model; or the reason why there is none."""
    failed = f"{a.model}/failed.txt"
    if os.path.exists(failed):
        with open(failed, encoding="utf-8") as file:
            sys.exit(file.read())
    return ENGINES[a.engine](a.data, a.model)


def memory(a):
    """The same rows again and again until the clock has something to measure; arranged as the engine likes them."""
    engine = load(a)
    features = read_rows(f"{a.data}/rows", a.rows)
    if a.missing == "none":
        features = np.nan_to_num(features)
    arranged = engine.arrange(features)
    calls = [arranged]
    if a.call_rows:
        calls = [engine.arrange(one_user(features[at : at + a.call_rows])) for at in range(0, a.rows, a.call_rows)]
    engine.score(calls[0] if a.call_rows else engine.arrange(features[:WARM_ROWS]))
    passes, start = 0, time.process_time()
    while passes == 0 or time.process_time() - start < CPU_S_MIN:
        for call in calls:
            scores = engine.score(call)
        passes += 1
    report = {"cpu_seconds": time.process_time() - start, "rows": passes * len(features)}
    if a.engine in same_model.ENGINES and a.missing != "none" and not a.call_rows:
        expected = sigmoid(np.fromfile(f"{a.data}/raw")[: len(features)])
        report["difference_max"] = difference(expected, sigmoid(scores) if engine.raw else scores)
    return report


def one_user(features):
    """Candidates for one user, who has the first two thirds of the columns."""
    features = features.copy()
    features[:, : FEATURES * 2 // 3] = features[0, : FEATURES * 2 // 3]
    return features


def files(a):
    """Parquet to Parquet, a row group at a time. Imports and the model's loading are not on the clock."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    report = {"rows": 0}
    engine = load(a)
    with clock(report):
        source = pq.ParquetFile(a.file)
        schema = pa.schema([("ctr", pa.float32())])
        with pq.ParquetWriter(a.out, schema, compression="snappy") as writer:
            for group in range(source.num_row_groups):
                table = source.read_row_group(group, use_threads=False)
                features = np.empty((len(table), FEATURES), np.float32)
                for column in range(FEATURES):
                    features[:, column] = table.column(column).to_numpy()
                scores = engine.score(engine.arrange(features))
                predictions = sigmoid(scores) if engine.raw else scores
                writer.write_table(pa.table([pa.array(predictions.astype(np.float32))], schema=schema))
                report["rows"] += len(table)
    return report


def compare(a):
    """The largest difference between LightGBM's predictions and those in a file or folder, whose rows repeat ours."""
    import pyarrow.parquet as pq

    expected = sigmoid(np.fromfile(f"{a.data}/raw"))
    found = pq.read_table(a.out)["ctr"].to_numpy()
    return {"rows": len(found), "difference_max": difference(np.resize(expected, len(found)), found)}


def difference(expected, found):
    return float(np.max(np.abs(expected - found)))


if __name__ == "__main__":
    main(__doc__, [prepare, memory, files, compare], "engine", "data", "model", "out", "file", "missing", "ROWS", "CALL_ROWS")
