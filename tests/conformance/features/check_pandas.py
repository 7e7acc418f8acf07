#!/usr/bin/env python3
"""The feature stage over a year's third of real card transactions, against pandas, math.fsum and plain
Python: every row of every feature, to the bit.

Customer windows are pandas' time-based rolling windows, (t-W, t]: a row sees equal times before it and not
those after. Terminal windows are rolling(7d + W) - rolling(7d), that is (t-7d-W, t-7d]. Means must equal
math.fsum(window) / n. The terminal's fraud rate is asked twice: from a field of the transaction, and from
labels on a source of their own that arrive at once, an hour, three days and exactly the seven days later that
the window stays behind; both must be pandas' rate.

The data may not be passed on, so it is not in the repository: $OUZEL_DATA or ../shared/data."""
import collections
import glob
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd

HERE = pathlib.Path(__file__).resolve().parent
DATA = pathlib.Path(os.environ.get("OUZEL_DATA", HERE.parents[3] / "shared/data"))
OUZEL = os.environ.get("OUZEL", str(HERE.parents[2] / "build/release/ouzel"))
DAY = 86_400_000_000_000  # ns, as all times here
LABEL_DELAYS = pd.to_timedelta(["0s", "1h", "3d", "7d"])


def write_events(tx, folder):
    """JSON lines, sorted by arrival: transactions by their time, labels of the frauds by when they are known."""
    with open(folder / "tx.jsonl", "w", encoding="ascii") as out:
        for i, at, c, t, a, f in zip(tx.TRANSACTION_ID, tx.TX_DATETIME_TEXT, tx.CUSTOMER_ID, tx.TERMINAL_ID,
                                     tx.AMOUNT_TEXT, tx.TX_FRAUD):
            out.write(f'{{"id":{i},"at":"{at}","customer":{c},"terminal":{t},"amount":{a},'
                      f'"fraud":{"true" if f else "false"}}}\n')
    frauds = tx[tx.TX_FRAUD == 1]
    known = frauds.TX_DATETIME + LABEL_DELAYS[np.arange(len(frauds)) % len(LABEL_DELAYS)]
    frauds = frauds.assign(KNOWN=known.dt.strftime("%Y-%m-%dT%H:%M:%SZ")).sort_values(["KNOWN", "TRANSACTION_ID"])
    with open(folder / "labels.jsonl", "w", encoding="ascii") as out:
        for i, at, r, c, t in zip(frauds.TRANSACTION_ID, frauds.TX_DATETIME_TEXT, frauds.KNOWN, frauds.CUSTOMER_ID,
                                  frauds.TERMINAL_ID):
            out.write(f'{{"id":{i},"at":"{at}","reported_at":"{r}","customer":{c},"terminal":{t},"fraud":true}}\n')


class Table:
    def __init__(self, got):
        self.got, self.bad = got, 0
        print("| feature | compared with | rows equal to the bit | of |\n|---|---|---|---|")

    def compare(self, name, what, want, rows=slice(None)):
        have = self.got[name].to_numpy()[rows]
        equal = int(((want == have) | (np.isnan(want) & np.isnan(have))).sum())
        self.bad += equal != len(want)
        print(f"| {name} | {what} | {equal} | {len(want)} |" + ("" if equal == len(want) else " DIFFERS"))


def customers_in_pandas(tx, table):
    """Rows sorted by customer; the window of row i is [low, i]."""
    order = tx.sort_values(["CUSTOMER_ID", "TRANSACTION_ID"])
    place, n = order.index.to_numpy(), len(tx)
    by_time = order.set_index("TX_DATETIME")
    ns, amount = order.TX_DATETIME.to_numpy().astype("int64"), order.TX_AMOUNT.to_numpy()
    customer = order.CUSTOMER_ID.to_numpy()
    groups = by_time.groupby("CUSTOMER_ID")["TX_AMOUNT"]
    starts = np.flatnonzero(np.r_[True, customer[1:] != customer[:-1], True])
    for days in (1, 7, 30):
        want = np.empty(n)
        want[place] = groups.rolling(f"{days}D").count().to_numpy()
        table.compare(f"n_{days}d", "pandas rolling", want)
    means = {days: np.empty(n) for days in (1, 7, 30)}
    sums = np.empty(n)
    for a, b in zip(starts[:-1], starts[1:]):
        values = amount[a:b].tolist()
        for days, want in means.items():
            low = np.searchsorted(ns[a:b], ns[a:b] - days * DAY, side="right").tolist()
            exact = [math.fsum(values[first:i + 1]) for i, first in enumerate(low)]
            want[place[a:b]] = np.array(exact) / (np.arange(b - a) + 1 - low)
            if days == 7:
                sums[place[a:b]] = exact
    for days, want in means.items():
        table.compare(f"mean_{days}d", "math.fsum / n", want)
    table.compare("sum_7d", "math.fsum", sums)
    for name, days, how in (("max_7d", 7, "max"), ("min_30d", 30, "min")):
        want = np.empty(n)
        want[place] = getattr(groups.rolling(f"{days}D"), how)().to_numpy()
        table.compare(name, "pandas rolling", want)


