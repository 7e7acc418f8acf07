#!/usr/bin/env python3
"""Trains the example's model from nothing: writes the generator's data, lets Ouzel compute the features of
every past event (`ouzel backfill`: the same code that computes them live), trains gradient-boosted trees
on them, says how good they are, and writes

    fraud.ubj            the model: 100 trees of at most 31 leaves
    fraud.golden.csv     rows and what XGBoost itself predicts for them; checked whenever the model is loaded
    fraud.training.csv   mean and deviation of each feature in training, for the demo's screen

The same arguments give the same bytes. With --features FILE a table from your own history is used."""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import xgboost
from sklearn.metrics import average_precision_score, roc_auc_score

HERE = pathlib.Path(__file__).resolve().parent
TARGET = "labels.fraud"
NOT_FEATURES = ["event", "time", "key", TARGET]
TREES, LEAVES, THRESHOLD, GOLDEN_ROWS = 100, 31, 0.8, 200
WARM_DAYS, TEST_DAYS, GAP_DAYS = 38, 30, 7  # windows fill; test; labels that training could not know yet


def run(*command):
    print("+", *command, file=sys.stderr)
    subprocess.run([str(c) for c in command], check=True)


def make_features(args, folder):
    run(args.ouzel, "demo", "fraud", "--write", folder, "--days", args.days, "--seed", args.seed)
    table = folder / "features.csv.zst"
    run(args.ouzel, "backfill", HERE / "pipeline.yaml", "--from", f"transactions={folder}/transactions.jsonl.zst",
        "--from", f"labels={folder}/labels.jsonl.zst", "--target", TARGET, "-o", table)
    return table


def split(table):
    """Training, then a gap as long as labels take, then test; and what comes before windows are full."""
    table["time"] = pd.to_datetime(table["time"])
    first, last = table["time"].min().floor("D"), table["time"].max().ceil("D")
    day = pd.Timedelta(days=1)
    test = table["time"] >= last - TEST_DAYS * day
    train = (table["time"] >= first + WARM_DAYS * day) & (
        table["time"] < last - (TEST_DAYS + GAP_DAYS) * day)
    return table[train], table[test]


def cards_at_100(test, score):
    """Of the hundred cards a day that score highest, the share that had a fraud; and the most there can be."""
    frame = pd.DataFrame({"day": test["time"].dt.floor("D"), "key": test["key"], "score": score,
                          "fraud": test[TARGET]})
    cards = frame.groupby(["day", "key"]).max().reset_index()
    top = cards.sort_values(["day", "score", "key"], ascending=[True, False, True]).groupby("day").head(100)
    possible = cards.groupby("day")["fraud"].sum().clip(upper=100)
    return top.groupby("day")["fraud"].mean().mean(), (possible / 100).mean()


def report(test, score):
    truth = test[TARGET].to_numpy()
    alert = score >= THRESHOLD
    at_100, ceiling = cards_at_100(test, score)
    print(f"test: {len(test)} transactions, {int(truth.sum())} frauds")
    print(f"  ROC AUC            {roc_auc_score(truth, score):.4f}")
    print(f"  average precision  {average_precision_score(truth, score):.4f}")
    print(f"  score >= {THRESHOLD}       {int(alert.sum())} alerts, precision {truth[alert].mean():.3f}, "
          f"recall {alert[truth == 1].mean():.3f}")
    print(f"  card precision@100 {at_100:.3f} of at most {ceiling:.3f}")


def write_golden(booster, features, out):
    """Rows of all sorts, some with nulls, and the trainer's own prediction of each."""
    rows = features.iloc[np.linspace(0, len(features) - 1, GOLDEN_ROWS).astype(int)].reset_index(drop=True)
    for i in range(0, GOLDEN_ROWS, 10):
        rows.iloc[i, i // 10 % rows.shape[1]] = np.nan
    golden = rows.copy()
    golden["output"] = [str(np.float32(p)) for p in booster.predict(xgboost.DMatrix(rows))]
    golden.to_csv(out, index=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ouzel", default="build/release/ouzel", help="the binary")
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="folder of the three files")
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--features", type=pathlib.Path, help="a table of `ouzel backfill`, instead of making one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ouzel-train-") as folder:
        # Numbers as they are served: pandas' own quick reader may miss the last bit.
        table = pd.read_csv(args.features or make_features(args, pathlib.Path(folder)),
                            float_precision="round_trip")
    table[TARGET] = table[TARGET].fillna(0).astype(int)  # nobody complained: taken for genuine
    train, test = split(table)
    x = train.drop(columns=NOT_FEATURES)
    print(f"train: {len(train)} transactions, {int(train[TARGET].sum())} frauds, {x.shape[1]} features")
    booster = xgboost.train(
        {"objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide", "max_leaves": LEAVES,
         "max_depth": 0, "eta": 0.1, "min_child_weight": 5, "seed": args.seed, "nthread": 1},
        xgboost.DMatrix(x, train[TARGET]), TREES)
    report(test, booster.predict(xgboost.DMatrix(test.drop(columns=NOT_FEATURES))))
    gain = booster.get_score(importance_type="total_gain")
    for name, value in sorted(gain.items(), key=lambda item: -item[1])[:8]:
        print(f"  {value / sum(gain.values()):6.1%}  {name}")
    booster.save_model(args.out / "fraud.ubj")
    write_golden(booster, test.drop(columns=NOT_FEATURES), args.out / "fraud.golden.csv")
    pd.DataFrame({"feature": x.columns, "mean": x.mean().to_numpy(), "sd": x.std().to_numpy()}).to_csv(
        args.out / "fraud.training.csv", index=False)


if __name__ == "__main__":
    main()
