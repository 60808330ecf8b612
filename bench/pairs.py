#!/usr/bin/env python3
"""Makes users and ads of the rows of a Parquet file, and scores pairs the only way LightGBM can: as expanded rows."""
from common import clock, main

import numpy as np

AD_FEATURES = 13


def make(a):
    """A folder: users.parquet and ads.parquet with ids, and features.toml that tells whose each feature is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(a.file)
    names = [name for name in table.column_names if name != "label"]
    numeric = set(names[: len(names) if a.numeric is None else a.numeric])
    sides = {"user": names[:-AD_FEATURES], "ad": names[-AD_FEATURES:]}
    lines = ['id = ["user_id", "ad_id"]', 'label = "label"']
    for side, columns in sides.items():
        rows = a.users if side == "user" else a.ads
        indices = np.arange(rows) % len(table)
        part = table.select(columns).take(pa.array(indices if side == "user" else (indices * 7) % len(table)))
        part = part.append_column(f"{side}_id", pa.array(np.arange(rows, dtype=np.int64)))
        pq.write_table(part, f"{a.out}/{side}s.parquet", row_group_size=100_000)
        for name in columns:
            kind = "numeric" if name in numeric else "categorical"
            lines += ["[[feature]]", f'name = "{name}"', f'kind = "{kind}"', f'side = "{side}"']
    with open(f"{a.out}/features.toml", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return {"users": a.users, "ads": a.ads}


def expanded(a):
    """LightGBM on the first pairs, all ads of one user after the other, expanded to rows a million at most at a time."""
    import lightgbm
    import pyarrow.parquet as pq

    def side(name):
        table = pq.read_table(f"{a.out}/{name}.parquet")
        return np.stack([table.column(i).to_numpy().astype(np.float32) for i in range(table.num_columns - 1)], 1)

    users, ads = side("users"), side("ads")
    booster = lightgbm.Booster(model_file=f"{a.data}/model.txt")
    count = max(1, a.pairs // len(ads))
    report = {"rows": count * len(ads)}
    with clock(report):
        rows = np.concatenate([np.repeat(users[:count], len(ads), 0), np.tile(ads, (count, 1))], 1)
        booster.predict(rows, raw_score=True, num_threads=1)
    return report


if __name__ == "__main__":
    main(__doc__, [make, expanded], "file", "out", "data", "USERS", "ADS", "PAIRS", "NUMERIC")
