"""Documents of results.json: python -m peers.report [FOLDER] writes them again."""

import json
import pathlib
import re
import subprocess
import sys

from .settings import FURTHER_GRAPH_FACES, HERE, ROOT
from .tables import tables

WHAT = {
    "search": "One search alone, best 10: median (p99), milliseconds.",
    "accuracy": "Who is recognised. FMR and FNMR are rates of false matches and of misses; d′ is the distance of the means of both kinds of scores "
                "in units of their deviation.",
    "networks": "The networks alone, one core, taking turns.",
    "pipeline": "Whole services over HTTP, one core each: requests a second, median (p99) of one.",
}

# Where a document shows a table; what is between the two lines is replaced.
MARKED = re.compile(r"(<!-- peers: (.+?) -->\n)(.*?)(<!-- /peers -->)", re.DOTALL)


def read(folder):
    """The results of every stage that ever ran, by stage."""
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write(folder):
    """Writes results.md and latency.svg beside results.json, and the tables into the
    documents of this repository that show them, where folder is this one; returns the
    tables."""
    results = read(folder)
    made = tables(results)
    text = "".join(section(stage, results[stage], made) for stage in WHAT if stage in results)
    (folder / "results.md").write_text(text)
    searched = [r for r in results.get("search", {}).get("results", []) if "error" not in r]
    if searched:
        from . import plot
        plot.plot([r for r in searched if r["kind"] == searched[0]["kind"]], folder / "latency.svg")
    if folder.resolve() == HERE:
        show(made)
    return text


def section(stage, run, made):
    """The tables of a stage, with what is to be known of its run."""
    own = [f"{name}:\n\n{text}" for name, text in made.items() if name.split()[0] == stage or (stage, name) == ("accuracy", "evaluate")]
    return f"## {stage}\n\n{introduction(stage, run)}\n\n" + "\n".join(own) + failures(run["results"]) + "\n"


def introduction(stage, run):
    text = f"{WHAT[stage]} {run['date']}, {run['machine']}, {run['cores']} cores, load {run['load']:.1f} at the start"
    text += f", {run['seconds']} s." if run.get("seconds") else "."
    if stage == "search":
        caps = run["caps"]
        text += (f" Galleries up to {caps['all']:,}, of graphs up to {caps['graphs']:,} (IMAGO_BENCH_GRAPH_FACES), "
                 f"of databases up to {caps['databases']:,} (IMAGO_BENCH_DATABASE_FACES)")
        text += f", of imago and faiss one of {caps['huge']:,}" if caps["huge"] else ""
        if len(run["kinds"]) > 1:
            text += f"; on {' and '.join(run['kinds'][1:])} vectors no databases, and graphs up to {FURTHER_GRAPH_FACES:,}"
        text += ". The Qdrant server is in no package registry (its engine is: Qdrant Edge)."
    return text + (f" Left out: {', '.join(run['skipped'])}." if run["skipped"] else "")


def failures(results):
    return "".join(f"- FAILED: {r['label']}, {r.get('rows', 'all')}: {r['error']}\n" for r in results if "error" in r)


def show(made):
    """Replaces the tables in documents; one that was not measured stays as it is."""
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    for path in (ROOT / name for name in listed.split("\0") if name):
        before = path.read_text()
        after = MARKED.sub(lambda m: m[1] + "\n" + made[m[2]] + "\n" + m[4] if m[2] in made else m[0], before)
        if after != before:
            path.write_text(after)


if __name__ == "__main__":
    print(write(pathlib.Path(sys.argv[1]) if sys.argv[1:] else HERE))
