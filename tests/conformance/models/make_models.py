"""Trains XGBoost models and writes what XGBoost itself predicts with them, for compare_models.

Usage: make_models.py FOLDER [--rows N]     (needs numpy and xgboost; a minute)

Every case is one model in JSON and in UBJSON, its test rows and the predictions, as raw little-endian
doubles and floats; models.txt lists them. The rows hold missing values, infinities, and for every
feature values that stand exactly on thresholds of the model and one step of a float beside them.
Predictions come from Booster.inplace_predict, which takes infinities; where all values are finite a
DMatrix must give the same.
"""
import argparse
import json
import pathlib

import numpy as np
import xgboost as xgb

FEATURES = 12
TRAIN_ROWS = 3000
LEAVES_31 = {"grow_policy": "lossguide", "max_leaves": 31, "max_depth": 0}
DEPTH_6 = {"grow_policy": "depthwise", "max_depth": 6}

# name, parameters, rounds, kind of label
CASES = [
    ("logistic_leaves", {"objective": "binary:logistic", **LEAVES_31, "eta": 0.1}, 250, "binary"),
    ("logistic_depth", {"objective": "binary:logistic", **DEPTH_6, "eta": 0.05}, 500, "binary"),
    ("logistic_base", {"objective": "binary:logistic", **LEAVES_31, "base_score": 0.037}, 200, "binary"),
    ("logistic_exact", {"objective": "binary:logistic", "tree_method": "exact", "max_depth": 7,
                        "gamma": 0.8}, 200, "binary"),
    ("logitraw", {"objective": "binary:logitraw", **LEAVES_31}, 200, "binary"),
    ("hinge", {"objective": "binary:hinge", **LEAVES_31}, 200, "binary"),
    ("reg_logistic", {"objective": "reg:logistic", **DEPTH_6}, 200, "unit"),
    ("squared", {"objective": "reg:squarederror", **LEAVES_31}, 300, "real"),
    ("squared_deep", {"objective": "reg:squarederror", "max_depth": 14, "min_child_weight": 0.1}, 200, "real"),
    ("squared_stumps", {"objective": "reg:squarederror", "max_depth": 1}, 300, "real"),
    ("squared_forest", {"objective": "reg:squarederror", **DEPTH_6, "num_parallel_tree": 5,
                        "subsample": 0.6, "colsample_bynode": 0.6}, 40, "real"),
    ("squared_targets", {"objective": "reg:squarederror", **DEPTH_6}, 70, "targets"),
    ("squared_log", {"objective": "reg:squaredlogerror", **DEPTH_6}, 200, "positive"),
    ("pseudo_huber", {"objective": "reg:pseudohubererror", **DEPTH_6}, 200, "real"),
    ("absolute", {"objective": "reg:absoluteerror", **LEAVES_31}, 200, "real"),
    ("quantile", {"objective": "reg:quantileerror", **LEAVES_31, "quantile_alpha": [0.1, 0.5, 0.9]},
     70, "real"),
    ("poisson", {"objective": "count:poisson", **LEAVES_31}, 200, "count"),
    ("gamma", {"objective": "reg:gamma", **DEPTH_6}, 200, "positive"),
    ("tweedie", {"objective": "reg:tweedie", **DEPTH_6, "tweedie_variance_power": 1.3}, 200, "count"),
    ("cox", {"objective": "survival:cox", **DEPTH_6}, 200, "positive"),
    ("aft", {"objective": "survival:aft", **DEPTH_6, "aft_loss_distribution": "normal"}, 200, "aft"),
    ("softprob", {"objective": "multi:softprob", **LEAVES_31, "num_class": 5}, 60, "classes"),
    ("softmax", {"objective": "multi:softmax", **LEAVES_31, "num_class": 5}, 60, "classes"),
    ("rank_pairwise", {"objective": "rank:pairwise", **DEPTH_6}, 200, "rank"),
    ("rank_ndcg", {"objective": "rank:ndcg", **DEPTH_6}, 200, "rank"),
    ("rank_map", {"objective": "rank:map", **DEPTH_6}, 200, "rank_binary"),
]


