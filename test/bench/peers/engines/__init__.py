"""What is measured: one module per product, all behind the interface Engine.

Graphs have the same parameters everywhere, M = 16 (32 links at the bottom),
efConstruction = 100, and are searched with the same ef.
"""

import importlib
import os
import time

from .. import processes

M, EF_CONSTRUCTION = 16, 100
EF = int(os.environ.get("IMAGO_BENCH_EF") or 200)


class Engine:
    """One index over rows 0 to n-1, in this process or in a server of its own."""

    name = ""  # what it is called in IMAGO_BENCH_ENGINES and IMAGO_BENCH_SKIP
    label = ""  # in tables
    graph = False  # finds approximately, by a graph
    database = False  # takes vectors as records, most of them over a socket
    huge = False  # takes part in IMAGO_BENCH_HUGE
    minimum = None  # smallest score that a search accepts

    def __init__(self, settings, gallery):
        """Starts what there is to start; the index is empty."""
        self.dimension = gallery.dimension

    def build(self, gallery):
        """Indexes gallery.batches(); all rows can be found afterwards."""
        raise NotImplementedError

    def search(self, query, k):
        """The rows most alike, best first."""
        raise NotImplementedError

    def memory(self):
        """Bytes in use by whoever holds the index; growth is what counts."""
        return processes.resident()

    def version(self):
        return ""

    def close(self):
        """Ends what was started."""

    def measure(self, queries, k, seconds):
        """Searches again and again for a while, every query at least once. Returns
        milliseconds, and the rows found for each query."""
        times, found = [], []
        began = time.perf_counter()
        i = 0
        while i < len(queries) or time.perf_counter() - began < seconds:
            at = time.perf_counter()
            rows = self.search(queries[i % len(queries)], k)
            times.append(1e3 * (time.perf_counter() - at))
            if i < len(queries):
                found.append([int(row) for row in rows])
            i += 1
        return times, found


# In the order of tables.
MODULES = ["imago", "faiss", "usearch", "hnswlib", "qdrant", "redis", "pgvector", "milvus"]


def module(name):
    return importlib.import_module(f"{__name__}.{name}")
