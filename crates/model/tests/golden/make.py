# /// script
# requires-python = ">=3.10"
# dependencies = ["lightgbm==4.7.0", "numpy==2.4.6", "pandas==3.1.1"]
# ///
"""Makes the golden files of the LightGBM reader: models, hostile inputs, and LightGBM's own answers.

    python make.py                    # rewrites the files beside this script
    python make.py --live DIR ROWS    # same models, ROWS rows each, inputs and answers as raw little-endian f64 in DIR

Each model NAME gives NAME.txt (the model) and NAME.csv: one column a feature, then `raw` (raw_score=True) and
`probability`. In the live form NAME.inputs is row-major, NAME.answers holds raw, probability pairs.
"""
import argparse
import pathlib
import re

import lightgbm as lgb
import numpy as np
import pandas as pd

TRAIN_ROWS = 4000
GOLDEN_ROWS = 200
COMMON = dict(objective="binary", verbosity=-1, num_threads=1, deterministic=True, seed=7, force_row_wise=True)
TEXTS = ["banner", "native", "video", "inter stitial", "été"]


def uniform(rng, n, k):
    return np.round(rng.normal(size=(n, k)), 3)


def with_missing(rng, x, value, share=0.15):
    x = x.copy()
    x[rng.random(x.shape) < share] = value
    return x


def clicks(rng, x, categorical=()):
    """Labels that depend on every column, also on whether it is missing."""
    logit = np.full(len(x), -0.5)
    for j in range(x.shape[1]):
        column = x[:, j]
        if j in categorical:
            logit += np.sin(np.nan_to_num(column, nan=-3.0) * 2.7 + j)
        else:
            logit += np.where(np.isnan(column), 0.8, np.sin(np.nan_to_num(column) * (1 + j)) + 0.3 * np.nan_to_num(column))
    return (rng.random(len(x)) < 1 / (1 + np.exp(-logit))).astype(float)


def train(x, y, rounds, categorical=(), **settings):
    data = lgb.Dataset(x, y, categorical_feature=list(categorical) or "auto", params=COMMON | settings, free_raw_data=False)
    return lgb.train(COMMON | settings, data, num_boost_round=rounds)


def hostile(rng, booster, n, categorical=()):
    """Rows with ordinary values, values on and beside thresholds, missing values and values no training data has."""
    k = booster.num_feature()
    x = uniform(rng, n, k) * rng.choice([0.5, 1.0, 3.0], size=(n, 1))
    thresholds = {j: [] for j in range(k)}
    for tree in re.findall(r"split_feature=([^\n]+)\n.*?threshold=([^\n]+)\n", booster.model_to_string(), re.S):
        for feature, threshold in zip(tree[0].split(), tree[1].split()):
            thresholds[int(feature)].append(float(threshold))
    for j in range(k):
        odd = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-35, -1e-35, 1.1e-35, 1e-36, 1e300, -1e300, 1e-310]
        if j in categorical:
            x[:, j] = rng.integers(0, categorical[j], size=n)
            odd = [np.nan, np.inf, -np.inf, -0.0, -0.5, -1.0, -7.0, 0.99, 2.7, 31.0, 32.0, 1e6, 2147483647.0, 2147483648.0, -3e9, 4294967296.0, 1e300]
        elif thresholds[j]:
            on = rng.choice(thresholds[j], size=n)
            beside = np.nextafter(on, rng.choice([-np.inf, np.inf], size=n))
            pick = rng.random(n)
            x[:, j] = np.where(pick < 0.2, on, np.where(pick < 0.3, beside, x[:, j]))
        x[:, j] = np.where(rng.random(n) < 0.15, rng.choice(odd, size=n), x[:, j])
    return x


