"""The card-fraud example's table, made again from the files by the definitions alone: lists, bisection and
math.fsum. What it leaves out, since no file of the generator has it: late transactions."""
import bisect
import collections
import datetime
import json
import math

DAY, YEAR_2100 = 86400, 4102444800  # seconds, as all times here
HEADER = ["event", "time", "key", "amount", "weekend", "night", "customer_count_1d", "customer_mean_1d",
          "customer_count_7d", "customer_mean_7d", "customer_count_30d", "customer_mean_30d", "amount_vs_usual",
          "terminal_count_1d", "terminal_risk_1d", "terminal_count_7d", "terminal_risk_7d",
          "terminal_count_30d", "terminal_risk_30d"]
TARGET = "labels.fraud"


def seconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def taken(line):
    """The event of a line, or None when it is not as declared."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if "customer" not in event or not isinstance(event["amount"], (int, float)):
        return None
    event["s"] = seconds(event["at"])
    return event if event["s"] < YEAR_2100 else None


class Past:
    """Events of one key by time; of equal times, as they came."""

    def __init__(self):
        self.times, self.events = [], []

    def put(self, event):
        at = bisect.bisect_right(self.times, event["s"])
        self.times.insert(at, event["s"])
        self.events.insert(at, event)

    def in_window(self, low, high):
        return self.events[bisect.bisect_right(self.times, low):bisect.bisect_right(self.times, high)]


def customer_cells(past, event):
    """Of the window (t - W, t], those up to the event's own place; a repeat stands where it stood before."""
    cells = []
    for days in (1, 7, 30):
        amounts = []
        for other in past.in_window(event["s"] - days * DAY, event["s"]):
            amounts.append(other["amount"])
            if other["tx_id"] == event["tx_id"]:
                break
        cells += [len(amounts), math.fsum(amounts) / len(amounts)]
    return cells + [event["amount"] / cells[-1]]


def terminal_cells(past, frauds, event):
    cells, end = [], event["s"] - 7 * DAY
    for days in (1, 7, 30):
        n = len(past.in_window(end - days * DAY, end)) if past else 0
        bad = len(frauds.in_window(end - days * DAY, end)) if frauds else 0
        cells += [n, bad / n if n else 0]
    return cells


def table(transactions, labels):
    """(cells as numbers and text, None for an empty one) of each line that could be taken, in order.
    Labels must all be known within the seven days that the terminal's windows stay behind."""
    truth, frauds = {}, collections.defaultdict(Past)
    for line in labels:
        label = json.loads(line)
        label["s"] = seconds(label["at"])
        assert seconds(label["reported_at"]) <= label["s"] + 7 * DAY
        assert label["tx_id"] not in truth, "a label that is corrected: no such file is expected here"
        truth[label["tx_id"]] = label["fraud"]
        if label["fraud"]:
            frauds[label["terminal"]].put(label)
    customers, terminals, seen = collections.defaultdict(Past), collections.defaultdict(Past), set()
    for line in transactions:
        event = taken(line)
        if event is None:
            continue
        if event["tx_id"] not in seen:
            seen.add(event["tx_id"])
            customers[event["customer"]].put(event)
            terminals[event["terminal"]].put(event)
        at = datetime.datetime.fromtimestamp(event["s"], datetime.timezone.utc)
        fraud = truth.get(event["tx_id"])
        yield [event["tx_id"], at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), event["customer"], event["amount"],
               int(at.isoweekday() >= 6), int(at.hour <= 6), *customer_cells(customers[event["customer"]], event),
               *terminal_cells(terminals.get(event["terminal"]), frauds.get(event["terminal"]), event),
               None if fraud is None else int(fraud)]
