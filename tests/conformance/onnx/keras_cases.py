"""Nets from Keras, by Keras' own ONNX export and by tf2onnx.

A case is named keras_NET_EXPORTER: `export` is model.export(format="onnx"), which writes opset 15;
`tf2onnx13` is tf2onnx over the model as a function, for the opset behind it. Both go through
TensorFlow's graph: a one-dimensional convolution comes out as a two-dimensional one between
transposes, a GRU as a Loop. The batch is dynamic. Nets are trained for a few steps. Expected is what
the model itself says, in TensorFlow."""
import logging
import os
import re
import tempfile
import warnings

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TF_ENABLE_ONEDNN_OPTS="0",
                  OMP_WAIT_POLICY="PASSIVE")
warnings.filterwarnings("ignore")
import numpy as np
import onnx
import keras
import tensorflow as tf
import tf2onnx
from keras import layers as L

from case import Case

logging.disable(logging.WARNING)
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
ROWS = 1003  # no multiple of any batch or vector


def chain(shape, *layers):
    return keras.Sequential([L.Input(shape, name="x"), *layers])


def dense_norms():
    """Rescaling and not Normalization: the mean of that one is exported as an input that nobody feeds."""
    rng = np.random.default_rng(1)
    scale, offset = (1 / rng.uniform(2, 6, 21)).tolist(), rng.normal(size=21).tolist()
    return chain((21,), L.Rescaling(scale, offset), L.Dense(43, use_bias=False), L.BatchNormalization(), L.Activation("relu"),
                 L.Dropout(0.2), L.Dense(26, activation="selu", kernel_initializer="lecun_normal"),
                 L.AlphaDropout(0.1), L.LayerNormalization(), L.Dense(1, activation="sigmoid"))


def gelu_tanh(x):
    """The exact one cannot be exported: no ONNX for TensorFlow's Erfc."""
    return keras.activations.gelu(x, approximate=True)


def activations():
    x = L.Input((12,), name="x")
    kinds = ["elu", "selu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid", "exponential", gelu_tanh,
             "silu", "relu6", "leaky_relu", "log_softmax", "softmax", "mish", L.PReLU(), L.ReLU(max_value=1.5),
             L.ELU(0.6), L.LeakyReLU(negative_slope=0.2)]
    parts = [(k if isinstance(k, L.Layer) else L.Activation(k))(L.Dense(9)(x)) for k in kinds]
    return keras.Model(x, L.Dense(4)(L.Concatenate()(parts)))


def several_inputs():
    numbers, code, series = L.Input((8,), name="numbers"), L.Input((3,), dtype="int32", name="codes"), \
        L.Input((20, 4), name="series")
    parts = [L.Dense(17, activation="relu")(numbers), L.Flatten()(L.Embedding(31, 5)(code)),
             L.GlobalMaxPooling1D()(L.Conv1D(14, 3, activation="relu")(series))]
    x = L.Dense(24, activation="relu")(L.Concatenate()(parts))
    return keras.Model([numbers, code, series],
                       [L.Dense(3, activation="softmax", name="kind")(x), L.Dense(1, name="value")(x)])


def wavenet():
    x = L.Input((48, 5), name="x")
    y = L.Conv1D(18, 1)(x)
    skips = []
    for d in (1, 2, 4, 8):
        gate = L.Conv1D(18, 2, padding="causal", dilation_rate=d, activation="sigmoid")(y)
        z = L.Multiply()([gate, L.Conv1D(18, 2, padding="causal", dilation_rate=d, activation="tanh")(y)])
        skips.append(L.Conv1D(18, 1)(z))
        y = L.Add()([y, skips[-1]])
    y = L.Activation("relu")(L.Add()(skips))
    return keras.Model(x, L.Dense(1)(L.Lambda(lambda t: t[:, -1, :])(y)))


def bidirectional_each():
    x = L.Input((18, 7), name="x")
    y = L.Bidirectional(L.LSTM(13, return_sequences=True), merge_mode="sum")(x)
    y = L.Bidirectional(L.GRU(11, return_sequences=True))(y)
    return keras.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(y)))


def lstm_states():
    x = L.Input((22, 6), name="x")
    y, h, c = L.LSTM(15, return_sequences=True, return_state=True)(x)
    return keras.Model(x, [L.Dense(1)(L.Concatenate()([h, c])), L.TimeDistributed(L.Dense(2))(y)])


