"""Trains the forest that the bench scores with beside the example's own model: 500 trees of 31 leaves.

Usage: make_forest.py FEATURES.csv[.zst] MODEL.ubj [TREES [LEAVES]]    (needs pandas, xgboost 3.2.0)

FEATURES is what `ouzel backfill --target` wrote: columns event, time, key, the features, the target.
The same table gives the same model. Golden rows, the trainer's own predictions, go beside the model
as MODEL.golden.csv.
"""
import csv
import pathlib
import sys

import numpy as np
import pandas as pd
import xgboost as xgb

GOLDEN_ROWS = 200


def main(table, model, trees=500, leaves=31):
    frame = pd.read_csv(table)
    names = list(frame.columns[3:-1])
    target = frame.columns[-1]
    # A transaction without a label was never found to be a fraud.
    label = frame[target].fillna(0).to_numpy()
    x = frame[names].to_numpy(np.float64)
    params = {"objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide",
              "max_leaves": leaves, "max_depth": 0, "eta": 0.05, "min_child_weight": 1, "gamma": 0,
              "lambda": 1, "nthread": 2, "seed": 1}
    booster = xgb.train(params, xgb.DMatrix(x, label, feature_names=names), trees)
    booster.save_model(model)

    booster = xgb.Booster(model_file=model)
    x = x[np.linspace(0, len(x) - 1, GOLDEN_ROWS).astype(int)]
    y = np.asarray(booster.inplace_predict(x, validate_features=False), np.float32)
    path = pathlib.Path(model)
    with open(path.with_name(path.stem + ".golden.csv"), "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(names + ["output"])
        for a, b in zip(x, y):
            rows.writerow(["" if np.isnan(v) else repr(float(v)) for v in a] + [str(b)])
    nodes = booster.trees_to_dataframe()
    per_tree = nodes[nodes["Feature"] == "Leaf"].groupby("Tree").size()
    print(f"{model}: {len(per_tree)} trees, {per_tree.mean():.1f} leaves a tree", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]))
