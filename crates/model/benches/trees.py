# /// script
# requires-python = ">=3.10"
# dependencies = ["lightgbm==4.7.0", "numpy==2.4.6"]
# ///
"""Trains the benchmark's model, writes DIR/model.txt and DIR/inputs (row-major f32), and prints LightGBM's rows/s on one thread.

    python trees.py DIR [--trees 500] [--leaves 63] [--features 39] [--categorical 0]
"""
import argparse
import pathlib
import time

import lightgbm as lgb
import numpy as np

ROWS = 60_000
CATEGORIES_MAX = 5000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--leaves", type=int, default=63)
    parser.add_argument("--features", type=int, default=39)
    parser.add_argument("--categorical", type=int, default=0)
    a = parser.parse_args()
    a.dir.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(ROWS, a.features)).astype(np.float32)
    x[:, ::2] = np.round(np.exp(x[:, ::2]) * 10)
    for j in range(a.categorical):
        x[:, j] = np.minimum(rng.zipf(1.2, ROWS) - 1, CATEGORIES_MAX >> (j % 6))
    logit = np.sin(x).sum(axis=1) * 0.4 - 1
    y = rng.random(ROWS) < 1 / (1 + np.exp(-logit))
    model = a.dir / "model.txt"
    if not model.exists():
        settings = dict(objective="binary", num_leaves=a.leaves, verbosity=-1, num_threads=1, learning_rate=0.05, cat_smooth=1, min_data_per_group=20)
        lgb.train(settings, lgb.Dataset(x, y, categorical_feature=list(range(a.categorical))), a.trees).save_model(model)
    x.tofile(a.dir / "inputs")
    booster = lgb.Booster(model_file=model)
    x64 = x[:15_000].astype(np.float64)
    best = 0.0
    for _ in range(3):
        start = time.thread_time()
        booster.predict(x64, raw_score=True, num_threads=1)
        best = max(best, len(x64) / (time.thread_time() - start))
    print(f"lightgbm: {best:,.0f} rows/s")


if __name__ == "__main__":
    main()
