"""scikit-learn's estimators and pipelines, converted by skl2onnx, with scikit-learn's own predictions.

Trees are elsewhere; here is all that is linear, a kernel, a distance, a net or a preprocessor. The model
gets floats and the estimator the same numbers as doubles. `sklearn_cases.py [NAME...]` compares ONNX
Runtime instead of us and prints how far it is off: what it cannot do is the converter's to blame.
"""

import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from case import Case
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (
    cluster,
    compose,
    decomposition,
    impute,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

OPSETS = {"": 18, "ai.onnx.ml": 3}
ROWS, ROWS_FULL, TRAIN_ROWS, FEATURES, CLASSES = 1000, 10000, 600, 12, 4
NAMES = np.array(["low", "mid", "high", "peak"], dtype=object)


class Data:
    """Rows of several scales, and classes and targets that are noisy functions of them."""

    def __init__(self, seed: int, n_rows: int):
        rng = np.random.default_rng(seed)
        n = TRAIN_ROWS + n_rows
        x = rng.normal(size=(n, FEATURES)).astype(np.float32)
        x[:, 1] = np.round(x[:, 1] * 4) / 4
        x[:, 2] = np.exp(x[:, 2])
        x[:, 3] *= 20
        raw = (x / x.std(axis=0)) @ rng.normal(size=(FEATURES, CLASSES)) + 0.5 * rng.normal(size=(n, CLASSES))
        self.x = {
            "plain": x,
            "positive": np.abs(x),
            "counts": np.floor(np.abs(x) * 3).clip(0, 50).astype(np.float32),
            "missing": np.where(rng.random(x.shape) < 0.1, np.float32(np.nan), x),
        }
        self.y = {
            "binary": (raw[:, 0] > 0).astype(np.int64),
            "classes": raw.argmax(axis=1),
            "names": NAMES[raw.argmax(axis=1)],
            "target": raw[:, 0] + np.sin(raw[:, 1]),
            "targets": raw[:, :3],
            "positive": np.exp(0.2 * raw[:, 0]),
            "none": None,
        }
        self.rng = rng

    def frame(self) -> pd.DataFrame:
        """Columns of several types; some texts and integers occur after training only."""
        x, rng = self.x["missing"], self.rng
        n = len(x)
        city = NAMES[rng.integers(0, 4, n)]
        level = rng.integers(-3, 9, n)
        city[TRAIN_ROWS::50] = "nowhere"
        level[TRAIN_ROWS::70] = 1000
        return pd.DataFrame({"amount": x[:, 3], "age": x[:, 2], "score": x[:, 0], "city": city,
                             "kind": NAMES[rng.integers(0, 3, n)], "level": level})


def columns(scores: np.ndarray) -> np.ndarray:
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def predict(e, rows):
    value = e.predict(rows)
    if value.dtype.kind in "UO":
        return value.astype(object)
    return value if value.dtype.kind in "iu" else value.reshape(len(value), -1)


def proba(e, rows):
    return e.predict_proba(rows)


def decision(e, rows):
    return columns(e.decision_function(rows))


def decision_one(e, rows):
    return e.decision_function(rows).reshape(len(rows), -1)


def transform(e, rows):
    return e.transform(rows)


def scaled(estimator):
    return pipeline.make_pipeline(preprocessing.StandardScaler(), estimator)


def close_calls(scores: np.ndarray, rtol: float, atol: float) -> int:
    """Rows whose two best scores are closer than the bound: rounding may choose the other label."""
    two = np.sort(scores, axis=1)[:, -2:]
    return int((two[:, 1] - two[:, 0] <= 2 * (atol + rtol * np.abs(two).max(axis=1))).sum())


def decided(estimator, rows):
    """Without the rows in which two classes of an SVC are (nearly) equal: its scores count votes, so that
    rounding in one pair moves a score by one."""
    if not isinstance(estimator, (svm.SVC, svm.NuSVC)) or estimator.decision_function_shape != "ovr":
        return rows
    pairs = estimator.set_params(decision_function_shape="ovo").decision_function(rows.astype(np.float64))
    estimator.set_params(decision_function_shape="ovr")
    return rows if pairs.ndim == 1 else rows[(np.abs(pairs) > 5e-3).all(axis=1)]


def make(name, estimator, data, x, y, wanted, bound, options=None, disagreement="") -> Case:
    """`wanted` holds for each output of the model a function of the estimator and rows, or None."""
    rows = data.x[x][TRAIN_ROWS:]
    train, target = data.x[x][:TRAIN_ROWS].astype(np.float64), data.y[y]
    estimator.fit(train) if target is None else estimator.fit(train, target[:TRAIN_ROWS])
    rows = decided(estimator, rows)
    model = to_onnx(estimator, initial_types=[("X", FloatTensorType([None, rows.shape[1]]))],
                    options=options and {id(estimator): options}, target_opset=OPSETS)
    return finish(name, estimator, model, {"X": rows}, rows.astype(np.float64), wanted, bound, disagreement)


def finish(name, estimator, model, inputs, rows, wanted, bound, disagreement="") -> Case:
    names = [output.name for output in model.graph.output]
    expected = {n: f(estimator, rows) for n, f in zip(names, wanted, strict=True) if f}
    values = list(expected.values())
    ties = 0
    if len(values) == 2 and values[0].dtype.kind in "iuO" and values[1].shape[1] > 1:
        ties = close_calls(values[1], *bound)
    return Case(f"sklearn_{name}", model.SerializeToString(), inputs, expected, *bound, ties, disagreement)


FINE, ROUGH = (1e-5, 2e-5), (1e-3, 1e-3)
NO_MAP, RAW = {"zipmap": False}, {"zipmap": False, "raw_scores": True}
CLASS, SCORES = [predict, proba], [predict, decision]

lm = linear_model
# name, estimator, rows, target, outputs, bound, options
TABLE = [
    ("linear", lm.LinearRegression(), "plain", "target", [predict], FINE, None),
    ("linear_targets", lm.LinearRegression(), "plain", "targets", [predict], FINE, None),
    ("linear_no_intercept", lm.LinearRegression(fit_intercept=False), "plain", "target", [predict], FINE, None),
    ("ridge", lm.Ridge(alpha=2.0), "plain", "target", [predict], FINE, None),
    ("lasso", lm.Lasso(alpha=0.01), "plain", "target", [predict], FINE, None),
    ("elastic_net", lm.ElasticNet(alpha=0.01), "plain", "target", [predict], FINE, None),
    ("bayesian_ridge", lm.BayesianRidge(), "plain", "target", [predict], FINE, None),
    ("huber", scaled(lm.HuberRegressor(max_iter=500)), "plain", "target", [predict], FINE, None),
    ("sgd_regressor", scaled(lm.SGDRegressor(random_state=1)), "plain", "target", [predict], FINE, None),
    ("poisson", scaled(lm.PoissonRegressor()), "plain", "positive", [predict], FINE, None),
    ("tweedie", scaled(lm.TweedieRegressor(power=1.5)), "plain", "positive", [predict], FINE, None),
    ("logistic_binary", lm.LogisticRegression(max_iter=900), "plain", "binary", CLASS, FINE, NO_MAP),
    ("logistic_binary_map", lm.LogisticRegression(max_iter=900), "plain", "binary", CLASS, FINE, None),
    ("logistic", lm.LogisticRegression(max_iter=900), "plain", "classes", CLASS, FINE, NO_MAP),
    ("logistic_names", lm.LogisticRegression(max_iter=900), "plain", "names", CLASS, FINE, NO_MAP),
    ("logistic_names_map", lm.LogisticRegression(max_iter=900), "plain", "names", CLASS, FINE, None),
    ("logistic_raw", lm.LogisticRegression(max_iter=900), "plain", "classes", SCORES, FINE, RAW),
    ("ridge_classifier", lm.RidgeClassifier(), "plain", "classes", SCORES, FINE, RAW),
    ("sgd_hinge", scaled(lm.SGDClassifier(random_state=1)), "plain", "classes", SCORES, (1e-5, 1e-3), NO_MAP),
    ("sgd_log", scaled(lm.SGDClassifier(random_state=1, loss="log_loss")), "plain", "names", CLASS, (1e-3, 1e-4),
     NO_MAP),
    ("sgd_binary", scaled(lm.SGDClassifier(random_state=1, loss="log_loss")), "plain", "binary", CLASS, (1e-3, 1e-4),
     NO_MAP),
    ("sgd_huber", scaled(lm.SGDClassifier(random_state=1, loss="modified_huber")), "plain", "classes", CLASS,
     (1e-3, 1e-3), NO_MAP),
    ("perceptron", lm.Perceptron(random_state=1), "plain", "classes", SCORES, (1e-5, 1e-2), RAW),
    ("lda", LinearDiscriminantAnalysis(), "plain", "classes", CLASS, FINE, NO_MAP),
    ("linear_svc", svm.LinearSVC(C=0.01), "plain", "classes", SCORES, FINE, {"raw_scores": True}),
    ("linear_svc_binary", svm.LinearSVC(C=0.01), "plain", "binary", SCORES, FINE, {"raw_scores": True}),
    ("linear_svr", scaled(svm.LinearSVR()), "plain", "target", [predict], FINE, None),
    ("svc_rbf", svm.SVC(gamma=0.05), "plain", "classes", SCORES, (1e-4, 1e-4), NO_MAP),
    ("svc_linear", svm.SVC(kernel="linear", C=0.1), "plain", "names", SCORES, (1e-4, 2e-4), NO_MAP),
    ("svc_poly", svm.SVC(kernel="poly", degree=3, coef0=1.0, gamma=0.01), "plain", "classes", SCORES, (1e-4, 2e-3),
     NO_MAP),
    ("svc_poly_4", svm.SVC(kernel="poly", degree=4, coef0=0.5, gamma=0.01), "plain", "classes", SCORES, (1e-4, 2e-2),
     NO_MAP),
    ("svc_sigmoid", svm.SVC(kernel="sigmoid", gamma=0.01), "plain", "classes", SCORES, (1e-4, 1e-4), NO_MAP),
    ("svc_pairs", svm.SVC(gamma=0.05, decision_function_shape="ovo"), "plain", "classes", [predict, decision],
     (1e-4, 1e-4), NO_MAP),
    ("svc_binary", svm.SVC(gamma=0.05), "plain", "binary", SCORES, (1e-4, 1e-4), RAW),
    ("svc_binary_map", svm.SVC(gamma=0.05, probability=True, random_state=1), "plain", "binary", CLASS, ROUGH, None),
    ("svc_proba", svm.SVC(gamma=0.05, probability=True, random_state=1), "plain", "classes", CLASS, ROUGH, NO_MAP),
    ("nu_svc", svm.NuSVC(nu=0.2, gamma=0.05), "plain", "names", SCORES, (1e-4, 1e-4), NO_MAP),
    ("svr_rbf", svm.SVR(gamma=0.05), "plain", "target", [predict], (1e-4, 1e-4), None),
    ("svr_poly", scaled(svm.SVR(kernel="poly", gamma=0.02, coef0=1.0)), "plain", "target", [predict], (1e-4, 2e-3),
     None),
    ("nu_svr", svm.NuSVR(gamma=0.05), "plain", "target", [predict], (1e-4, 1e-4), None),
    ("one_class", svm.OneClassSVM(nu=0.2, gamma=0.05), "plain", "none", [None, decision_one], (1e-4, 2e-4), None),
    ("k_means", cluster.KMeans(5, random_state=1, n_init=3), "plain", "none", [predict, transform], (1e-4, 5e-3), None),
    ("mini_batch_k_means", cluster.MiniBatchKMeans(4, random_state=1, n_init=3), "plain", "none",
     [predict, transform], (1e-4, 5e-3), None),
    ("pca", decomposition.PCA(5), "plain", "none", [transform], (1e-4, 1e-4), None),
    ("pca_whiten", decomposition.PCA(5, whiten=True), "plain", "none", [transform], (1e-4, 1e-4), None),
    ("truncated_svd", decomposition.TruncatedSVD(4, random_state=1), "plain", "none", [transform], (1e-4, 1e-4), None),
    ("mlp", scaled(neural_network.MLPClassifier((32, 16), random_state=1, max_iter=80)), "plain", "classes", CLASS,
     (1e-4, 2e-5), NO_MAP),
    ("mlp_binary", scaled(neural_network.MLPClassifier((16,), activation="tanh", random_state=1, max_iter=80)),
     "plain", "binary", CLASS, (1e-4, 2e-5), NO_MAP),
    ("mlp_logistic", scaled(neural_network.MLPClassifier((16,), activation="logistic", random_state=1, max_iter=80)),
     "plain", "names", CLASS, (1e-4, 2e-5), NO_MAP),
    ("mlp_regressor", scaled(neural_network.MLPRegressor(hidden_layer_sizes=(32, 32), random_state=1, max_iter=80)),
     "plain", "target", [predict], (1e-4, 2e-5), None),
    ("gaussian_nb", naive_bayes.GaussianNB(), "plain", "classes", CLASS, (1e-3, 1e-4), NO_MAP),
    ("bernoulli_nb", naive_bayes.BernoulliNB(binarize=0.3), "plain", "names", CLASS, (1e-4, 2e-5), NO_MAP),
    ("multinomial_nb", naive_bayes.MultinomialNB(), "counts", "classes", CLASS, (1e-3, 1e-4), NO_MAP),
    ("complement_nb", naive_bayes.ComplementNB(), "counts", "classes", CLASS, (1e-3, 1e-4), NO_MAP),
    ("neighbors", neighbors.KNeighborsClassifier(5), "plain", "classes", [predict, proba], (1e-5, 1e-5), NO_MAP),
    ("neighbors_regressor", neighbors.KNeighborsRegressor(4), "plain", "target", [predict], (1e-4, 1e-4), None),
    ("standard_scaler", preprocessing.StandardScaler(), "plain", "none", [transform], FINE, None),
    ("min_max_scaler", preprocessing.MinMaxScaler(clip=True), "plain", "none", [transform], FINE, None),
    ("max_abs_scaler", preprocessing.MaxAbsScaler(), "plain", "none", [transform], FINE, None),
    ("robust_scaler", preprocessing.RobustScaler(), "plain", "none", [transform], FINE, None),
    ("normalizer_l2", preprocessing.Normalizer("l2"), "plain", "none", [transform], FINE, None),
    ("normalizer_l1", preprocessing.Normalizer("l1"), "plain", "none", [transform], FINE, None),
    ("normalizer_max", preprocessing.Normalizer("max"), "positive", "none", [transform], FINE, None),
    ("binarizer", preprocessing.Binarizer(threshold=0.25), "plain", "none", [transform], FINE, None),
    ("polynomial", preprocessing.PolynomialFeatures(2), "plain", "none", [transform], (1e-5, 1e-4), None),
    ("bins_ordinal", preprocessing.KBinsDiscretizer(5, encode="ordinal", quantile_method="averaged_inverted_cdf"),
     "plain", "none", [transform], FINE, None),
    ("bins_one_hot", preprocessing.KBinsDiscretizer(4, encode="onehot-dense", strategy="uniform"), "plain", "none",
     [transform], FINE, None),
    ("imputer_mean", impute.SimpleImputer(), "missing", "none", [transform], FINE, None),
    ("imputer_median", impute.SimpleImputer(strategy="median"), "missing", "none", [transform], FINE, None),
    ("imputer_constant", impute.SimpleImputer(strategy="constant", fill_value=-1.0), "missing", "none", [transform],
     FINE, None),
    ("imputed_logistic", pipeline.make_pipeline(impute.SimpleImputer(strategy="median"),
                                                preprocessing.RobustScaler(),
                                                lm.LogisticRegression(max_iter=900)),
     "missing", "classes", CLASS, FINE, NO_MAP),
    ("polynomial_ridge", pipeline.make_pipeline(preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(2),
                                                lm.Ridge()),
     "plain", "target", [predict], (1e-4, 1e-4), None),
    ("pca_svc", pipeline.make_pipeline(preprocessing.MinMaxScaler(), decomposition.PCA(6), svm.SVC(gamma=2.0)),
     "plain", "classes", SCORES, (1e-4, 2e-4), NO_MAP),
]

NUMBERS, TEXTS, INTEGERS = ["amount", "age", "score"], ["city", "kind"], ["level"]


def numbers(*steps):
    return pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), *steps)


