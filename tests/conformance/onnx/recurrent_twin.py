"""RNN, GRU and LSTM as ONNX's reference text has them, in numpy, one row after the other."""
import numpy as np

NEEDED = None
ALPHA = {"Affine": NEEDED, "Elu": 1.0, "HardSigmoid": 0.2, "LeakyRelu": 0.01, "ScaledTanh": NEEDED,
         "ThresholdedRelu": 1.0}
BETA = {"Affine": NEEDED, "HardSigmoid": 0.5, "ScaledTanh": NEEDED}


def activation(name, alpha, beta):
    return {
        "Affine": lambda x: alpha * x + beta,
        "Elu": lambda x: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
        "HardSigmoid": lambda x: np.clip(alpha * x + beta, 0, 1),
        "LeakyRelu": lambda x: np.where(x < 0, alpha * x, x),
        "Relu": lambda x: np.maximum(x, 0),
        "ScaledTanh": lambda x: alpha * np.tanh(beta * x),
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Softplus": lambda x: np.logaddexp(0, x),
        "Softsign": lambda x: x / (1 + np.abs(x)),
        "Tanh": np.tanh,
        "ThresholdedRelu": lambda x: np.where(x > alpha, x, 0),
    }[name]


def activations(names, alphas, betas):
    """Those that have an alpha take the next one of the list, then their own default."""
    alphas, betas = list(alphas or []), list(betas or [])
    made = []
    for name in names:
        alpha = beta = 0.0
        if name in ALPHA:
            alpha = np.float32(alphas.pop(0) if alphas else ALPHA[name])
        if name in BETA:
            beta = np.float32(betas.pop(0) if betas else BETA[name])
        made.append(activation(name, np.float64(alpha), np.float64(beta)))
    return made


def step_rnn(gates, h, c, r, rb, acts, clip, **_):
    return acts[0](clip(gates + r @ h + rb)), c


def step_gru(gates, h, c, r, rb, acts, clip, linear_before_reset=0, **_):
    n = len(h)
    z = acts[0](clip(gates[:n] + r[:n] @ h + rb[:n]))
    reset = acts[0](clip(gates[n:2 * n] + r[n:2 * n] @ h + rb[n:2 * n]))
    if linear_before_reset:
        other = reset * (r[2 * n:] @ h + rb[2 * n:])
    else:
        other = r[2 * n:] @ (reset * h) + rb[2 * n:]
    return (1 - z) * acts[1](clip(gates[2 * n:] + other)) + z * h, c


def step_lstm(gates, h, c, r, rb, acts, clip, p=None, input_forget=0, **_):
    n = len(h)
    i, o, f, g = np.split(gates + r @ h + rb, 4)
    p_i, p_o, p_f = np.split(p, 3) if p is not None else (0, 0, 0)
    i = acts[0](clip(i + p_i * c))
    f = 1 - i if input_forget else acts[0](clip(f + p_f * c))
    c = f * c + i * acts[1](clip(g))
    o = acts[0](clip(o + p_o * c))
    return o * acts[2](c), c


CELLS = {"RNN": (1, ["Tanh"], step_rnn), "GRU": (3, ["Sigmoid", "Tanh"], step_gru),
         "LSTM": (4, ["Sigmoid", "Tanh", "Tanh"], step_lstm)}


def recurrent(op, x, w, r, b=None, lens=None, h0=None, c0=None, p=None, *, direction="forward",
              layout=0, clip=None, activation_names=None, alphas=None, betas=None, **form):
    """[Y, Y_h] or [Y, Y_h, Y_c]. States have the layout's shape."""
    n_gates, default, step = CELLS[op]
    if layout:
        x = x.transpose(1, 0, 2)
        h0, c0 = (None if s is None else s.transpose(1, 0, 2) for s in (h0, c0))
    n_steps, n_rows, _ = x.shape
    n_directions, _, n = r.shape
    acts = activations(activation_names or default * n_directions, alphas, betas)
    y = np.zeros((n_steps, n_directions, n_rows, n))
    last_h, last_c = (np.zeros((n_directions, n_rows, n)) for _ in range(2))

    def clipped(v):
        return v if clip is None else np.clip(v, -np.float64(np.float32(clip)), np.float32(clip))

    for d in range(n_directions):
        half = n_gates * n
        wb, rb = (b[d, :half], b[d, half:]) if b is not None else (np.zeros(half),) * 2
        mine = acts[d * len(default):(d + 1) * len(default)]
        for row in range(n_rows):
            h = h0[d, row] if h0 is not None else np.zeros(n)
            c = c0[d, row] if c0 is not None else np.zeros(n)
            steps = list(range(lens[row] if lens is not None else n_steps))
            if direction == "reverse" or d == 1:
                steps.reverse()
            for t in steps:
                h, c = step(w[d] @ x[t, row] + wb, h, c, r[d], rb, mine, clipped,
                            p=None if p is None else p[d], **form)
                y[t, d, row] = h
            if steps:  # without any, ONNX Runtime leaves the states zero
                last_h[d, row], last_c[d, row] = h, c
    if layout:
        y = y.transpose(2, 0, 1, 3)
        last_h, last_c = last_h.transpose(1, 0, 2), last_c.transpose(1, 0, 2)
    return [y, last_h] + ([last_c] if op == "LSTM" else [])
