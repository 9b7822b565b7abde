"""python -m peers [STAGE…], in test/bench; see the Makefile's target bench-peers."""

import datetime
import json
import os
import pathlib
import platform
import signal
import sys
import time

# One thread for every library, and the fast kernels of OpenBLAS where the processor
# has them: set before any is loaded, and handed down to every process.
for variable in "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS":
    os.environ[variable] = "1"
if "avx512vl" in pathlib.Path("/proc/cpuinfo").read_text():
    os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"

from . import accuracy, networks, pipeline, report, search
from .settings import Settings

STAGES = {"search": search.run, "accuracy": accuracy.run, "networks": networks.run, "pipeline": pipeline.run}


def machine():
    for entry in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return platform.machine()


def run(stage, settings, note):
    """The results of a stage, and what is to be known of the run."""
    about = {"date": datetime.date.today().isoformat(), "machine": machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
             "skipped": settings.skip}
    if stage == "search":
        about |= {"kinds": settings.kinds, "caps": {"all": settings.faces, "graphs": settings.graph_faces,
                                                   "databases": settings.database_faces, "huge": settings.huge_faces}}
    began = time.monotonic()
    results = STAGES[stage](settings, note)
    return {**about, "seconds": round(time.monotonic() - began), "results": results}


def main():
    stages = sys.argv[1:] or list(STAGES)
    unknown = set(stages) - STAGES.keys()
    if unknown:
        sys.exit(f"peers: no stage {', '.join(unknown)}; there are {', '.join(STAGES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("peers: terminated"))
    settings = Settings()
    began = time.monotonic()

    def note(text):
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    settings.out.mkdir(parents=True, exist_ok=True)
    results = report.read(settings.out)  # a stage that does not run keeps its last results
    failed = []
    try:
        for stage in stages:
            try:
                results[stage] = run(stage, settings, note)
            except Exception as error:
                note(f"stage {stage} FAILED: {error}")
                failed.append(f"stage {stage}: {type(error).__name__}: {error}")
                continue
            (settings.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            failed += [f"{r['label']} {r.get('rows', '')}: {r['error']}" for r in results[stage]["results"] if "error" in r]
    finally:
        settings.close()
    print("\n" + report.write(settings.out))
    for failure in failed:
        print("FAILED:", failure, file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
