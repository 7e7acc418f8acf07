"""Boosted trees through ONNX: XGBoost and LightGBM by onnxmltools, CatBoost by its own export.

Expected is what the trainer predicts with the model that it trained. Rows hold missing values, and
values that stand exactly on thresholds of the model and one step of a float beside them, because that
is where "<" and "<=" and the width of a threshold tell. Features are floats: the converters' inputs
are, so a row is rounded to them before anybody sees it."""
import os
import tempfile
import warnings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
warnings.filterwarnings("ignore")
import catboost
import lightgbm
import numpy as np
import onnx
import onnx.reference
import onnxruntime
import xgboost
from onnxmltools.convert import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from case import Case

ROWS, FEATURES = 2003, 12
WORDS = np.array(["calm", "odd", "bad"])
BAGGED = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}


def table(rng, n, missing=True, categories=False):
    x = rng.normal(size=(n, FEATURES))
    x[:, 1] = np.round(x[:, 1] * 4) / 4  # few distinct values, zeros among them
    x[:, 2] = np.exp(3 * x[:, 2])
    x[:, 5] = x[:, 5] > 0.3
    signal = x[:, 0] + x[:, 1] * (x[:, 5] + 0.4) + 0.3 * np.log1p(x[:, 2]) + 0.4 * rng.normal(size=n)
    if categories:
        for f, n_codes in zip(CATEGORIES, (4, 40)):
            x[:, f] = rng.integers(n_codes, size=n)
            signal = signal + np.sin(2 * x[:, f])
    if missing:
        x[rng.random(x.shape) < 0.08] = np.nan
    return x.astype(np.float32), signal


def labels(kind, signal, rng):
    return {"binary": lambda: (signal > 0.5).astype(int),
            "classes": lambda: np.digitize(signal, [-0.5, 1]),
            "words": lambda: WORDS[np.digitize(signal, [-0.5, 1])],
            "real": lambda: signal,
            "two": lambda: np.column_stack([signal, 1 - 2 * signal]),
            "unit": lambda: 1 / (1 + np.exp(-signal)),
            "count": lambda: rng.poisson(np.exp(np.clip(signal, -3, 2))),
            "positive": lambda: np.exp(np.clip(signal, -3, 3)) + 0.01,
            "grade": lambda: np.digitize(signal, [0, 1, 2])}[kind]()


def thresholds(graph):
    """Of each feature, as the model has them."""
    found = [set() for _ in range(FEATURES)]
    for node in graph.node:
        a = {a.name: a for a in node.attribute}
        if "nodes_featureids" in a:
            for f, v, mode in zip(a["nodes_featureids"].ints, a["nodes_values"].floats, a["nodes_modes"].strings):
                if mode != b"LEAF":
                    found[f].add(np.float32(v))
    return [np.array(sorted(s), np.float32) for s in found]


def rows(name, graph, rng):
    """LightGBM's are kept off its thresholds, but for the case that is about them."""
    missing = not name.startswith("catboost")
    x, _ = table(rng, ROWS, missing, "categories" in name)
    for f, at in enumerate(thresholds(graph) if "categories" not in name else ()):
        if len(at) and name.startswith("lightgbm") and "on_thresholds" not in name:
            nearest = at[np.argmin(np.abs(x[:, f, None] - at), axis=1)]
            x[np.abs(x[:, f] - nearest) <= 1e-6 * np.abs(nearest), f] *= np.float32(1 + 1e-5)
        elif len(at):
            t = at[rng.integers(len(at), size=ROWS)]
            near = np.stack([t, np.nextafter(t, np.float32(-np.inf)), np.nextafter(t, np.float32(np.inf))])
            pick = rng.random(ROWS) < 0.3
            x[pick, f] = near[rng.integers(3, size=ROWS), np.arange(ROWS)][pick]
    if missing:
        x[rng.random(x.shape) < 0.05] = np.nan
        x[0] = np.nan
    return x


