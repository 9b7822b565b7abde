"""The vectors that are searched, the queries, and what brute force finds."""

import os
import subprocess

import numpy

from .settings import ROOT

QUERIES = 256
K = 10
MINIMUM = 0.40  # cosine of imago's searches with a threshold


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def near(rng, rows, cosine):
    """Vectors at about a cosine from rows."""
    other = unit(rng.standard_normal(rows.shape, dtype=numpy.float32))
    return unit(cosine * rows + numpy.sqrt(1 - cosine * cosine) * other).astype(numpy.float32)


class Gallery:
    """A file of float32 rows; smaller galleries are its first rows."""

    def __init__(self, settings, kind):
        self.kind, self.dimension = kind, settings.dimension
        self.path = settings.folder / f"{kind}.f32"
        rows = max(settings.sizes(kind))
        self.origin = self._write(rows)
        self.rows = numpy.memmap(self.path, dtype=numpy.float32, mode="r").reshape(-1, self.dimension)[:rows]

    def _write(self, rows):
        """Writes the vectors and says what they are."""
        if self.kind == "random":
            self._write_synthetic(rows, centres=None)
            return "random unit vectors"
        if (ROOT.parent / "shared" / "faces").is_dir():
            self._write_mixtures(rows)
            return "mixtures of real embeddings"
        centres = unit(numpy.random.default_rng(3).standard_normal((max(1, rows // 50), self.dimension), dtype=numpy.float32))
        self._write_synthetic(rows, centres)
        return "synthetic clusters (there are no pictures in ../shared/faces)"

    def _write_mixtures(self, rows):
        """TestWriteEmbeddings says how real embeddings are mixed."""
        # It writes a query near every 64th part of the rows, so that it needs 64.
        environment = dict(os.environ, IMAGO_BENCH_WRITE=str(self.path), IMAGO_BENCH_ROWS=str(max(rows, 64)), CI="true")
        subprocess.run(["go", "test", "-count=1", "-run", "TestWriteEmbeddings$", "./test/bench"],
                       cwd=ROOT, env=environment, check=True, timeout=900, stdout=subprocess.DEVNULL)

    def _write_synthetic(self, rows, centres):
        rng = numpy.random.default_rng(1)
        with open(self.path, "wb") as file:
            for at in range(0, rows, 50_000):
                n = min(50_000, rows - at)
                if centres is None:
                    part = unit(rng.standard_normal((n, self.dimension), dtype=numpy.float32))
                else:
                    part = near(rng, centres[rng.integers(len(centres), size=n)], 0.63)
                part.astype(numpy.float32).tofile(file)

    def queries(self, rows):
        """Vectors near some of the first rows, as another picture of the same face is."""
        rng = numpy.random.default_rng(7)
        return near(rng, self.rows[rng.integers(rows, size=QUERIES)], 0.7)

    def truth(self, rows, queries):
        """The best K rows of each query and their scores, by comparing all."""
        best = numpy.empty((len(queries), 0)), numpy.empty((len(queries), 0), dtype=numpy.int64)
        for at in range(0, rows, 50_000):
            scores = queries @ self.rows[at:min(at + 50_000, rows)].T
            top = numpy.argpartition(-scores, min(K, scores.shape[1] - 1), axis=1)[:, :K]
            best = (numpy.hstack([best[0], numpy.take_along_axis(scores, top, 1)]), numpy.hstack([best[1], top + at]))
        order = numpy.argsort(-best[0], axis=1)[:, :K]
        return numpy.take_along_axis(best[1], order, 1), numpy.take_along_axis(best[0], order, 1)


class Sample:
    """A gallery of some rows as engines see it, with its queries and the truth."""

    def __init__(self, path, rows, dimension, folder):
        self.path, self.rows, self.dimension = path, rows, dimension
        self.queries_path, self.truth_path, self.scores_path = (folder / name for name in ("queries.f32", "truth.npy", "scores.npy"))

    @classmethod
    def prepare(cls, gallery, rows, folder):
        """Writes the queries and the truth."""
        folder.mkdir(exist_ok=True)
        sample = cls(gallery.path, rows, gallery.dimension, folder)
        queries = gallery.queries(rows)
        queries.tofile(sample.queries_path)
        found, scores = gallery.truth(rows, queries)
        numpy.save(sample.truth_path, found)
        numpy.save(sample.scores_path, scores)
        return sample

    def queries(self):
        return numpy.fromfile(self.queries_path, dtype=numpy.float32).reshape(-1, self.dimension)

    def batches(self, size=10_000):
        """The number of the first and rows, in parts so that a reader holds little."""
        with open(self.path, "rb") as file:
            for at in range(0, self.rows, size):
                part = numpy.fromfile(file, dtype=numpy.float32, count=min(size, self.rows - at) * self.dimension)
                yield at, part.reshape(-1, self.dimension)

    def recall(self, found, minimum):
        """The part of the truth that was found: of the best, and of the best ten."""
        truth, scores = numpy.load(self.truth_path), numpy.load(self.scores_path)
        first = ten = firsts = tens = 0
        for mine, rows, row_scores in zip(found, truth, scores):
            wanted = rows[row_scores >= minimum] if minimum is not None else rows
            tens, ten = tens + len(wanted), ten + len(set(mine) & set(wanted.tolist()))
            if len(wanted):
                firsts, first = firsts + 1, first + (mine[:1] == [wanted[0]])
        return first / max(firsts, 1), ten / max(tens, 1)
