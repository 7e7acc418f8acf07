#!/usr/bin/env python3
"""Writes tree models as ONNX, rows for them, and what others make of these rows.
How: graphs made by hand cover every node mode, aggregate, post transform, label rule and type, with values
exactly on thresholds and missing values; the trainers' own models, trained here and now, go through the
converters that people use. For each, a folder: model.onnx, x.pb (rows), and want.npz with
  ort_K     what ONNX Runtime gives for output K
  own_K     what the trainer itself predicts, where there is one
and case.json: the family, and which outputs are labels.

Usage: make_trees.py FOLDER"""
import json
import os
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

N_ROWS = 1200
ONNX_TYPES = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.int64: TensorProto.INT64,
              np.int32: TensorProto.INT32}
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
AGGREGATES = ["SUM", "AVERAGE", "MIN", "MAX"]
POSTS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def save(folder, name, model, x, family, own=None, ort_model=None, ask_ort=True):
    """`own`: {output number: array}. `ort_model`: what ONNX Runtime is given instead."""
    results = []
    if ask_ort:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession((ort_model or model).SerializeToString(), options,
                                               providers=["CPUExecutionProvider"])
        results = session.run(None, {session.get_inputs()[0].name: x})
    target = pathlib.Path(folder) / name
    target.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target / "model.onnx")
    (target / "x.pb").write_bytes(numpy_helper.from_array(x, "x").SerializeToString())
    want = {f"ort_{k}": np.asarray(r) for k, r in enumerate(results) if not isinstance(r, list)}
    for k, array in (own or {}).items():
        want[f"own_{k}"] = np.asarray(array)
    np.savez(target / "want.npz", **{k: v.astype(str) if v.dtype == object else v for k, v in want.items()})
    labels = [k for k, r in enumerate(results)
              if not isinstance(r, list) and (r.dtype == object or np.issubdtype(r.dtype, np.integer))]
    (target / "case.json").write_text(json.dumps({"family": family, "labels": labels}))


# ---- made by hand ----

def node_model(op_type, version, attributes, dtype, out_types):
    outputs = [helper.make_tensor_value_info(f"y{k}", t, None) for k, t in enumerate(out_types)]
    node = helper.make_node(op_type, ["x"], [o.name for o in outputs], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([node], "trees", [helper.make_tensor_value_info("x", ONNX_TYPES[dtype],
                                                                               [None, None])], outputs)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17),
                                                                  helper.make_opsetid("ai.onnx.ml", version)])


def grow(rng, n_features, depth, modes, thresholds):
    """A tree as nested tuples: a leaf is None."""
    if depth == 0 or rng.random() < 0.15:
        return None
    return (int(rng.integers(n_features)), str(rng.choice(modes)), float(rng.choice(thresholds)),
            int(rng.random() < 0.3), grow(rng, n_features, depth - 1, modes, thresholds),
            grow(rng, n_features, depth - 1, modes, thresholds))


def random_rows(rng, dtype, n_features, thresholds):
    x = rng.choice(thresholds, size=(N_ROWS, n_features)) + rng.choice([0, 0, 0.25, -0.25], size=(N_ROWS, n_features))
    if dtype in (np.int64, np.int32):
        return np.round(x).astype(dtype)
    x = x.astype(dtype)
    step = rng.choice([-1, 0, 0, 1], size=x.shape)
    x = np.where(step > 0, np.nextafter(x, dtype(9e9)), np.where(step < 0, np.nextafter(x, dtype(-9e9)), x))
    x[rng.random(x.shape) < 0.1] = np.nan
    x[0], x[1] = np.inf, -np.inf
    return x.astype(dtype)


