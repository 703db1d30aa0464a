"""What memory costs that lay idle: the first touch of each page of 8 MiB after a rest (`python -m bench.cold`).

Where the last figure is far above the first, the host of a virtual machine takes idle memory away: whatever waits there, a
server for its next request too, is slow at first.
"""

import mmap
import sys
import time
from statistics import median

PAGE, PAGES, TIMES = 4_096, 2_048, 9
RESTS_S = (0.0, 0.05, 0.2, 1.0)


def touched(memory: mmap.mmap, rest_s: float) -> float:
    """Microseconds for each page, after so long a rest."""
    time.sleep(rest_s)
    began = time.perf_counter()
    for at in range(0, PAGES * PAGE, PAGE):
        memory[at]
    return (time.perf_counter() - began) * 1e6 / PAGES


def main() -> int:
    """Measure and print."""
    with mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        for at in range(0, PAGES * PAGE, PAGE):
            memory[at] = 1
        print("| idle for | µs for each page |\n|---|---|")
        for rest_s in RESTS_S:
            print(f"| {rest_s * 1_000:g} ms | {median(touched(memory, rest_s) for _ in range(TIMES)):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
