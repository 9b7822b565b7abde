"""What the environment says about a run."""

import os
import pathlib
import shutil
import tempfile
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = pathlib.Path(__file__).resolve().parent


def number(name, default):
    return int(os.environ.get(name) or default)


def words(name, default=""):
    return [w for w in (os.environ.get(name) or default).split(",") if w]


# The largest graph on all kinds of vectors but the first.
FURTHER_GRAPH_FACES = 10_000


@dataclass
class Settings:
    """Largest galleries, and what is left out."""

    faces: int = field(default_factory=lambda: number("IMAGO_BENCH_FACES", 1_000_000))
    # Graphs are built on one core, 300 to 5,000 vectors a second: hence less by default.
    graph_faces: int = field(default_factory=lambda: number("IMAGO_BENCH_GRAPH_FACES", 100_000))
    database_faces: int = field(default_factory=lambda: number("IMAGO_BENCH_DATABASE_FACES", 100_000))
    # A gallery beyond the others for imago and flat faiss: 0 or 10000000.
    huge_faces: int = field(default_factory=lambda: number("IMAGO_BENCH_HUGE", 0))
    dimension: int = 128
    kinds: list = field(default_factory=lambda: words("IMAGO_BENCH_KINDS", "faces,random"))
    engines: list = field(default_factory=lambda: words("IMAGO_BENCH_ENGINES"))  # none for all
    skip: list = field(default_factory=lambda: words("IMAGO_BENCH_SKIP"))
    seconds: float = field(default_factory=lambda: float(os.environ.get("IMAGO_BENCH_SECONDS") or 2))
    pipeline_seconds: int = field(default_factory=lambda: number("IMAGO_BENCH_PIPELINE_SECONDS", 5))
    patience: float = field(default_factory=lambda: number("IMAGO_BENCH_PATIENCE", 900))
    out: pathlib.Path = field(default_factory=lambda: pathlib.Path(os.environ.get("IMAGO_BENCH_OUT") or HERE))
    # Where vectors, programs and the data of servers are meanwhile.
    folder: pathlib.Path = field(default_factory=lambda: pathlib.Path(tempfile.mkdtemp(prefix="imago-peers-")))

    def sizes(self, kind):
        """The galleries to measure; the huge one is of the first kind only."""
        sizes = [n for n in (1_000, 10_000, 100_000, 1_000_000) if n < self.faces] + [self.faces]
        return sizes + ([self.huge_faces] if self.huge_faces and kind == self.kinds[0] else [])

    def cap(self, engine, kind):
        """The largest gallery for an engine. Only the first kind of vectors is for all."""
        further = kind != self.kinds[0]
        if engine.database and further:
            return 0
        cap = self.huge_faces if engine.huge and self.huge_faces else self.faces
        if engine.graph:
            cap = min(cap, FURTHER_GRAPH_FACES if further else self.graph_faces)
        if engine.database:
            cap = min(cap, self.database_faces)
        return cap

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