def flatten(trees, leaf_weights, prefix, doubles):
    """The attributes of the older operators. leaf_weights() gives [(output, weight)] for a leaf."""
    a = {f"nodes_{k}": [] for k in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids",
                                    "falsenodeids", "missing_value_tracks_true")}
    a.update({f"{prefix}_{k}": [] for k in ("treeids", "nodeids", "ids", "weights")})
    for t, tree in enumerate(trees):
        todo, count = [(tree, 0)], 1
        while todo:
            node, number = todo.pop(0)
            feature, mode, value, missing, children = 0, "LEAF", 0.0, 0, (0, 0)
            if node is None:
                for output, weight in leaf_weights():
                    for key, v in (("treeids", t), ("nodeids", number), ("ids", output), ("weights", weight)):
                        a[f"{prefix}_{key}"].append(v)
            else:
                feature, mode, value, missing = node[:4]
                children = (count, count + 1)
                todo += [(node[4], count), (node[5], count + 1)]
                count += 2
            for key, v in (("treeids", t), ("nodeids", number), ("featureids", feature), ("modes", mode),
                           ("values", value), ("truenodeids", children[0]), ("falsenodeids", children[1]),
                           ("missing_value_tracks_true", missing)):
                a[f"nodes_{key}"].append(v)
    if doubles:
        for key in ("nodes_values", f"{prefix}_weights"):
            a[key + "_as_tensor"] = numpy_helper.from_array(np.array(a.pop(key), np.float64), key)
    return a


def thresholds_for(rng, dtype, doubles):
    if dtype in (np.int64, np.int32):
        return np.arange(-4, 5).astype(float)
    some = np.array([-2.5, -1, -0.1, 0, 0.1, 0.3, 1, 1.5, 3, 1e-40, 7e8])
    return some + 1e-12 if doubles else some.astype(np.float32).astype(float)


