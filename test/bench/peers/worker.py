"""Measures one engine on one gallery, in a process of its own on one core:
python -m peers.worker MODULE ENGINE SPECIFICATION RESULT"""

import json
import pathlib
import sys
import time
import types

import numpy

from . import engines
from .gallery import K, Sample


def measure(engine_class, specification):
    folder = pathlib.Path(specification["folder"])
    sample = Sample(pathlib.Path(specification["path"]), specification["rows"], specification["dimension"], folder)
    queries = sample.queries()
    engine = engine_class(types.SimpleNamespace(folder=folder, patience=specification["patience"]), sample)
    try:
        before = engine.memory()
        began = time.perf_counter()
        engine.build(sample)
        built = time.perf_counter() - began
        memory = engine.memory() - before
        engine.measure(queries[:32], K, 0)  # warm
        times, found = engine.measure(queries, K, specification["seconds"])
        first, ten = sample.recall(found, engine.minimum)
        return {
            "searches": len(times), "p50": float(numpy.median(times)), "p99": float(numpy.percentile(times, 99)),
            "seconds": built, "bytes": memory, "recall1": first, "recall10": ten, "version": engine.version(),
        }
    finally:
        engine.close()


def main():
    module, name, specification, result = sys.argv[1:]
    engine = next(e for e in engines.module(module).ENGINES if e.name == name)
    measured = measure(engine, json.loads(pathlib.Path(specification).read_text()))
    pathlib.Path(result).write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