def xgb(kind, **parameters):
    trainer = xgboost.XGBClassifier if kind in ("binary", "classes") else xgboost.XGBRegressor
    if parameters.pop("forest", False):
        trainer = xgboost.XGBRFClassifier if kind in ("binary", "classes") else xgboost.XGBRFRegressor
    return trainer(**{"n_estimators": 80, "max_depth": 5, "tree_method": "hist", "nthread": 1, **parameters}), kind


def lgb(kind, **parameters):
    trainer = {"binary": lightgbm.LGBMClassifier, "classes": lightgbm.LGBMClassifier,
               "words": lightgbm.LGBMClassifier, "grade": lightgbm.LGBMRanker}.get(kind, lightgbm.LGBMRegressor)
    return trainer(**{"n_estimators": 80, "num_leaves": 24, "n_jobs": 1, "verbose": -1, "deterministic": True,
                      "force_row_wise": True, **parameters}), kind


def cat(kind, **parameters):
    trainer = catboost.CatBoostClassifier if kind in ("binary", "classes", "words") else catboost.CatBoostRegressor
    return trainer(**{"iterations": 80, "depth": 5, "verbose": 0, "thread_count": 1, "random_seed": 7,
                      "allow_writing_files": False, **parameters}), kind


CATEGORIES = (5, 8)  # features that are codes in the cases whose name says so
NO_LINK = "the converter leaves the link out: the file gives the margin"
ROUNDED = ("LightGBM's thresholds are doubles between two floats, the file's are floats: of the rows on a "
           "threshold some go the other way")
DIVIDED = "the converter takes the sigmoid of a forest's sum and divides that by 100"
ALL_TO_ONE = "the converter gives the trees of all targets to the first; ONNX Runtime leaves out the other's base"
# name: (trainer and kind of label, options of the converter, relative and absolute bound, where the
# file says something else than its trainer)
CASES = {
    "xgboost_binary": (lambda: xgb("binary"), {}, 1e-6, 2e-7, ""),
    "xgboost_classes": (lambda: xgb("classes"), {}, 1e-6, 4e-7, ""),
    "xgboost_squared": (lambda: xgb("real"), {}, 1e-6, 2e-6, ""),
    "xgboost_logistic": (lambda: xgb("unit", objective="reg:logistic"), {}, 1e-6, 2e-6, NO_LINK),
    "xgboost_poisson": (lambda: xgb("count", objective="count:poisson"), {}, 4e-6, 1e-6, ""),
    "xgboost_gamma": (lambda: xgb("positive", objective="reg:gamma"), {}, 4e-6, 1e-6, ""),
    "xgboost_tweedie": (lambda: xgb("count", objective="reg:tweedie"), {}, 4e-6, 1e-6, ""),
    "xgboost_forest": (lambda: xgb("binary", forest=True, subsample=0.7), {}, 1e-6, 2e-7, ""),
    "xgboost_deep": (lambda: xgb("real", max_depth=12, n_estimators=200, min_child_weight=0.1), {}, 1e-6, 4e-6, ""),
    "xgboost_categories": (lambda: xgb("real", enable_categorical=True, feature_types=[
        "c" if f in CATEGORIES else "q" for f in range(FEATURES)]), {}, 1e-6, 4e-6, ""),
    "xgboost_targets": (lambda: xgb("two", n_estimators=15), {}, 1e-6, 4e-6, ALL_TO_ONE),
    "lightgbm_binary": (lambda: lgb("binary"), {}, 1e-6, 4e-7, ""),
    "lightgbm_binary_no_map": (lambda: lgb("binary"), {"zipmap": False}, 1e-6, 4e-7, ""),
    "lightgbm_classes": (lambda: lgb("classes"), {"zipmap": False}, 1e-6, 4e-7, ""),
    "lightgbm_words": (lambda: lgb("words"), {}, 1e-6, 4e-7, ""),
    "lightgbm_regression": (lambda: lgb("real"), {}, 1e-6, 2e-6, ""),
    "lightgbm_on_thresholds": (lambda: lgb("real"), {}, 1e-6, 2e-6, ROUNDED),
    "lightgbm_regression_split": (lambda: lgb("real", n_estimators=200), {"split": 50}, 1e-6, 2e-6, ""),
    "lightgbm_categories": (lambda: lgb("real"), {}, 1e-6, 2e-6, ""),
    "lightgbm_dart": (lambda: lgb("binary", boosting_type="dart"), {}, 1e-6, 4e-7, ""),
    "lightgbm_poisson": (lambda: lgb("count", objective="poisson"), {}, 4e-6, 1e-6, ""),
    "lightgbm_rank": (lambda: lgb("grade"), {}, 1e-6, 2e-6, ""),
    "lightgbm_forest": (lambda: lgb("binary", **BAGGED), {"zipmap": False}, 1e-6, 4e-7, DIVIDED),
    "lightgbm_forest_regression": (lambda: lgb("real", n_estimators=100, **BAGGED), {}, 1e-6, 4e-7, ""),
    "catboost_binary": (lambda: cat("binary"), {}, 1e-6, 4e-7, ""),
    "catboost_classes": (lambda: cat("classes"), {}, 1e-6, 4e-7, ""),
    "catboost_words": (lambda: cat("words"), {}, 1e-6, 4e-7, ""),
    "catboost_regression": (lambda: cat("real"), {}, 1e-6, 4e-6, ""),
    "catboost_poisson": (lambda: cat("count", loss_function="Poisson"), {}, 1e-6, 4e-6, NO_LINK),
}


