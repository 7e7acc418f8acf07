"""The nets of torch_cases.py: what people build in PyTorch for tables, sensors and sequences.

Every class is small, takes the batch first and is written as tutorials and papers write it, not as an
exporter would like it best. Widths are odd numbers where nothing speaks against it, so that the tails
of vectors are met too."""
import torch
from torch import nn
from torch.nn import functional as F


def mlp(n_in, *widths, activation=nn.ReLU, last=None):
    layers = []
    for a, b in zip((n_in, *widths), widths):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1], *([last] if last else []))


class Standardised(nn.Module):
    """The scaler of the training set inside of the net, then two hidden layers with batch norm."""
    def __init__(self, n_in=23):
        super().__init__()
        self.register_buffer("mean", torch.randn(n_in))
        self.register_buffer("std", torch.rand(n_in) + 0.5)
        self.body = nn.Sequential(nn.Linear(n_in, 51), nn.BatchNorm1d(51), nn.LeakyReLU(0.1),
                                  nn.Dropout(0.3), nn.Linear(51, 27, bias=False), nn.BatchNorm1d(27),
                                  nn.PReLU(27), nn.Linear(27, 1))

    def forward(self, x):
        x = torch.nan_to_num((x - self.mean) / self.std)
        return torch.sigmoid(self.body(x.clamp(-5, 5))).squeeze(-1)


class Residual(nn.Module):
    """LayerNorm, GELU and residual branches, as in tabular ResNets and mixers."""
    def __init__(self, n_in=19, width=40):
        super().__init__()
        self.first = nn.Linear(n_in, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.ups = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(3))
        self.downs = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(3))
        self.last = nn.Sequential(nn.LayerNorm(width, eps=1e-6), nn.GELU(approximate="tanh"),
                                  nn.Linear(width, 3))

    def forward(self, x):
        x = self.first(x)
        for norm, up, down in zip(self.norms, self.ups, self.downs):
            x = x + down(F.gelu(up(norm(x))))
        return self.last(x)


class Activations(nn.Module):
    """One branch for every activation that torch users reach for, side by side."""
    def __init__(self, n_in=11, width=13):
        super().__init__()
        self.kinds = [nn.ELU(0.7), nn.SELU(), nn.CELU(1.3), nn.SiLU(), nn.Mish(), nn.Softplus(),
                      nn.Softsign(), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(-0.8, 0.9), nn.ReLU6(),
                      nn.Tanh(), nn.LogSigmoid(), nn.GELU(), nn.Softmax(dim=-1), nn.LogSoftmax(dim=-1),
                      nn.GLU(dim=-1)]
        self.ins = nn.ModuleList(nn.Linear(n_in, width + isinstance(k, nn.GLU)) for k in self.kinds)
        n_out = sum((width + 1) // 2 if isinstance(k, nn.GLU) else width for k in self.kinds)
        self.last = nn.Linear(n_out, 5)

    def forward(self, x):
        return self.last(torch.cat([kind(part(x)) for kind, part in zip(self.kinds, self.ins)], dim=1))


class Embedded(nn.Module):
    """Codes of categories through embeddings, beside numbers; three heads."""
    def __init__(self, sizes=(7, 23, 120), n_numbers=9):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, min(8, (n + 1) // 2)) for n in sizes)
        n_in = sum(t.embedding_dim for t in self.tables) + n_numbers
        self.body = mlp(n_in, 48, 31)
        self.classes, self.value = nn.Linear(31, 4), nn.Linear(31, 1)

    def forward(self, codes, numbers):
        parts = [table(codes[:, i]) for i, table in enumerate(self.tables)]
        x = torch.relu(self.body(torch.cat([*parts, numbers], dim=-1)))
        probability = F.softmax(self.classes(x), dim=1)
        return probability, probability.argmax(dim=1), self.value(x).exp()


class Bag(nn.Module):
    """A history of merchant codes of the same length each, 0 for "none": the mean of those there are."""
    def __init__(self, n=50):
        super().__init__()
        self.table = nn.Embedding(n, 12, padding_idx=0)
        self.last = mlp(12, 17, 2)

    def forward(self, codes):
        there = (codes != 0).unsqueeze(-1).to(torch.float32)
        x = (self.table(codes) * there).sum(1) / there.sum(1).clamp(min=1)
        return self.last(x)


class ConvStack(nn.Module):
    """Channels x time through convolutions to one number."""
    def __init__(self, channels=8, width=32):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(channels, width, 5), nn.ReLU(), nn.Conv1d(width, width, 5),
                                  nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, 1))

    def forward(self, x):
        return self.body(x)


