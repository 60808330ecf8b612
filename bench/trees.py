#!/usr/bin/env python3
"""Makes what the tree cases need: rows of 39 columns like a click log's, LightGBM's model of them, and large files."""
from common import FEATURES, main, read_rows, sigmoid, write_rows

import numpy as np

TRAIN_ROWS = 50_000
MISSING = 0.05
CATEGORIES_MAX = 5_000
SETTINGS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "verbose": -1,
    "seed": 1,
    # On one thread the same rows give the same model.
    "num_threads": 1,
    # Otherwise trees of few rows a category have no categorical splits to speak of.
    "cat_smooth": 1,
    "min_data_per_group": 20,
}


def make(a):
    """A folder: train and labels for the peers' own models, rows to score, LightGBM's model and its raw scores."""
    import lightgbm

    train, labels = draw(np.random.default_rng(1), TRAIN_ROWS, a.categorical)
    rows, _ = draw(np.random.default_rng(2), a.rows, a.categorical)
    data = lightgbm.Dataset(train, labels, categorical_feature=list(range(a.categorical)))
    booster = lightgbm.train(SETTINGS | {"num_leaves": a.leaves}, data, num_boost_round=a.trees)
    booster.save_model(f"{a.out}/model.txt")
    write_rows(f"{a.out}/train", train)
    labels.tofile(f"{a.out}/labels")
    write_rows(f"{a.out}/rows", rows)
    booster.predict(rows, raw_score=True).tofile(f"{a.out}/raw")
    return {"rows": a.rows, "trees": booster.num_trees()}


def draw(generator, rows, categorical):
    """Categories of Zipf popularity first; then counts and measures by turns. Labels depend on all of them."""
    features = generator.normal(size=(rows, FEATURES))
    logit = features[:, 1] * features[:, 3] / 2 - 1.5
    for column in range(FEATURES):
        weight = 0.06 + 0.3 * column / FEATURES
        if column < categorical:
            ids = np.minimum(generator.zipf(1.2, rows) - 1, CATEGORIES_MAX >> column % 6)
            effects = np.random.default_rng(column).normal(size=CATEGORIES_MAX + 1)
            features[:, column] = ids
            logit += 1.5 * weight * effects[ids.astype(np.int64)]
            continue
        logit += weight * np.sin(1.5 * features[:, column])
        if column % 2 == 0:
            features[:, column] = np.round(np.exp(1.5 * features[:, column]) * 10)
        features[generator.random(rows) < MISSING, column] = np.nan
    return features.astype(np.float32), generator.random(rows) < sigmoid(logit)


def parquet(a):
    """A Parquet file of the rows, repeated until there are enough."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = read_rows(f"{a.data}/rows")
    names = [f"Column_{column}" for column in range(FEATURES)]
    table = pa.table(dict(zip(names, features.T)))
    with pq.ParquetWriter(a.out, table.schema, compression="snappy") as writer:
        for start in range(0, a.rows, len(table)):
            writer.write_table(table.slice(0, a.rows - start))
    return {"rows": a.rows}


if __name__ == "__main__":
    main(__doc__, [make, parquet], "out", "data", "ROWS", "TREES", "LEAVES", "CATEGORICAL")