def normal(*shape):
    return lambda rng: rng.normal(size=(ROWS, *shape)).astype(np.float32)


def walks(steps, channels):
    """Series that drift, as sensors do."""
    return lambda rng: (np.cumsum(0.3 * rng.normal(size=(ROWS, steps, channels)), axis=1)
                        + rng.normal(size=(ROWS, 1, channels))).astype(np.float32)


SEVERAL = {"numbers": normal(8), "codes": lambda rng: rng.integers(31, size=(ROWS, 3)).astype(np.int32),
           "series": walks(20, 4)}
BOTH = ("export", "tf2onnx17")
# name: (model, inputs, exporters, relative and absolute bound)
CASES = {
    "dense": (lambda: chain((30,), L.Dense(64, activation="relu"), L.Dense(32, activation="relu"),
                            L.Dense(3, activation="softmax")),
              {"x": normal(30)}, ("export", "tf2onnx9", "tf2onnx13", "tf2onnx18"), 1e-5, 2e-6),
    "dense_norms": (dense_norms, {"x": lambda rng: rng.normal(3, 4, size=(ROWS, 21)).astype(np.float32)},
                    BOTH, 1e-5, 4e-6),
    "activations": (activations, {"x": normal(12)}, BOTH, 1e-5, 4e-6),
    "several_inputs": (several_inputs, SEVERAL, BOTH, 1e-5, 4e-6),
    "conv_causal": (lambda: chain((40, 6), L.Conv1D(16, 5, padding="causal", activation="relu"),
                                  L.Conv1D(16, 3, padding="causal", dilation_rate=4, activation="relu"),
                                  L.GlobalAveragePooling1D(), L.Dense(1)),
                    {"x": walks(40, 6)}, ("export", "tf2onnx11", "tf2onnx17"), 1e-5, 4e-6),
    "conv_same": (lambda: chain((50, 4), L.Conv1D(20, 7, padding="same", strides=2, activation="relu"),
                                L.BatchNormalization(), L.MaxPooling1D(3, strides=2, padding="same"),
                                L.Conv1D(24, 4, padding="same"), L.ReLU(), L.AveragePooling1D(2, padding="same"),
                                L.Flatten(), L.Dense(2)),
                  {"x": walks(50, 4)}, ("export", "tf2onnx11", "tf2onnx17"), 1e-5, 4e-6),
    "conv_separable": (lambda: chain((36, 5), L.SeparableConv1D(15, 5, depth_multiplier=2, activation="relu"),
                                     L.DepthwiseConv1D(3, padding="same"), L.GlobalMaxPooling1D(), L.Dense(1)),
                       {"x": walks(36, 5)}, BOTH, 1e-5, 4e-6),
    "wavenet": (wavenet, {"x": walks(48, 5)}, BOTH, 1e-5, 4e-6),
    "lstm": (lambda: chain((30, 9), L.LSTM(32, return_sequences=True), L.LSTM(16), L.Dense(1)),
             {"x": walks(30, 9)}, ("export", "tf2onnx9", "tf2onnx17"), 1e-5, 4e-6),
    "lstm_states": (lstm_states, {"x": walks(22, 6)}, BOTH, 1e-5, 4e-6),
    "gru": (lambda: chain((30, 9), L.GRU(32, return_sequences=True), L.GRU(16), L.Dense(1)),
            {"x": walks(30, 9)}, ("export", "tf2onnx11", "tf2onnx17"), 1e-5, 4e-6),
    "gru_reset_before": (lambda: chain((20, 5), L.GRU(14, reset_after=False), L.Dense(1)),
                         {"x": walks(20, 5)}, BOTH, 1e-5, 4e-6),
    "simple_rnn": (lambda: chain((20, 5), L.SimpleRNN(19), L.Dense(1)), {"x": walks(20, 5)}, BOTH, 1e-5, 4e-6),
    "lstm_both_ways": (lambda: chain((24, 8), L.Bidirectional(L.LSTM(18)), L.Dense(3, activation="softmax")),
                       {"x": walks(24, 8)}, BOTH, 1e-5, 4e-6),
    "gru_both_ways": (lambda: chain((24, 8), L.Bidirectional(L.GRU(18)), L.Dense(3, activation="softmax")),
                      {"x": walks(24, 8)}, BOTH, 1e-5, 4e-6),
    "both_ways_twice": (bidirectional_each, {"x": walks(18, 7)}, BOTH, 1e-5, 4e-6),
    "lstm_unrolled": (lambda: chain((8, 5), L.LSTM(12, unroll=True), L.Dense(1)), {"x": walks(8, 5)}, BOTH, 1e-5, 4e-6),
    "gru_unrolled": (lambda: chain((8, 5), L.GRU(12, unroll=True), L.Dense(1)), {"x": walks(8, 5)}, BOTH, 1e-5, 4e-6),
    "conv_lstm": (lambda: chain((32, 6), L.Conv1D(16, 3, activation="relu"), L.MaxPooling1D(2), L.LSTM(20),
                                L.Dense(12, activation="tanh"), L.Dense(1)), {"x": walks(32, 6)}, BOTH, 1e-5, 4e-6),
    "autoencoder": (lambda: chain((64,), L.Dense(32, activation="relu"), L.Dense(8, activation="relu"),
                                  L.Dense(32, activation="relu"), L.Dense(64)), {"x": normal(64)}, BOTH, 1e-5, 2e-6),
    "conv_autoencoder": (lambda: chain((32, 3), L.Conv1D(16, 7, padding="same", strides=2, activation="relu"),
                                       L.Conv1D(8, 7, padding="same", strides=2, activation="relu"),
                                       L.Conv1DTranspose(8, 7, padding="same", strides=2, activation="relu"),
                                       L.Conv1DTranspose(16, 7, padding="same", strides=2, activation="relu"),
                                       L.Conv1DTranspose(3, 7, padding="same")), {"x": walks(32, 3)}, BOTH, 1e-5, 4e-6),
    "lstm_autoencoder": (lambda: chain((15, 4), L.LSTM(16), L.RepeatVector(15), L.LSTM(16, return_sequences=True),
                                       L.TimeDistributed(L.Dense(4))), {"x": walks(15, 4)}, BOTH, 1e-5, 4e-6),
    "upsampling": (lambda: chain((16, 3), L.Conv1D(8, 3, padding="same", activation="relu"), L.MaxPooling1D(2),
                                 L.UpSampling1D(2), L.Conv1D(3, 3, padding="same")), {"x": walks(16, 3)}, BOTH, 1e-5, 4e-6),
}


