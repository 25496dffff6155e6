"""Kills a training at its file events and prints what came of it."""

import sys
from collections import Counter
from pathlib import Path

from tests.chaos.trials import Trials, kind_of, sample


def main(folder: str, size: str = "0") -> int:
    """Return 0 if every repeated training ended as the uninterrupted one, or was refused."""
    trials = Trials(Path(folder))
    events = sample(trials.events, int(size)) if int(size) else trials.events
    kinds: Counter[tuple[str, str]] = Counter()
    faults = 0
    for number, event in enumerate(events):
        result = trials.kill(number, event)
        kinds[kind_of(event), result.split(" ")[0]] += 1
        faults += result not in ("equal", "refused")
        if result != "equal":
            print(f"{event}: {result}", flush=True)
    for (kind, result), count in sorted(kinds.items()):
        print(f"{kind}\t{result}\t{count}")
    print(f"{len(events)} kills of {len(trials.events)} events, {faults} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
