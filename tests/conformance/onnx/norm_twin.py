"""Normalizations as ONNX's reference text has them, in numpy and double."""
import numpy as np


def batch(x, scale, bias, mean, var, epsilon, spatial=1):
    scale, bias, mean, var = (v.astype(np.float64) for v in (scale, bias, mean, var))
    if spatial:
        scale, bias, mean, var = (v.reshape(-1, *[1] * (x.ndim - 2)) for v in (scale, bias, mean, var))
    return scale * (x - mean) / np.sqrt(var + epsilon) + bias


def layer(x, scale, bias=None, *, axis, epsilon):
    axes = tuple(range(axis % x.ndim, x.ndim))
    mean = x.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    return (x - mean) * inverse * scale + (0 if bias is None else bias), mean, inverse


def rms(x, scale, axis, epsilon):
    axes = tuple(range(axis % x.ndim, x.ndim))
    return x / np.sqrt((x * x).mean(axes, keepdims=True) + epsilon) * scale


def lp(x, axis, p):
    return x / (np.abs(x) ** p).sum(axis, keepdims=True) ** (1 / p)


def group(x, scale, bias, n_groups, epsilon):
    """scale and bias: one for each group, or one for each channel."""
    grouped = x.reshape(x.shape[0], n_groups, -1)
    mean, var = grouped.mean(2, keepdims=True), grouped.var(2, keepdims=True)
    y = ((grouped - mean) / np.sqrt(var + epsilon)).reshape(x.shape)
    scale, bias = (np.repeat(v.astype(np.float64), x.shape[1] // len(v)) for v in (scale, bias))
    per_channel = (-1, *[1] * (x.ndim - 2))
    return y * scale.reshape(per_channel) + bias.reshape(per_channel)