class ConvBatchNorm(nn.Module):
    """Strides, groups, pools of both kinds, batch norm; fed [N, time, channels] as sensors write it."""
    def __init__(self, channels=6):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, 24, 7, padding=3, bias=False), nn.BatchNorm1d(24), nn.ReLU(inplace=True),
            nn.MaxPool1d(3, stride=2, padding=1),
            nn.Conv1d(24, 24, 3, padding=1, groups=24), nn.Conv1d(24, 36, 1), nn.BatchNorm1d(36), nn.SiLU(),
            nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False),
            nn.Conv1d(36, 20, 4, stride=3, groups=4), nn.ELU())
        self.last = nn.Linear(40, 5)

    def forward(self, x):
        x = self.body(x.transpose(1, 2))
        return self.last(torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=1))


class CausalConv(nn.Module):
    """A temporal convolutional network: padding on the left, growing dilation, residuals, weight norm."""
    def __init__(self, channels=5, width=21, levels=4):
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.first = nn.Conv1d(channels, width, 1)
        self.convs = nn.ModuleList(norm(nn.Conv1d(width, width, 3, dilation=2**i)) for i in range(levels))
        self.last = nn.Linear(width, 2)

    def forward(self, x):
        x = self.first(x)
        for conv in self.convs:
            x = x + torch.relu(conv(F.pad(x, (2 * conv.dilation[0], 0))))
        return self.last(x[:, :, -1])


class NormedConv(nn.Module):
    """Group and instance norm, reflecting and replicating pads."""
    def __init__(self, channels=4):
        super().__init__()
        self.a = nn.Conv1d(channels, 18, 5, padding=2, padding_mode="reflect")
        self.b = nn.Conv1d(18, 18, 3, padding=1, padding_mode="replicate")
        self.groups, self.instance = nn.GroupNorm(3, 18), nn.InstanceNorm1d(18, affine=True)
        self.last = nn.Linear(18, 2)

    def forward(self, x):
        x = torch.relu(self.groups(self.a(x)))
        x = torch.tanh(self.instance(self.b(x)))
        return self.last(x.std(dim=-1) + x.mean(dim=-1))


class Recurrent(nn.Module):
    """LSTM, GRU or RNN over [N, time, features], the last step into a linear layer."""
    def __init__(self, kind, n_in=16, width=32, layers=2, n_out=1, **options):
        super().__init__()
        self.body = kind(n_in, width, layers, batch_first=True, **options)
        self.last = nn.Linear(width * (2 if options.get("bidirectional") else 1), n_out)

    def forward(self, x):
        return self.last(self.body(x)[0][:, -1])


class LastStates(nn.Module):
    """Remaining useful life, as many write it: the last states of both directions, then a small net."""
    def __init__(self, kind, n_in=14, width=20):
        super().__init__()
        self.body = kind(n_in, width, 1, batch_first=True, bidirectional=True)
        self.last = mlp(2 * width, 15, 1)

    def forward(self, x):
        states = self.body(x)[1]
        h = states[0] if isinstance(states, tuple) else states
        return self.last(torch.cat([h[0], h[1]], dim=1)).squeeze(1)


class Projected(nn.Module):
    """An initial state that is learned, every step's output kept, and their mean and maximum."""
    def __init__(self, n_in=9, width=24):
        super().__init__()
        self.h, self.c = (nn.Parameter(0.3 * torch.randn(1, 1, width)) for _ in range(2))
        self.body = nn.LSTM(n_in, width, batch_first=True)
        self.last = nn.Linear(2 * width, 2)

    def forward(self, x):
        n = x.shape[0]
        y, _ = self.body(x, (self.h.expand(-1, n, -1).contiguous(), self.c.expand(-1, n, -1).contiguous()))
        return self.last(torch.cat([y.mean(dim=1), y.max(dim=1).values], dim=-1))