def export(model, options):
    if isinstance(model, catboost.CatBoost):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.onnx")
            model.save_model(path, format="onnx")
            return onnx.load(path)
    convert = convert_lightgbm if "lightgbm" in type(model).__module__ else convert_xgboost
    return convert(model, initial_types=[("x", FloatTensorType([None, FEATURES]))], **options)


def fit(name, model, kind, rng):
    x, signal = table(rng, 2000, not name.startswith("catboost"), "categories" in name)
    options = {}
    if kind == "grade":
        options["group"] = [20] * 100
    if name == "lightgbm_categories":
        options["categorical_feature"] = list(CATEGORIES)
    model.fit(x, labels(kind, signal, rng), **options)


def make(name):
    build, options, rtol, atol, disagreement = CASES[name]
    rng = np.random.default_rng(list(CASES).index(name))
    model, kind = build()
    fit(name, model, kind, rng)
    proto = export(model, options)
    x = rows(name, proto.graph, rng)
    outputs = [o.name for o in proto.graph.output]
    if kind in ("binary", "classes", "words"):
        label = model.predict(x).reshape(-1).astype(object if kind == "words" else np.int64)
        expected = dict(zip(outputs, [label, model.predict_proba(x)]))
    else:
        expected = {outputs[0]: model.predict(x).reshape(ROWS, -1)}
    case = Case(name, proto.SerializeToString(), {proto.graph.input[0].name: x}, expected, rtol, atol)
    if disagreement:
        by = "ONNX's reference" if disagreement == ALL_TO_ONE else "ONNX Runtime"
        case.disagreement = f"we follow the file, as {by} reads it: {disagreement}"
        case.framework = expected
        case.expected = by_reference(case) if disagreement == ALL_TO_ONE else by_onnxruntime(case)
    return case


def by_onnxruntime(case):
    session = onnxruntime.InferenceSession(case.model, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, case.inputs), strict=True))


def by_reference(case):
    run = onnx.reference.ReferenceEvaluator(onnx.load_from_string(case.model))
    return dict(zip(run.output_names, run.run(None, case.inputs), strict=True))


def names(full):
    return list(CASES)


def cases(full):
    return map(make, names(full))