def names(full):
    """A short run takes Keras' own export only."""
    return [f"keras_{net}_{exporter}" for net, row in CASES.items() for exporter in row[2]
            if full or exporter == "export"]


def train(model, inputs, rng):
    """Adam towards random targets."""
    y = model(inputs, training=False)
    targets = [rng.normal(size=o.shape).astype(np.float32) for o in (y if isinstance(y, list) else [y])]
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse" if len(targets) == 1 else ["mse"] * len(targets))
    for at in range(0, 640, 64):
        part = slice(at, at + 64)
        batch = [t[part] for t in targets]
        model.train_on_batch([i[part] for i in inputs] if len(inputs) > 1 else inputs[0][part],
                             batch if len(batch) > 1 else batch[0])


def export(model, exporter):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        if exporter == "export":
            model.export(path, format="onnx", verbose=False)
        else:
            signature = [tf.TensorSpec((None, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs]
            call = tf.function(lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0], training=False))
            tf2onnx.convert.from_function(call, signature, opset=int(exporter.removeprefix("tf2onnx")),
                                          output_path=path)
        with open(path, "rb") as f:
            return f.read()


def make(name):
    net, exporter = re.fullmatch(r"keras_(.+)_(export|tf2onnx\d+)", name).groups()
    build, inputs, _, rtol, atol = CASES[net]
    seed = list(CASES).index(net)
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    arrays = {k: f(rng) for k, f in inputs.items()}
    model = build()
    values = list(arrays.values())
    train(model, values if len(values) > 1 else values[0:1], rng)
    outs = model(values if len(values) > 1 else values[0], training=False)
    outs = [np.asarray(o) for o in (outs if isinstance(outs, (list, tuple)) else [outs])]
    model_bytes = export(model, exporter)
    graph = onnx.load_from_string(model_bytes).graph
    assert [i.name for i in graph.input] == list(arrays), graph.input
    expected = {o.name: y for o, y in zip(graph.output, outs, strict=True)}
    return Case(name, model_bytes, arrays, expected, rtol, atol)


def cases(full):
    return map(make, names(full))