# name, transformers of a ColumnTransformer
MIXED = [
    ("one_hot", [("n", numbers(preprocessing.StandardScaler()), NUMBERS),
                 ("t", preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXTS),
                 ("i", preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False), INTEGERS)]),
    ("one_hot_drop", [("n", numbers(preprocessing.MinMaxScaler()), NUMBERS),
                      ("t", preprocessing.OneHotEncoder(drop="first", sparse_output=False), ["kind"])]),
    ("ordinal", [("n", numbers(preprocessing.RobustScaler(), preprocessing.Normalizer()), NUMBERS),
                 ("t", preprocessing.OrdinalEncoder(), ["kind"])]),
    ("ordinal_unknown", [("n", numbers(preprocessing.Binarizer(threshold=0.5)), NUMBERS),
                         ("t", preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                          TEXTS),
                         ("i", preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=99),
                          INTEGERS)]),
    ("bins", [("n", numbers(preprocessing.KBinsDiscretizer(4, encode="ordinal", strategy="uniform"),
                            preprocessing.PolynomialFeatures(2)), NUMBERS),
              ("t", preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXTS)]),
]


def make_mixed(name, transformers, head, data, bound=FINE) -> Case:
    """A ColumnTransformer over a frame, each column an input of the model of its own."""
    frame = data.frame()
    used = [c for c in frame.columns if any(c in cols for _, _, cols in transformers)]
    frame = frame[used]
    mixed = compose.ColumnTransformer(transformers)
    estimator = pipeline.make_pipeline(mixed, head) if head else mixed
    estimator.fit(frame[:TRAIN_ROWS], data.y["classes"][:TRAIN_ROWS])
    types = {"f": FloatTensorType, "O": StringTensorType, "i": Int64TensorType}
    model = to_onnx(estimator, initial_types=[(c, types[frame[c].dtype.kind]([None, 1])) for c in used],
                    options={id(estimator): NO_MAP} if head else None, target_opset=OPSETS)
    rows = frame[TRAIN_ROWS:]
    inputs = {c: rows[c].to_numpy().reshape(-1, 1) for c in used}
    return finish(name, estimator, model, inputs, rows, CLASS if head else [transform], bound)


