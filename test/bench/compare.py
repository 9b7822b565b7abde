#!/usr/bin/env python3
"""Measures imago's exact index and a flat faiss index in the same run, one core each.

The two take turns, so that a busy machine is busy for both; what counts is the ratio. Both
search the same vectors; what they find above the threshold is compared first. Needs
numpy and faiss-cpu, for example in an environment of its own:

    python3 -m venv /tmp/faiss && /tmp/faiss/bin/pip install numpy faiss-cpu
    taskset -c 0 /tmp/faiss/bin/python test/bench/compare.py --dimension 512
"""
import os

# One core for both sides, and the fast path of OpenBLAS where the processor has it.
flags = open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else ""
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
if "avx512vl" in flags:
    os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")

import argparse
import pathlib
import statistics
import subprocess
import tempfile
import time

import faiss
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]


def unit(rows):
    return (rows / numpy.linalg.norm(rows, axis=1, keepdims=True)).astype(numpy.float32)


def near(rng, rows, cosine):
    """Vectors at about a cosine from rows."""
    other = unit(rng.standard_normal(rows.shape, dtype=numpy.float32))
    return unit(cosine * rows + numpy.sqrt(1 - cosine * cosine) * other)


def population(rng, kind, rows, dimension):
    """The vectors, filled in pieces to save memory."""
    out = numpy.empty((rows, dimension), dtype=numpy.float32)
    centres = unit(rng.standard_normal((max(1, rows // 50), dimension), dtype=numpy.float32))
    for at in range(0, rows, 50_000):
        n = min(50_000, rows - at)
        if kind == "random":
            out[at:at + n] = unit(rng.standard_normal((n, dimension), dtype=numpy.float32))
        else:
            out[at:at + n] = near(rng, centres[rng.integers(len(centres), size=n)], 0.63)
    return out


class Imago:
    """The Go program, driven line by line."""

    def __init__(self, folder, rows, dimension, minimum):
        binary = folder / "exactsearch"
        subprocess.run(["go", "build", "-o", binary, "./test/bench/exactsearch"], cwd=ROOT, check=True)
        self.process = subprocess.Popen(
            [binary, "-vectors", folder / "vectors", "-queries", folder / "queries",
             "-dimension", str(dimension), "-minimum", str(minimum)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ, GOMAXPROCS="1"))
        self.process.stdout.readline()
        self.ask(f"load {rows}")

    def ask(self, what):
        print(what, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().split()

    def times(self, what):
        return [float(x) for x in self.ask(what)]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def check(imago, index, queries, minimum):
    """Compares what both find. Scores within a rounding of the threshold may differ."""
    ours = {}
    for item in imago.ask("check"):
        query, row, score = item.split(":")
        ours[int(query), int(row)] = float(score)
    limits, scores, rows = index.range_search(queries, minimum - 1e-5)
    theirs = {}
    for query in range(len(queries)):
        for at in range(limits[query], limits[query + 1]):
            theirs[query, int(rows[at])] = float(scores[at])
    clear = {pair for pair, score in theirs.items() if score >= minimum + 1e-5}
    assert clear <= ours.keys() <= theirs.keys(), "imago and faiss disagree"
    assert all(abs(score - theirs[pair]) < 1e-5 for pair, score in ours.items())
    return len(ours) / len(queries)


def faiss_alone(index, queries):
    times = []
    for i in range(4):
        began = time.perf_counter()
        index.search(queries[i:i + 1], 10)
        times.append(1e3 * (time.perf_counter() - began))
    return times


def faiss_batch(index, queries):
    """The faster of faiss's two ways, with a BLAS and without."""
    times = []
    for threshold in 20, 1000:
        faiss.cvar.distance_compute_blas_threshold = threshold
        began = time.perf_counter()
        index.search(queries[:32], 10)
        times.append(1e3 * (time.perf_counter() - began) / 32)
    return [min(times)]


def report(name, ours, theirs):
    line = f"{name:22} imago {statistics.median(ours):8.2f} ms (least {min(ours):.2f})"
    if theirs:
        line += f"   faiss {statistics.median(theirs):8.2f} ms (least {min(theirs):.2f})"
        line += f"   ratio {statistics.median(theirs) / statistics.median(ours):5.1f} (of least {min(theirs) / min(ours):.1f})"
    print(line, flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--dimension", type=int, default=128)
    arguments.add_argument("--kind", choices=["random", "clusters"], default="clusters")
    arguments.add_argument("--minimum", type=float, default=0.4)
    arguments.add_argument("--seconds", type=float, default=60, help="how long to take turns")
    options = arguments.parse_args()
    rng = numpy.random.default_rng(1)
    vectors = population(rng, options.kind, options.rows, options.dimension)
    queries = near(rng, vectors[rng.integers(options.rows, size=64)], 0.7)
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(options.dimension)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        vectors.tofile(folder / "vectors")
        queries.tofile(folder / "queries")
        index.add(vectors)
        del vectors
        imago = Imago(folder, options.rows, options.dimension, options.minimum)
    level = faiss.SIMDConfig.get_level_name() if hasattr(faiss, "SIMDConfig") else faiss.get_compile_options().strip()
    print(f"{options.rows} x {options.dimension} {options.kind}, faiss {faiss.__version__} using {level}")
    print(f"found above {options.minimum}: {check(imago, index, queries, options.minimum):.1f} per query, the same by both")
    results = {what: ([], []) for what in ("alone", "batch", "top")}
    began = time.monotonic()
    while time.monotonic() - began < options.seconds:
        results["alone"][0].extend(imago.times("alone"))
        results["alone"][1].extend(faiss_alone(index, queries))
        results["batch"][0].extend(imago.times("batch"))
        results["batch"][1].extend(faiss_batch(index, queries))
        results["top"][0].extend(imago.times("top"))
    report("alone", *results["alone"])
    report("32 at once, per query", *results["batch"])
    report("top 10, no threshold", results["top"][0], results["alone"][1])
    imago.close()


if __name__ == "__main__":
    main()