def training_data(rng):
    x = rng.normal(size=(TRAIN_ROWS, FEATURES))
    x[:, 1] = np.round(x[:, 1] * 4) / 4  # few distinct values, zeros among them
    x[:, 2] = np.exp(3 * x[:, 2])
    x[:, 3] *= 1e-30
    x[:, 4] *= 1e30
    x[:, 5] = (x[:, 5] > 0.3).astype(float)
    x[rng.random(x.shape) < 0.08] = np.nan
    signal = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) * np.nan_to_num(x[:, 5], nan=0.4)
    signal += 0.3 * np.log1p(np.nan_to_num(x[:, 2])) + 0.5 * np.isnan(x[:, 6]) + x[:, 3:5].sum(1, where=~np.isnan(x[:, 3:5])) * 1e-30
    return x, signal + 0.4 * rng.normal(size=TRAIN_ROWS)


def matrix(kind, x, signal, rng):
    m = xgb.DMatrix(x, feature_names=[f"f{i} of the row" for i in range(FEATURES)])
    if kind == "binary":
        m.set_label((signal > 0.5).astype(float))
    elif kind == "unit":
        m.set_label(1 / (1 + np.exp(-signal)))
    elif kind == "real":
        m.set_label(signal)
    elif kind == "targets":
        m.set_label(np.column_stack([signal, -2 * signal + 1, signal**2]))
    elif kind == "count":
        m.set_label(rng.poisson(np.exp(np.clip(signal, -3, 2))))
    elif kind == "positive":
        m.set_label(np.exp(np.clip(signal, -3, 3)) + 0.01)
    elif kind == "aft":
        low = np.exp(np.clip(signal, -3, 3)) + 0.01
        m.set_float_info("label_lower_bound", low)
        m.set_float_info("label_upper_bound", np.where(rng.random(len(low)) < 0.3, np.inf, low))
    elif kind == "classes":
        m.set_label(np.digitize(signal, [-1, 0, 1, 2]))
    elif kind in ("rank", "rank_binary"):
        level = np.digitize(signal, [0, 1, 2])
        m.set_label((level > 1).astype(float) if kind == "rank_binary" else level)
        m.set_group([30] * (TRAIN_ROWS // 30))
    return m


def thresholds(model):
    found = [set() for _ in range(FEATURES)]
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        for left, feature, t in zip(tree["left_children"], tree["split_indices"], tree["split_conditions"]):
            if left != -1 and feature < FEATURES:
                found[feature].add(np.float32(t))
    return [np.array(sorted(s), np.float32) for s in found]


def test_rows(n_rows, model, rng):
    x, _ = training_data(rng)
    x = np.resize(x, (n_rows, FEATURES)) * (1 + 0.1 * rng.normal(size=(n_rows, 1)))
    for f, at in enumerate(thresholds(model)):
        if not len(at):
            continue
        t = at[rng.integers(len(at), size=n_rows)]
        near = np.stack([t, np.nextafter(t, np.float32(-np.inf)), np.nextafter(t, np.float32(np.inf))])
        pick = rng.random(n_rows) < 0.35
        x[pick, f] = near[rng.integers(3, size=n_rows), np.arange(n_rows)].astype(float)[pick]
    # Doubles beside a threshold that only rounding to float decides.
    f = rng.integers(FEATURES, size=n_rows)
    nudge = rng.random(n_rows) < 0.2
    x[nudge, f[nudge]] = np.nextafter(x[nudge, f[nudge]], rng.choice([-np.inf, np.inf], size=nudge.sum()))
    x[rng.random(x.shape) < 0.05] = np.nan
    x[rng.random(x.shape) < 0.01] = np.inf
    x[rng.random(x.shape) < 0.01] = -np.inf
    x[rng.random(x.shape) < 0.01] = 0.0
    x[rng.random(x.shape) < 0.01] = -0.0
    x[0] = np.nan
    return np.ascontiguousarray(x)


def predict(booster, x):
    with np.errstate(over="ignore"):
        y = booster.inplace_predict(x, missing=np.nan, validate_features=False)
    finite = ~np.isinf(x.astype(np.float32)).any(1)
    m = xgb.DMatrix(x[finite], feature_names=booster.feature_names)
    assert np.array_equal(booster.predict(m), y[finite], equal_nan=True)
    return np.asarray(y, np.float32).reshape(len(x), -1)


def write(folder, name, x, y, lines):
    x.astype("<f8").tofile(folder / f"{name}.rows")
    y.astype("<f4").tofile(folder / f"{name}.expected")
    for ending in ("json", "ubj"):
        lines.append(f"{name}.{ending} {name}.rows {name}.expected {len(x)} {x.shape[1]} {y.shape[1]}")


def rewritten(folder, model, name, lines, x, change):
    """A model whose JSON is changed as older versions wrote it; XGBoost's own reading is expected."""
    model = json.loads(json.dumps(model))
    change(model)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(model))
    booster = xgb.Booster(model_file=path, params={"nthread": 1})
    booster.save_model(folder / f"{name}.ubj")
    write(folder, name, x, predict(booster, x), lines)


def old_base_score(model):
    param = model["learner"]["learner_model_param"]
    param["base_score"] = param["base_score"].strip("[]").split(",")[0]


def base_score_set(text):
    def change(model):
        model["learner"]["learner_model_param"]["base_score"] = text
    return change


def oldest_form(model):
    old_base_score(model)
    learner = model["learner"]
    learner["objective"]["name"] = learner["objective"]["name"].replace("squarederror", "linear")
    for key in ("feature_names", "feature_types"):
        del learner[key]
    for key in ("boost_from_average", "num_target"):
        del learner["learner_model_param"][key]
    booster = learner["gradient_booster"]["model"]
    del booster["cats"], booster["iteration_indptr"]
    for tree in booster["trees"]:
        for key in [k for k in tree if k.startswith("categories") or k == "split_type"]:
            del tree[key]
        tree["default_left"] = [bool(v) for v in tree["default_left"]]
    booster["trees"].reverse()  # ids stay: the order of the sum is theirs
    model["version"] = [1, 6, 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=10000)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for seed, (name, params, rounds, kind) in enumerate(CASES):
        rng = np.random.default_rng(1000 + seed)
        x, signal = training_data(rng)
        params = {"tree_method": "hist", "nthread": 1, "seed": seed, "max_bin": 64, **params}
        booster = xgb.train(params, matrix(kind, x, signal, rng), rounds)
        booster.save_model(args.folder / f"{name}.json")
        booster.save_model(args.folder / f"{name}.ubj")
        model = json.loads((args.folder / f"{name}.json").read_text())
        booster = xgb.Booster(model_file=args.folder / f"{name}.ubj", params={"nthread": 1})
        x = test_rows(args.rows, model, rng)
        y = predict(booster, x)
        write(args.folder, name, x, y, lines)
        print(f"{name}: {booster.num_boosted_rounds()} rounds, outputs {y.min():.6g} to {y.max():.6g}", flush=True)
        if name in ("logistic_leaves", "poisson", "softprob"):
            rewritten(args.folder, model, f"{name}_old_base", lines, x, old_base_score)
        if name == "logistic_base":  # what labels of one class give: the ends of what a logit can take
            for end in "01":
                rewritten(args.folder, model, f"{name}_{end}", lines, x, base_score_set(f"[{end}E0]"))
        if name in ("logistic_base", "squared"):
            rewritten(args.folder, model, f"{name}_oldest", lines, x, oldest_form)
    (args.folder / "models.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
