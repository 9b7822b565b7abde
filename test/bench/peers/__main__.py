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

from . import pipeline, report, search
from .settings import Settings

STAGES = {"search": search.run, "pipeline": pipeline.run}


def machine():
    for entry in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return platform.machine()


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

    results = {"date": datetime.date.today().isoformat(), "machine": machine(), "cores": os.cpu_count(),
               "load": os.getloadavg()[0], "ran": stages, "kinds": settings.kinds, "skipped": settings.skip,
               "caps": {"all": settings.faces, "graphs": settings.graph_faces, "databases": settings.database_faces, "huge": settings.huge_faces}}
    try:
        for stage in stages:
            results[stage] = STAGES[stage](settings, note)
    finally:
        settings.close()
    results["seconds"] = round(time.monotonic() - began)
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n" + report.write(settings.out))
    failed = [r for stage in stages for r in results[stage] if "error" in r]
    for r in failed:
        print(f"FAILED: {r['label']} {r.get('rows', '')}: {r['error']}", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