def by_hand_regressors(folder, rng):
    for number in range(40):
        aggregate, post = AGGREGATES[number % 4], POSTS[number // 4 % 5]
        doubles = number % 3 == 1
        dtype = np.float64 if doubles or number % 7 == 0 else np.float32
        thresholds = thresholds_for(rng, dtype, doubles)
        modes = MODES if number % 2 else [MODES[number // 2 % 6]]
        n_targets = 1 + number % 3
        trees = [grow(rng, 5, 6, modes, thresholds) for _ in range(1 + number % 12)]
        low, high = (0.01, 0.8 / len(trees)) if post == "PROBIT" else (-1, 1)
        attributes = flatten(trees, lambda: [(o, float(rng.uniform(low, high))) for o in range(n_targets)],
                             "target", doubles)
        if number % 5 == 0:
            base = [float(v) for v in rng.uniform(0, 0.1, n_targets)]
            if doubles:
                attributes["base_values_as_tensor"] = numpy_helper.from_array(np.array(base), "base")
            else:
                attributes["base_values"] = base
        model = node_model("TreeEnsembleRegressor", 3, dict(attributes, n_targets=n_targets, post_transform=post,
                                                            aggregate_function=aggregate), dtype,
                           [TensorProto.FLOAT])
        save(folder, f"hand_regressor_{number}", model, random_rows(rng, dtype, 5, thresholds),
             "probit" if post == "PROBIT" else "hand")


def by_hand_classifiers(folder, rng):
    dtypes = [np.float32, np.float64, np.int64, np.int32]
    for number in range(48):
        post = POSTS[number % 5]
        n_classes = (2, 2, 3, 5)[number % 4]
        dtype = dtypes[number // 2 % 4]
        doubles = dtype == np.float64 and number % 3 == 0
        thresholds = thresholds_for(rng, dtype, doubles)
        trees = [grow(rng, 5, 6, MODES, thresholds) for _ in range(1 + number % 9)]
        positive = number % 8 < 4 or post == "PROBIT"
        low, high = (0.01, 0.9 / len(trees)) if positive else (-1, 1)
        if n_classes == 2:
            voters = [1] if number % 12 == 5 else [0]
            if post == "PROBIT":
                post = "LOGISTIC"  # ONNX Runtime leaves the second score unwritten
        else:
            voters = range(n_classes)
        sparse = n_classes > 2 and number % 3 == 2 and post != "PROBIT"

        def weights(voters=voters, low=low, high=high, sparse=sparse):
            chosen = [v for v in voters if not sparse or rng.random() < 0.5] or [int(rng.choice(voters))]
            return [(v, float(rng.uniform(low, high))) for v in chosen]
        attributes = flatten(trees, weights, "class", doubles)
        if number % 4 == 0 and voters == [0]:
            attributes["base_values"] = [0.05]
        if number % 4 == 3:
            attributes["base_values"] = [float(v) for v in rng.uniform(0, 0.1, n_classes)]
        if number % 6 < 3:
            attributes["classlabels_int64s"] = [int(v) for v in rng.permutation(100)[:n_classes]]
        else:
            attributes["classlabels_strings"] = [f"class {v}" for v in range(n_classes)]
        model = node_model("TreeEnsembleClassifier", 3, dict(attributes, post_transform=post), dtype,
                           [TensorProto.INT64 if number % 6 < 3 else TensorProto.STRING, TensorProto.FLOAT])
        save(folder, f"hand_classifier_{number}", model, random_rows(rng, dtype, 5, thresholds),
             "probit" if post == "PROBIT" else "hand")


def walk(trees, leaves, sets, x, n_targets, aggregate):
    """The obvious loop over an ensemble's trees as nested tuples, whose leaves are numbers."""
    out = np.zeros((len(x), n_targets))
    for r, row in enumerate(x):
        found = [[] for _ in range(n_targets)]
        for node in trees:
            while isinstance(node, tuple):
                value, threshold = row[node[0]], node[2]
                true = {"BRANCH_LEQ": value <= threshold, "BRANCH_LT": value < threshold,
                        "BRANCH_GTE": value >= threshold, "BRANCH_GT": value > threshold,
                        "BRANCH_EQ": value == threshold, "BRANCH_NEQ": value != threshold,
                        "BRANCH_MEMBER": value in sets.get(id(node), [])}[node[1]]
                node = node[4] if true or (np.isnan(value) and node[3]) else node[5]
            found[leaves[node][0]].append(float(leaves[node][1]))
        for target, weights in enumerate(found):
            if weights:
                out[r, target] = [sum(weights) / len(trees), sum(weights), min(weights), max(weights)][aggregate]
    return out


def number_leaves(node, leaf):
    return leaf() if node is None else node[:4] + (number_leaves(node[4], leaf), number_leaves(node[5], leaf))


def by_hand_ensembles(folder, rng):
    """ONNX Runtime 1.32 mixes up sets that do not lie within 0 to 30 when a model has several: models with such
    sets are compared with the obvious loop alone. It also takes 1 for LOGISTIC and 2 for SOFTMAX, which ONNX has
    the other way round."""
    for number in range(32):
        dtype = np.float64 if number % 2 else np.float32
        thresholds = thresholds_for(rng, dtype, dtype == np.float64)
        has_large_sets = number % 4 == 3 or number % 8 == 2
        post = 0 if has_large_sets else number // 4 % 5
        low, high = (0.01, 0.1) if post == 4 else (-1, 1)
        n_targets, aggregate = 1 + number % 3, number // 2 % 4
        nodes, leaves, sets, roots, members = [], [], {}, [], []

        def leaf():
            leaves.append((int(rng.integers(n_targets)), dtype(rng.uniform(low, high))))
            return len(leaves) - 1

        trees = [number_leaves(grow(rng, 5, 6, MODES + ["BRANCH_MEMBER"], thresholds), leaf)
                 for _ in range(1 + number % 8)]
        for tree in trees:
            roots.append(len(nodes))
            todo = [(tree, len(nodes))]
            nodes.append([0, 0, 0.0, 0, tree, 1, tree, 1])
            while todo:
                node, at = todo.pop(0)
                if not isinstance(node, tuple):
                    continue
                if node[1] == "BRANCH_MEMBER":
                    some = [-5, -1, 0.5, 1, 2.25, 3, 33, 7e8] if has_large_sets else \
                        [t for t in thresholds if 0 <= t <= 30] + [0, 1, 3, 7]
                    sets[id(node)] = [dtype(v) for v in rng.choice(some, rng.integers(1, 7))]
                children = []
                for child in node[4:6]:
                    is_leaf = not isinstance(child, tuple)
                    children += [child if is_leaf else len(nodes), int(is_leaf)]
                    if not is_leaf:
                        todo.append((child, len(nodes)))
                        nodes.append(None)
                nodes[at] = [node[0], (MODES + ["BRANCH_MEMBER"]).index(node[1]), node[2], node[3]] + children + [node]
        for node in nodes:
            if node[1] == 6:
                members += [float(v) for v in sets[id(node[8])]] + [float("nan")]
        column = lambda i: [n[i] for n in nodes]
        tensor = lambda v, t: numpy_helper.from_array(np.array(v, t), "t")
        attributes = dict(
            n_targets=n_targets, aggregate_function=aggregate, post_transform=post, tree_roots=roots,
            nodes_featureids=column(0), nodes_modes=tensor(column(1), np.uint8), nodes_splits=tensor(column(2), dtype),
            nodes_missing_value_tracks_true=column(3), nodes_truenodeids=column(4), nodes_trueleafs=column(5),
            nodes_falsenodeids=column(6), nodes_falseleafs=column(7), leaf_targetids=[o for o, _ in leaves],
            leaf_weights=tensor([w for _, w in leaves], dtype))
        if members:
            attributes["membership_values"] = tensor(members, dtype)
        model = node_model("TreeEnsemble", 5, attributes, dtype, [ONNX_TYPES[dtype]])
        attributes["post_transform"] = {1: 2, 2: 1}.get(post, post)
        ort_model = node_model("TreeEnsemble", 5, attributes, dtype, [ONNX_TYPES[dtype]])
        x = random_rows(rng, dtype, 5, thresholds)
        own = {0: walk(trees, leaves, sets, x, n_targets, aggregate)} if post == 0 else None
        save(folder, f"hand_ensemble_{number}", model, x,
             "probit" if post == 4 else "hand_f64" if dtype == np.float64 and post == 0 else "hand", own, ort_model,
             not has_large_sets)


# ---- trained ----

def data(rng, n_classes, missing=False, n_features=8):
    x = rng.normal(size=(N_ROWS + 800, n_features)).astype(np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2] - np.abs(x[:, 3]) + rng.normal(size=len(x)) * 0.3
    y = score if not n_classes else np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))
    if missing:
        x[rng.random(x.shape) < 0.08] = np.nan
    return x, (y if n_classes else y.astype(np.float64))


def scikit_learn(folder, rng):
    from skl2onnx import to_onnx
    from sklearn import ensemble, tree
    opsets = {"": 17, "ai.onnx.ml": 3}
    makers = {
        "decision_tree": (tree.DecisionTreeClassifier, tree.DecisionTreeRegressor, dict(max_depth=8)),
        "random_forest": (ensemble.RandomForestClassifier, ensemble.RandomForestRegressor,
                          dict(n_estimators=60, max_depth=9)),
        "extra_trees": (ensemble.ExtraTreesClassifier, ensemble.ExtraTreesRegressor,
                        dict(n_estimators=40, max_depth=9)),
        "gradient_boosting": (ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor,
                              dict(n_estimators=50)),
        "hist_gradient_boosting": (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor,
                                   dict(max_iter=50)),
        "ada_boost": (ensemble.AdaBoostClassifier, ensemble.AdaBoostRegressor, dict(n_estimators=15)),
    }
    for name, (classifier, regressor, arguments) in makers.items():
        missing = name == "hist_gradient_boosting"
        for n_classes in (2, 4, 0):
            x, y = data(rng, n_classes, missing)
            for dtype in (np.float32, np.float64):
                if dtype == np.float64 and name == "ada_boost":
                    continue
                labels = np.array(["ok", "wear", "leak", "fail"])[y.astype(int)] if n_classes == 4 else y
                model = (classifier if n_classes else regressor)(random_state=0, **arguments).fit(x[:800], labels[:800])
                options = {"zipmap": False} if n_classes else None
                graph = to_onnx(model, x[:1].astype(dtype), options=options, target_opset=opsets)
                for output in graph.graph.output:  # the converter declares doubles, the operators give floats
                    if output.type.tensor_type.elem_type == TensorProto.DOUBLE:
                        output.type.tensor_type.elem_type = TensorProto.FLOAT
                rows = x[800:].astype(dtype)
                own = ({0: model.predict(rows), 1: model.predict_proba(rows)} if n_classes
                       else {0: model.predict(rows).reshape(-1, 1)})
                save(folder, f"sklearn_{name}_{n_classes or 'r'}_{np.dtype(dtype).name}", graph, rows, name, own)
    for n_estimators in (10, 100):
        x, _ = data(rng, 0)
        model = ensemble.IsolationForest(n_estimators=n_estimators, random_state=1).fit(x[:800])
        save(folder, f"sklearn_isolation_forest_{n_estimators}", to_onnx(model, x[:1], target_opset=opsets), x[800:],
             "isolation_forest", {0: model.predict(x[800:]).reshape(-1, 1),
                                  1: model.decision_function(x[800:]).reshape(-1, 1)})


def with_categories(rng, n_categories):
    x, y = data(rng, 2)
    x[:, 5] = rng.integers(0, n_categories, len(x))
    x[:, 6] = rng.integers(0, 5, len(x))
    y = ((x[:, 5] % 3 == 1) ^ (x[:, 0] + 0.4 * x[:, 6] > 1)).astype(int)
    return x, y


def xgboost_models(folder, rng):
    import pandas
    import xgboost
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    types = [("x", FloatTensorType([None, 8]))]
    for objective, n_classes in (("binary:logistic", 2), ("multi:softprob", 4), ("reg:squarederror", 0)):
        x, y = data(rng, n_classes, missing=True)
        maker = xgboost.XGBClassifier if n_classes else xgboost.XGBRegressor
        model = maker(n_estimators=60, max_depth=6, objective=objective).fit(x[:800], y[:800])
        rows = x[800:]
        own = {0: model.predict(rows), 1: model.predict_proba(rows)} if n_classes else {0: model.predict(rows).reshape(-1, 1)}
        save(folder, "xgboost_" + objective.replace(":", "_"),
             convert_xgboost(model, initial_types=types, target_opset=15), rows, "xgboost", own)
    for n_categories in (12, 40):
        x, y = with_categories(rng, n_categories)
        frame = pandas.DataFrame(x)
        for column, n in ((5, n_categories), (6, 5)):
            frame[column] = pandas.Categorical(x[:, column].astype(int), categories=range(n))
        model = xgboost.XGBClassifier(n_estimators=40, max_depth=5, enable_categorical=True, max_cat_to_onehot=3,
                                      tree_method="hist").fit(frame[:800], y[:800])
        model.get_booster().feature_names = [f"f{i}" for i in range(8)]
        graph = convert_xgboost(model, initial_types=types, target_opset=15)
        model.get_booster().feature_names = [str(i) for i in range(8)]
        save(folder, f"xgboost_categorical_{n_categories}", graph, x[800:], "xgboost",
             {0: model.predict(frame[800:]), 1: model.predict_proba(frame[800:])})


def lightgbm_models(folder, rng):
    import lightgbm
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType
    types = [("x", FloatTensorType([None, 8]))]
    cases = [("binary", 2, None), ("multiclass", 4, None), ("regression", 0, None), ("binary", 2, [5, 6])]
    for objective, n_classes, categories in cases:
        x, y = with_categories(rng, 12) if categories else data(rng, n_classes)
        maker = lightgbm.LGBMClassifier if n_classes else lightgbm.LGBMRegressor
        model = maker(n_estimators=30, num_leaves=15, objective=objective, verbose=-1, min_data_per_group=5,
                      cat_smooth=1).fit(x[:800], y[:800], categorical_feature=categories or "auto")
        rows = x[800:]
        own = {0: model.predict(rows), 1: model.predict_proba(rows)} if n_classes else {0: model.predict(rows).reshape(-1, 1)}
        arguments = {"zipmap": False} if n_classes else {}
        save(folder, f"lightgbm_{objective}{'_categorical' if categories else ''}",
             convert_lightgbm(model, initial_types=types, target_opset=15, **arguments), rows, "lightgbm", own)


def catboost_models(folder, rng):
    import catboost
    for n_classes in (2, 4, 0):
        x, y = data(rng, n_classes)
        maker = catboost.CatBoostClassifier if n_classes else catboost.CatBoostRegressor
        model = maker(iterations=60, depth=5, verbose=0, allow_writing_files=False).fit(x[:800], y[:800])
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "model.onnx")
            model.save_model(path, format="onnx")
            graph = onnx.load(path)
        rows = x[800:]
        if n_classes:  # the probabilities before ZipMap, which is another operator's business
            trees = graph.graph.node[0]
            del graph.graph.node[1:]
            del graph.graph.output[:]
            graph.graph.output.extend([helper.make_tensor_value_info(trees.output[0], TensorProto.INT64, [None]),
                                       helper.make_tensor_value_info(trees.output[1], TensorProto.FLOAT, [None, None])])
        own = ({0: model.predict(rows).reshape(-1), 1: model.predict_proba(rows)} if n_classes
               else {0: model.predict(rows).reshape(-1, 1)})
        save(folder, f"catboost_{n_classes or 'r'}", graph, rows, "catboost", own)


def main():
    warnings.filterwarnings("ignore")
    folder = sys.argv[1]
    rng = np.random.default_rng(20261130)
    for make in (by_hand_regressors, by_hand_classifiers, by_hand_ensembles, scikit_learn, xgboost_models,
                 lightgbm_models, catboost_models):
        make(folder, rng)


if __name__ == "__main__":
    main()