class AttentionPool(nn.Module):
    """GRU over time, then a weighted mean of its steps, the weights by a softmax over time."""
    def __init__(self, n_in=7, width=22):
        super().__init__()
        self.body, self.norm = nn.GRU(n_in, width, batch_first=True), nn.LayerNorm(width)
        self.score, self.last = nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, x):
        y = self.norm(self.body(x)[0])
        weights = torch.softmax(self.score(torch.tanh(y)), dim=1)
        return torch.sigmoid(self.last((weights * y).sum(dim=1))), weights.squeeze(-1)


class ConvRecurrent(nn.Module):
    """Convolutions that shorten the series, then a bidirectional GRU."""
    def __init__(self, channels=6):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(channels, 20, 5, stride=2, padding=2), nn.BatchNorm1d(20),
                                  nn.ReLU(), nn.MaxPool1d(2))
        self.body = nn.GRU(20, 18, batch_first=True, bidirectional=True)
        self.last = nn.Linear(36, 4)

    def forward(self, x):
        y, _ = self.body(self.conv(x).permute(0, 2, 1))
        return F.log_softmax(self.last(y[:, -1, :]), dim=-1)


class AutoEncoder(nn.Module):
    """64-32-8-32-64; gives the reconstruction and the error, which is what alerts."""
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = mlp(64, 32, 8), mlp(8, 32, 64)

    def forward(self, x):
        y = self.decoder(torch.relu(self.encoder(x)))
        return y, ((x - y) ** 2).mean(dim=1)


class ConvAutoEncoder(nn.Module):
    """Strided convolutions down, transposed ones up."""
    def __init__(self, channels=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(channels, 16, 7, stride=2, padding=3), nn.ReLU(),
                                     nn.Conv1d(16, 12, 5, stride=2, padding=2), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.ConvTranspose1d(12, 16, 5, stride=2, padding=2, output_padding=1), nn.ReLU(),
            nn.ConvTranspose1d(16, channels, 7, stride=2, padding=3, output_padding=1))

    def forward(self, x):
        y = self.decoder(self.encoder(x))
        return y, (x - y).abs().mean(dim=(1, 2))


class RecurrentAutoEncoder(nn.Module):
    """LSTM to one state, the state repeated, LSTM back to the series."""
    def __init__(self, n_in=5, width=18):
        super().__init__()
        self.encoder = nn.LSTM(n_in, width, batch_first=True)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.last = nn.Linear(width, n_in)

    def forward(self, x):
        _, (h, _) = self.encoder(x)
        y, _ = self.decoder(h[-1].unsqueeze(1).repeat(1, x.shape[1], 1))
        return self.last(y)


class Cells(nn.Module):
    """A GRUCell in a Python loop: every exporter unrolls it."""
    def __init__(self, n_in=4, width=11):
        super().__init__()
        self.cell, self.last = nn.GRUCell(n_in, width), nn.Linear(width, 1)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], self.last.in_features)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.last(h)


class Mixture(nn.Module):
    """Experts weighted by a gate, one product for all of them at once (Einsum)."""
    def __init__(self, n_in=15, experts=5, width=9):
        super().__init__()
        self.w, self.b = nn.Parameter(0.3 * torch.randn(experts, n_in, width)), nn.Parameter(torch.zeros(experts, width))
        self.gate, self.last = nn.Linear(n_in, experts), nn.Linear(width, 1)

    def forward(self, x):
        y = torch.relu(torch.einsum("ni,eio->neo", x, self.w) + self.b)
        weights, which = torch.topk(torch.softmax(self.gate(x), dim=-1), 2, dim=-1)
        picked = torch.gather(y, 1, which.unsqueeze(-1).expand(-1, -1, y.shape[-1]))
        return self.last((picked * weights.unsqueeze(-1)).sum(dim=1))
