"""What the rows of the tests' pipeline must be, from the records that were read: the twin's events against
the decoded rows of `ouzel state`. A row drops what no window can see any more, so its rings are the newest
part of the twin's, and all of it that a window of the next event may hold."""
import events

# The longest window and delay of the pipeline's features, by entity and source; ms.
REACH = {("card", "tx"): 7 * events.DAY, ("shop", "tx"): 8 * events.DAY, ("shop", "labels"): 8 * events.DAY}


class Mismatch(AssertionError):
    pass


def same(got, want, what):
    if got != want:
        raise Mismatch(f"{what}: {got!r} instead of {want!r}"[:2000])


def twin_of(records):
    """Records in the order of arrival."""
    twin = events.Twin()
    for record in records:
        if record["source"] == "labels":
            twin.label(record["event"])
        elif not record["broken"]:
            twin.score(record["event"])
    return twin


def check_ring(entity, key, ring, twin_ring, last):
    source, got, what = ring["source"], ring["events"], f"{entity} {key}, {ring['source']}"
    want = list(zip(twin_ring.times, twin_ring.events))[len(twin_ring.times) - len(got):]
    same([(events.parse(e["time"]), e["id"]) for e in got], [(t, e["id"]) for t, e in want], what)
    needed = sum(t > last - REACH[entity, source] for t in twin_ring.times)
    if len(got) < needed:
        raise Mismatch(f"{what}: {len(got)} events, {needed} are within its windows")
    for column, name in enumerate(ring["columns"]):
        if "amount" in name:
            same([e["values"][column] for e in got], [e["amount"] for _, e in want], f"{what}: {name}")


def check_row(entity, key, line, row):
    same(events.parse(line["row"]["last"]) if line["row"]["last"] else None, row.last, f"{entity} {key}: last")
    for ring in line["row"]["rings"]:
        if row.last is not None:
            check_ring(entity, key, ring, row.tx if ring["source"] == "tx" else row.labels, row.last)
    fired = {s["rule"]: (events.parse(s["fired"]), s["held_back"]) for s in line["row"].get("suppressions", [])}
    same(fired, {rule: (at, row.held.get(rule, 0)) for rule, at in row.fired.items()},
         f"{entity} {key}: suppressions")


def check_rows(lines, twin):
    """`lines` of `ouzel state --rows`; returns what they had: rows, events, and rules held back."""
    rows = {"card": twin.cards, "shop": twin.shops}
    got = {(line["entity"], line["key"]) for line in lines}
    same(len(got), len(lines), "rows of different keys")
    # A label alone makes a row for a card, too, where the card keeps labels.
    want = {(e, k) for e in rows for k, row in rows[e].items() if row.last is not None}
    if not want <= got:
        raise Mismatch(f"rows are missing: {sorted(want - got)[:5]}")
    for line in lines:
        check_row(line["entity"], line["key"], line, rows[line["entity"]][line["key"]])
    return (len(lines), sum(len(r["events"]) for l in lines for r in l["row"]["rings"]),
            sum(len(l["row"].get("suppressions", [])) for l in lines))