def customers_in_python(tx, table):
    """What pandas has no window for, by the definition."""
    before, places, rows = [], [], []
    for _, group in tx.groupby("CUSTOMER_ID"):
        ns = group.TX_DATETIME.to_numpy().astype("int64").tolist()
        amount, terminal = group.TX_AMOUNT.tolist(), group.TERMINAL_ID.tolist()
        held, low = collections.Counter(), 0
        for i, now in enumerate(ns):
            held[terminal[i]] += 1
            while ns[low] <= now - 7 * DAY:
                held[terminal[low]] -= 1
                if not held[terminal[low]]:
                    del held[terminal[low]]
                low += 1
            places.append(len(held))
            before.append(amount[i - 1] if i and ns[i - 1] > now - 30 * DAY else math.nan)
        rows += group.index.tolist()
    table.compare("before", "plain Python", np.array(before), rows)
    table.compare("places_7d", "plain Python", np.array(places, dtype=float), rows)


def terminals_in_pandas(tx, table):
    order = tx.sort_values(["TERMINAL_ID", "TRANSACTION_ID"])
    place, n = order.index.to_numpy(), len(tx)
    groups = order.set_index("TX_DATETIME").groupby("TERMINAL_ID")["TX_FRAUD"]
    late_n, late_s = groups.rolling("7D").count().to_numpy(), groups.rolling("7D").sum().to_numpy()
    for days in (1, 7, 30):
        roll = groups.rolling(f"{7 + days}D")
        count = np.rint(roll.count().to_numpy() - late_n)
        frauds = np.rint(roll.sum().to_numpy() - late_s)
        want = np.empty(n)
        want[place] = count
        table.compare(f"t_n_{days}d", "pandas rolling", want)
        with np.errstate(invalid="ignore"):
            want[place] = frauds / count
        table.compare(f"risk_{days}d", "pandas rolling", want)
        table.compare(f"label_{days}d", "pandas rolling", want)


def main():
    files = glob.glob(str(DATA / "fraud/transactions_*.csv.zst"))
    if not files:
        print(f"skipped: no data in {DATA}")
        return 0
    start = time.time()
    tx = pd.read_csv(files[0], dtype={"TX_AMOUNT": str, "TX_DATETIME": str})
    tx["AMOUNT_TEXT"], tx["TX_DATETIME_TEXT"] = tx.TX_AMOUNT, tx.TX_DATETIME
    tx["TX_AMOUNT"] = tx.AMOUNT_TEXT.map(float)
    tx["TX_DATETIME"] = pd.to_datetime(tx.TX_DATETIME_TEXT).dt.tz_localize(None).astype("datetime64[ns]")
    with tempfile.TemporaryDirectory(prefix="ouzel-pandas-") as name:
        folder = pathlib.Path(name)
        write_events(tx, folder)
        subprocess.run([OUZEL, "backfill", HERE / "pipeline.yaml", "--from", f"tx={folder}/tx.jsonl",
                        "--from", f"labels={folder}/labels.jsonl", "-o", folder / "features.csv"], check=True)
        got = pd.read_csv(folder / "features.csv", float_precision="round_trip")
    if not (got.event.to_numpy() == tx.TRANSACTION_ID.to_numpy()).all():
        print("the rows are not those of the data, in their order")
        return 1
    table = Table(got)
    customers_in_pandas(tx, table)
    customers_in_python(tx, table)
    terminals_in_pandas(tx, table)
    ties = tx.duplicated(["CUSTOMER_ID", "TX_DATETIME"]).sum()
    print(f"\n{len(tx)} rows, {ties} ties within a customer; {time.time() - start:.0f} s")
    return int(table.bad > 0)


if __name__ == "__main__":
    sys.exit(main())