def cases(full: bool) -> Iterator[Case]:
    data = Data(7, ROWS_FULL if full else ROWS)
    for name, estimator, x, y, wanted, bound, options in TABLE:
        yield make(name, estimator, data, x, y, wanted, bound, options)
    yield make("normalizer_max_signed", preprocessing.Normalizer("max"), data, "plain", "none",
               [lambda e, rows: rows / rows.max(axis=1, keepdims=True)], FINE,
               disagreement="scikit-learn divides by the largest magnitude, the operator (and we) by the "
                            "largest value")
    for name, transformers in MIXED:
        yield make_mixed(f"mixed_{name}", transformers, None, data)
        yield make_mixed(f"mixed_{name}_logistic", transformers, lm.LogisticRegression(max_iter=900), data)


def differences(case: Case, got: dict) -> list[str]:
    words = []
    for name, expected in case.expected.items():
        value = got[name]
        if isinstance(value, list):  # maps
            value = np.array([[row[key] for key in sorted(row)] for row in value])
        if value.shape != expected.shape:
            words.append(f"{name}: shape {value.shape}, expected {expected.shape}")
        elif expected.dtype.kind in "iuO":
            n = int((value != expected).sum())
            if n > case.ties:
                words.append(f"{name}: {n} labels differ, {case.ties} may")
        else:
            off = np.abs(value - expected) - (case.atol + case.rtol * np.abs(expected))
            off[np.isnan(value) & np.isnan(expected)] = 0
            if not (off <= 0).all():
                words.append(f"{name}: {int((~(off <= 0)).sum())} of {off.size} off, by {np.nanmax(off):.2g}")
    return words


def main() -> int:
    import onnxruntime

    warnings.filterwarnings("ignore")
    n_bad = n = 0
    for case in cases("--full" in sys.argv):
        session = onnxruntime.InferenceSession(case.model, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        words = differences(case, dict(zip(names, session.run(None, case.inputs), strict=True)))
        n += 1
        n_bad += bool(words)
        if words:
            print(case.name, "; ".join(words))
    print(f"{n - n_bad} of {n} models: ONNX Runtime agrees with scikit-learn")
    return n_bad != 0


if __name__ == "__main__":
    sys.exit(main())
