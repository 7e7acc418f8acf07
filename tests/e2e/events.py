"""Events for the end-to-end tests, and what must come out: a generator with late, repeated and broken
records, and a naive twin of features, alerts and dead letters that knows only their definitions."""
import bisect
import datetime
import json
import math
import random

HOUR, DAY = 3600 * 1000, 24 * 3600 * 1000  # ms, as all times here
START = 1522540800000  # 2018-04-01
BROKEN = ["cut", "no_key", "wrong_type", "future", "no_time", "empty_object"]
STAGE = {"cut": "decode", "no_key": "key", "wrong_type": "decode", "future": "time", "no_time": "time",
         "empty_object": "key"}


def iso(ms):
    when = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def break_record(rng, event):
    kind = rng.choice(BROKEN)
    if kind == "no_key":
        del event["card"]
    elif kind == "wrong_type":
        event["amount"] = "much"
    elif kind == "future":
        event["at"] = "2118-04-01T00:00:00Z"
    elif kind == "no_time":
        event["at"] = None
    text = "{}" if kind == "empty_object" else json.dumps(event)
    return kind, text[:-7] if kind == "cut" else text


def make(seed, n, days=12, cards=40, shops=25, late_by=(60, 300, 590, 700, 4000)):
    """A list of records in the order of arrival, times a millisecond apart at least:
    {source, key, value, arrival_ms, event, broken}."""
    rng = random.Random(seed)
    records, recent, labels = [], [], []
    for i in range(n):
        at = START + int(i * days * DAY / n) + rng.randrange(3)
        event = {"id": i, "at": iso(at), "card": f"c{rng.randrange(cards)}",
                 "shop": f"s{rng.randrange(shops)}", "amount": rng.randrange(20000) / 100}
        if rng.random() < 0.02:
            event["amount"] = None
        arrival, broken = at, None
        if rng.random() < 0.02:
            arrival = at + rng.choice(late_by) * 1000
        if recent and rng.random() < 0.02:
            event = rng.choice(recent)
        text = json.dumps(event)
        if rng.random() < 0.01:
            broken, text = break_record(rng, dict(event))
        recent = (recent + [event])[-20:]
        records.append({"source": "tx", "key": event["card"], "value": text, "arrival": arrival,
                        "event": event, "broken": broken})
        if rng.random() < 0.1:
            known = at + rng.randrange(1, 5 * 24) * HOUR
            labels.append({"source": "labels", "key": event["card"], "arrival": known, "broken": None,
                           "event": {"id": event["id"], "at": event["at"], "reported_at": iso(known),
                                     "card": event["card"], "shop": event["shop"],
                                     "fraud": rng.random() < 0.5}})
            if rng.random() < 0.1:  # corrected a day later
                again = json.loads(json.dumps(labels[-1]))
                again["event"]["fraud"] = not again["event"]["fraud"]
                again["arrival"] += DAY
                labels.append(again)
    for label in labels:
        label["value"] = json.dumps(label["event"])
    records = sorted(records + labels, key=lambda r: r["arrival"])
    last = 0
    for record in records:  # no two at once: the order between partitions is then plain
        last = record["arrival"] = max(record["arrival"], last + 1)
    return records


def parse(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 + 0.5)


class Ring:
    """Events by (time, arrival)."""

    def __init__(self):
        self.times, self.events = [], []

    def place(self, at, event_id):
        """Where an event of this time and id stands, or belongs; and whether it is there."""
        lo, hi = bisect.bisect_left(self.times, at), bisect.bisect_right(self.times, at)
        for i in range(lo, hi):
            if self.events[i]["id"] == event_id:
                return i, True
        return hi, False

    def put(self, i, at, event):
        self.times.insert(i, at)
        self.events.insert(i, event)

    def between(self, low, high):
        """Those with time in (low, high]."""
        return self.events[bisect.bisect_right(self.times, low):bisect.bisect_right(self.times, high)]


class Row:
    def __init__(self):
        self.tx, self.labels, self.last = Ring(), Ring(), None
        self.fired, self.held = {}, {}


class Twin:
    LATE = 600 * 1000

    def __init__(self):
        self.cards, self.shops = {}, {}

    @staticmethod
    def take(row, at, event):
        """The event's place in the row's ring, or None when it is too late; and whether it is a repeat."""
        if row.last is not None and at < row.last - Twin.LATE:
            return None, False
        i, repeat = row.tx.place(at, event["id"])
        if not repeat:
            row.tx.put(i, at, event)
        row.last = at if row.last is None else max(row.last, at)
        return i, repeat

    def label(self, event):
        at = parse(event["at"])
        for rows, key in ((self.cards, event["card"]), (self.shops, event["shop"])):
            row = rows.setdefault(key, Row())
            if row.last is not None and at < row.last - 45 * DAY:
                continue
            i, repeat = row.labels.place(at, event["id"])
            if repeat:
                row.labels.events[i] = event
            else:
                row.labels.put(i, at, event)

    def score(self, event):
        """Features, late entities, duplicate, and the alerts as (rule, held back)."""
        at = parse(event["at"])
        card = self.cards.setdefault(event["card"], Row())
        shop = self.shops.setdefault(event["shop"], Row())
        at_card, repeat_card = self.take(card, at, event)
        at_shop, repeat_shop = self.take(shop, at, event)
        f = dict.fromkeys(["n_1h", "mean_1d", "max_1d", "before", "shops_1d", "shop_n_7d", "shop_fraud"])
        f["amount"] = event["amount"]
        if at_card is not None:
            seen = card.tx.events[:at_card + 1]
            times = card.tx.times[:at_card + 1]
            hour = seen[bisect.bisect_right(times, at - HOUR):]
            day = seen[bisect.bisect_right(times, at - DAY):]
            week = seen[bisect.bisect_right(times, at - 7 * DAY):-1]
            amounts = [e["amount"] for e in day if e["amount"] is not None]
            f["n_1h"] = len(hour)
            f["mean_1d"] = math.fsum(amounts) / len(amounts) if amounts else None
            f["max_1d"] = max(amounts, default=None)
            before = [e["amount"] for e in week if e["amount"] is not None]
            f["before"] = before[-1] if before else None
            f["shops_1d"] = len({e["shop"] for e in day})
        if at_shop is not None:
            low, high = at - 8 * DAY, at - DAY
            f["shop_n_7d"] = len(shop.tx.between(low, high))
            f["shop_fraud"] = sum(e["fraud"] for e in shop.labels.between(low, high))
        n, bad = f["shop_n_7d"], f["shop_fraud"]
        f["risk"] = bad / n if n else 0
        late = [name for name, i in (("card", at_card), ("shop", at_shop)) if i is None]
        return f, late, repeat_card or repeat_shop, self.alerts(card, at, f)

    @staticmethod
    def alerts(card, at, f):
        out = []
        if f["amount"] is not None and f["amount"] > 180:
            fired = card.fired.get("high")
            if fired is not None and abs(at - fired) < 2 * HOUR:
                card.held["high"] = card.held.get("high", 0) + 1
            else:
                out.append(("high", card.held.pop("high", 0)))
                card.fired["high"] = at if fired is None else max(at, fired)
        if f["n_1h"] is not None and f["n_1h"] > 2:
            out.append(("burst", 0))
        return out
