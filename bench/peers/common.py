"""What the peers have in common: the columns, and how they say what they found.

A peer is called with a data file, and with a reference where it compares two. It prints one JSON object: its numbers,
named `MODEL/METRIC/SLICE`, and how long it took without starting Python and importing.
"""

import json
import sys
import time

MODELS = ["baseline", "candidate"]
SLICES = ["region", "channel", "carrier", "hour", "segment"]
FLOATS = [f"float_{number:02}" for number in range(20)]
TEXTS = [*SLICES, "plan", "product", "store", "campaign", "postcode"]
SCORED = ["label", *MODELS]
STARTED = time.perf_counter()
FILES = sys.argv[1:]


def say(numbers: dict[str, float]) -> None:
    seconds = time.perf_counter() - STARTED
    print(json.dumps({"seconds": seconds, "numbers": {name: float(value) for name, value in numbers.items()}}))