def zoo():
    """Yields name, booster, {categorical column: number of categories}."""
    def of(name, k=5, rounds=8, categorical=None, missing=None, rows=TRAIN_ROWS, **settings):
        rng = np.random.default_rng(sum(map(ord, name)))
        categorical = categorical or {}
        x = uniform(rng, rows, k)
        for j, count in categorical.items():
            x[:, j] = np.minimum(rng.zipf(1.3, size=rows) - 1, count - 1)
        if missing is not None:
            x = with_missing(rng, x, missing)
        y = clicks(rng, x, categorical)
        if settings.get("objective") == "cross_entropy":
            y = np.round(0.1 + 0.8 * y, 2)
        return name, train(x, y, rounds, categorical, num_leaves=settings.pop("num_leaves", 15), **settings), categorical

    yield of("numeric")
    yield of("missing_nan", missing=np.nan)
    yield of("missing_none", missing=np.nan, use_missing=False)
    yield of("zero_as_missing", missing=0.0, zero_as_missing=True)
    yield of("zero_as_missing_with_nan", missing=np.nan, zero_as_missing=True)
    yield of("categorical_small", categorical={0: 3, 2: 12}, missing=np.nan)
    yield of("categorical_large", categorical={1: 900, 3: 60}, rows=12000, min_data_per_group=5, cat_smooth=1.0, cat_l2=1.0)
    yield of("random_forest", boosting="rf", bagging_freq=1, bagging_fraction=0.6, feature_fraction=0.8, missing=np.nan)
    yield of("dart", boosting="dart", drop_rate=0.5, skip_drop=0.0, rounds=12)
    yield of("custom_sigmoid", sigmoid=0.37)
    yield of("cross_entropy", objective="cross_entropy")
    yield of("linear", linear_tree=True, missing=np.nan, rounds=6)
    yield of("linear_categorical", linear_tree=True, categorical={1: 10}, rounds=6, num_leaves=8)
    yield of("one_tree", rounds=1)
    yield of("one_leaf", rounds=1, min_data_in_leaf=TRAIN_ROWS)
    yield of("forest_of_stumps_and_leaves", boosting="rf", bagging_freq=1, bagging_fraction=0.5, num_leaves=2, min_gain_to_split=170.0)
    yield of("deep", k=3, rounds=3, num_leaves=150, min_data_in_leaf=2, max_depth=-1, missing=np.nan)
    yield of("many_thresholds", k=1, rounds=40, num_leaves=31, max_bin=4000, min_data_in_leaf=2, min_data_in_bin=1)
    yield of("monotone_goss", data_sample_strategy="goss", monotone_constraints=[1, -1, 0, 0, 1], extra_trees=True)


def pandas_booster():
    """A DataFrame with text, integer and boolean categories; text cells in its golden file are mapped by the reader."""
    rng = np.random.default_rng(11)
    n = TRAIN_ROWS
    frame = pd.DataFrame({
        "age (years)": np.round(rng.normal(40, 12, n), 1),
        "format": pd.Categorical(rng.choice(TEXTS, n)),
        "hour": pd.Categorical(rng.integers(0, 24, n)),
        "height": np.round(rng.normal(size=n), 2),
        "roaming": pd.Categorical(rng.random(n) < 0.3),
    })
    logit = np.sin(frame["format"].cat.codes * 2.0) + np.cos(frame["hour"].cat.codes * 1.3) + frame["height"] + frame["roaming"].cat.codes
    y = (rng.random(n) < 1 / (1 + np.exp(-logit + 1))).astype(float)
    booster = lgb.train(COMMON | dict(num_leaves=15, min_data_per_group=10), lgb.Dataset(frame, y), num_boost_round=8)
    asked = frame.sample(GOLDEN_ROWS, random_state=3).reset_index(drop=True)
    unseen = pd.DataFrame(dict(zip(frame.columns, [np.full(5, 33.0), ["banner", "poster", "Video", None, "été"], [0, 24, -1, 23, None],
                                                   np.zeros(5), [True, False, None, True, False]])))
    for column in ["format", "hour", "roaming"]:
        unseen[column] = unseen[column].astype("category")
        asked[column] = asked[column].astype("category")
    return booster, asked, unseen


def answers(booster, x):
    return np.column_stack([booster.predict(x, raw_score=True, num_threads=1), booster.predict(x, num_threads=1)])


def cell(value):
    if isinstance(value, (str, bool, np.bool_)):
        return str(value)
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "nan"
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(int(value))


def write_csv(path, names, rows, out):
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join([*names, "raw", "probability"]) + "\n")
        for row, answer in zip(rows, out):
            file.write(",".join([*map(cell, row), repr(float(answer[0])), repr(float(answer[1]))]) + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--live", nargs=2, metavar=("DIR", "ROWS"))
    live = arguments.parse_args().live
    folder = pathlib.Path(live[0]) if live else pathlib.Path(__file__).parent
    for name, booster, categorical in zoo():
        booster.save_model(folder / f"{name}.txt", num_iteration=-1)
        rng = np.random.default_rng(len(name))
        x = hostile(rng, booster, int(live[1]) if live else GOLDEN_ROWS, categorical)
        out = answers(booster, x)
        if live:
            x.astype("<f8").tofile(folder / f"{name}.inputs")
            out.astype("<f8").tofile(folder / f"{name}.answers")
        else:
            write_csv(folder / f"{name}.csv", booster.feature_name(), x, out)
    if not live:
        booster, asked, unseen = pandas_booster()
        booster.save_model(folder / "pandas.txt", num_iteration=-1)
        rows = [row for frame in (asked, unseen) for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False)]
        out = np.vstack([answers(booster, asked), answers(booster, unseen)])
        write_csv(folder / "pandas.csv", booster.feature_name(), rows, out)


if __name__ == "__main__":
    main()
