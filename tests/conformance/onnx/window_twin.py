"""Convolutions and pools as ONNX's reference text has them, in numpy, one window after the other."""
import itertools

import numpy as np


def geometry(auto_pad, pads, sizes, reach, strides, ceil_mode=False):
    """(padding in front, padding at the end, places) along each axis."""
    n = len(sizes)
    result = []
    for d in range(n):
        size, stride = sizes[d], strides[d]
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            places = -(-size // stride)
            total = max((places - 1) * stride + reach[d] - size, 0)
            front = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            end = total - front
        elif auto_pad == "VALID":
            front = end = 0
            places = (size - reach[d]) // stride + 1
        else:
            front, end = (pads[d], pads[n + d]) if pads else (0, 0)
            room = size + front + end - reach[d]
            places = room // stride + 1
            if ceil_mode:
                places = -(-room // stride) + 1
                if (places - 1) * stride >= size + front:
                    places -= 1
        result.append((front, end, places))
    return result


def taps(start, size, dilation, n):
    """(tap, element) of those taps that lie on the axis."""
    at = [(k, start + k * dilation) for k in range(size)]
    return [(k, i) for k, i in at if 0 <= i < n]


def conv(x, w, b=None, auto_pad="NOTSET", pads=None, strides=None, dilations=None, group=1):
    n = x.ndim - 2
    strides, dilations = strides or [1] * n, dilations or [1] * n
    reach = [(w.shape[2 + d] - 1) * dilations[d] + 1 for d in range(n)]
    padding = geometry(auto_pad, pads, x.shape[2:], reach, strides)
    y = np.zeros((x.shape[0], w.shape[0], *[p[2] for p in padding]))
    per_group, m_per_group = w.shape[1], w.shape[0] // group
    for place in itertools.product(*[range(p[2]) for p in padding]):
        lists = [taps(place[d] * strides[d] - padding[d][0], w.shape[2 + d], dilations[d],
                      x.shape[2 + d]) for d in range(n)]
        for under in itertools.product(*lists):
            k, i = tuple(u[0] for u in under), tuple(u[1] for u in under)
            for m in range(w.shape[0]):
                c = m // m_per_group * per_group
                y[(slice(None), m, *place)] += (
                    x[(slice(None), slice(c, c + per_group), *i)] @ w[(m, slice(None), *k)])
    if b is not None:
        y += b.reshape(1, -1, *[1] * n)
    return y


def conv_transpose(x, w, b=None, auto_pad="NOTSET", pads=None, strides=None, dilations=None,
                   group=1, output_padding=None, output_shape=None):
    n = x.ndim - 2
    strides, dilations = strides or [1] * n, dilations or [1] * n
    more = output_padding or [0] * n
    sizes, fronts = [], []
    for d in range(n):
        whole = (x.shape[2 + d] - 1) * strides[d] + more[d]
        whole += (w.shape[2 + d] - 1) * dilations[d] + 1
        if output_shape or auto_pad.startswith("SAME"):
            size = output_shape[d] if output_shape else x.shape[2 + d] * strides[d]
            total = max(whole - size, 0)
            front = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        else:
            front, end = (pads[d], pads[n + d]) if pads and auto_pad == "NOTSET" else (0, 0)
            size = whole - front - end
        sizes.append(size)
        fronts.append(front)
    m_per_group, per_group = w.shape[1], w.shape[0] // group
    y = np.zeros((x.shape[0], m_per_group * group, *sizes))
    for i in itertools.product(*[range(s) for s in x.shape[2:]]):
        for k in itertools.product(*[range(s) for s in w.shape[2:]]):
            at = tuple(i[d] * strides[d] + k[d] * dilations[d] - fronts[d] for d in range(n))
            if not all(0 <= a < s for a, s in zip(at, sizes)):
                continue
            for g in range(group):
                rows = slice(g * per_group, (g + 1) * per_group)
                to = slice(g * m_per_group, (g + 1) * m_per_group)
                y[(slice(None), to, *at)] += (
                    x[(slice(None), rows, *i)] @ w[(rows, slice(None), *k)])
    if b is not None:
        y += b.reshape(1, -1, *[1] * n)
    return y


def pool(kind, x, kernel_shape, auto_pad="NOTSET", pads=None, strides=None, dilations=None,
         ceil_mode=0, count_include_pad=0, storage_order=0):
    """[average], or [greatest, index of it]."""
    n = x.ndim - 2
    strides, dilations = strides or [1] * n, dilations or [1] * n
    reach = [(kernel_shape[d] - 1) * dilations[d] + 1 for d in range(n)]
    padding = geometry(auto_pad, pads, x.shape[2:], reach, strides, bool(ceil_mode))
    shape = (*x.shape[:2], *[p[2] for p in padding])
    y, index = np.zeros(shape, np.float64 if kind == "AveragePool" else x.dtype), np.zeros(shape, np.int64)
    plane = np.arange(np.prod(x.shape[2:])).reshape(x.shape[2:], order="F" if storage_order else "C")
    for place in itertools.product(*[range(s) for s in shape]):
        lists, count = [], 1
        for d in range(n):
            start = place[2 + d] * strides[d] - padding[d][0]
            lists.append(taps(start, kernel_shape[d], dilations[d], x.shape[2 + d]))
            limit = x.shape[2 + d] + padding[d][1]
            inside = [k for k in range(kernel_shape[d]) if start + k * dilations[d] < limit]
            count *= len(inside) if count_include_pad else len(lists[d])
        under = [tuple(u[1] for u in at) for at in itertools.product(*lists)]
        values = np.array([x[(*place[:2], *i)] for i in under])
        if kind == "AveragePool":
            y[place] = values.sum(dtype=np.float64) / count
        else:
            best = int(values.argmax())
            y[place] = values[best]
            number = place[0] * x.shape[1] + place[1]
            index[place] = number * plane.size + plane[under[best]]
    return [y] if kind == "AveragePool" else [y, index]
