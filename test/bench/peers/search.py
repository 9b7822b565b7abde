"""Stage search: every engine on every gallery, one after the other, one core each.

Latency is that of one search alone for the best ten. Whoever is asked over a socket
has a core of its own beside the client's.
"""

import json
import os
import shutil
import subprocess
import sys

from . import engines, processes
from .gallery import Gallery, Sample
from .settings import HERE, ROOT

TOOLS = {"exactsearch": "./test/bench/exactsearch", "startserver": "./test/bench/peers/startserver"}


def run(settings, note):
    """Returns a list of results; one that failed has "error"."""
    build_tools(settings)
    chosen, results = load_engines(settings)
    for kind in settings.kinds:
        note(f"{kind}: writing {max(settings.sizes(kind)):,} vectors")
        gallery = Gallery(settings, kind)
        for rows in settings.sizes(kind):
            folder = settings.folder / f"{kind}-{rows}"
            sample = Sample.prepare(gallery, rows, folder)
            for module, engine in chosen:
                if rows <= settings.cap(engine, kind):
                    results.append({"kind": kind, "vectors": gallery.origin, **one(settings, module, engine, kind, sample, note)})
            shutil.rmtree(folder)
        os.remove(gallery.path)
    return results


def build_tools(settings):
    for name, package in TOOLS.items():
        subprocess.run(["go", "build", "-o", settings.folder / name, package], cwd=ROOT, check=True, timeout=900)


def load_engines(settings):
    """The engines to measure, and an error for each product that is missing."""
    chosen, missing = [], []
    for name in engines.MODULES:
        try:
            module = engines.module(name)
        except Exception as error:
            if name not in settings.skip:
                missing.append({"engine": name, "label": name, "error": f"{type(error).__name__}: {error}"})
            continue
        for engine in module.ENGINES:
            wanted = not settings.engines or engine.name in settings.engines
            if wanted and not {name, engine.name} & set(settings.skip):
                chosen.append((name, engine))
    return chosen, missing


def one(settings, module, engine, kind, sample, note):
    """Measures in a process of its own, so that memory is that of one engine."""
    folder = settings.folder / "run"
    folder.mkdir()
    for path in sample.queries_path, sample.truth_path, sample.scores_path:
        shutil.copy(path, folder)
    for tool in TOOLS:
        os.link(settings.folder / tool, folder / tool)
    specification = {"path": str(sample.path), "rows": sample.rows, "dimension": sample.dimension, "folder": str(folder),
                     "patience": settings.patience, "seconds": settings.seconds}
    (folder / "specification").write_text(json.dumps(specification))
    result = {"engine": engine.name, "label": engine.label, "graph": engine.graph, "database": engine.database, "rows": sample.rows}
    try:
        work(settings, module, engine, folder)
        result.update(json.loads((folder / "result").read_text()))
        note("{label:24} {rows:>9,} {kind:6} {p50:9.3f} ms  p99 {p99:9.3f} ms  recall {recall10:.3f}  built in {seconds:.1f} s".format(kind=kind, **result))
    except Exception as error:
        result["error"] = str(error)
        note("{label:24} {rows:>9,} {kind:6} FAILED: {error}".format(kind=kind, **result))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def work(settings, module, engine, folder):
    process = processes.start(
        [sys.executable, "-m", "peers.worker", module, engine.name, folder / "specification", folder / "result"],
        processes.CLIENT_CORE, cwd=HERE.parent, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, errors = process.communicate(timeout=settings.patience)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"not done within {settings.patience:.0f} s") from None
    finally:
        if process.poll() is None:
            processes.stop(process)
    if process.returncode:
        raise RuntimeError((errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1])
