"""imago's exact index, through test/bench/exactsearch, which loads and searches by
itself: only results cross the pipe. Top ten, and top ten above a threshold, which is
what the product does."""

import os
import subprocess

from .. import processes
from ..gallery import MINIMUM
from . import Engine


class Imago(Engine):
    name, label, huge = "imago", "imago, exact", True

    def __init__(self, settings, gallery):
        super().__init__(settings, gallery)
        self.patience = settings.patience
        self.process = processes.start(
            [settings.folder / "exactsearch", "-vectors", gallery.path, "-queries", gallery.queries_path,
             "-dimension", self.dimension],
            processes.CORES[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, GOMAXPROCS="1"))
        processes.line(self.process, self.patience)

    def ask(self, what):
        print(what, file=self.process.stdin, flush=True)
        return processes.line(self.process, self.patience)

    def build(self, gallery):
        self.ask(f"load {gallery.rows}")

    def measure(self, queries, k, seconds):
        times, found = [], []
        for search in self.ask(f"each {seconds} {-1 if self.minimum is None else self.minimum}").split():
            took, _, rows = search.partition(":")
            times.append(float(took))
            found.append([int(row) for row in rows.split(",") if row])
        return times, found[:len(queries)]

    def memory(self):
        return processes.resident(self.process.pid)

    def close(self):
        processes.stop(self.process)


class ImagoThreshold(Imago):
    name, label = "imago-threshold", f"imago, exact, above {MINIMUM:.2f}"
    minimum = MINIMUM


ENGINES = [Imago, ImagoThreshold]
