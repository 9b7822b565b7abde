"""Tables and a plot of results.json: python -m peers.report FOLDER draws them again."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

from .settings import FURTHER_GRAPH_FACES

# Colours that can be told apart with any kind of colour vision (Okabe and Ito, 2008);
# a product has one, exact searches have solid lines and graphs dashed ones.
COLOURS = {"imago": "#d55e00", "faiss": "#0072b2", "usearch": "#56b4e9", "hnswlib": "#009e73", "qdrant": "#b0578d",
           "redis": "#8c564b", "pgvector": "#6e6e6e", "milvus": "#e69f00"}

# Smaller galleries fit memory that a process has anyway: their growth says nothing.
LEAST_WEIGHED = 100_000


def write(folder):
    """Writes results.md and latency.svg beside results.json; returns the tables."""
    results = json.loads((folder / "results.json").read_text())
    text = introduction(results)
    kinds = list(dict.fromkeys(r["kind"] for r in results.get("search", []) if "kind" in r))
    for kind in kinds:
        text += search_table(kind, [r for r in results["search"] if r.get("kind") == kind])
    if results.get("pipeline"):
        text += pipeline_tables(results["pipeline"])
    text += failures(results)
    (folder / "results.md").write_text(text)
    if kinds:
        plot([r for r in results["search"] if r.get("kind") == kinds[0] and "error" not in r], folder / "latency.svg")
    return text


def introduction(results):
    caps = results["caps"]
    text = (f"{results['date']}, {results['machine']}, {results['cores']} cores, load {results['load']:.1f} at the start, {results['seconds']} s. "
            f"Galleries up to {caps['all']:,}, of graphs up to {caps['graphs']:,} (IMAGO_BENCH_GRAPH_FACES), "
            f"of databases up to {caps['databases']:,} (IMAGO_BENCH_DATABASE_FACES)")
    text += f", of imago and faiss one of {caps['huge']:,}" if caps["huge"] else ""
    if len(results.get("kinds", [])) > 1:
        text += f"; on {' and '.join(results['kinds'][1:])} vectors no databases, and graphs up to {FURTHER_GRAPH_FACES:,}"
    text += f". Left out: {', '.join(results['skipped'])}" if results["skipped"] else ""
    return text + ". Not to be had from a package registry: the Qdrant server (its engine is, as Qdrant Edge).\n\n"


def search_table(kind, results):
    """Latency for each size; build time, memory and recall at the largest."""
    sizes = sorted({r["rows"] for r in results})
    text = f"One search alone, best 10, {results[0]['vectors']}: median (p99), milliseconds.\n\n"
    text += "| " + " | ".join(["", *map("{:,}".format, sizes), "recall@1", "recall@10", "build, ms per 1,000", "bytes per face", "at"]) + " |\n"
    text += "|" + " --- |" * (len(sizes) + 6) + "\n"
    for label in dict.fromkeys(r["label"] for r in results):
        mine = {r["rows"]: r for r in results if r["label"] == label}
        text += "| " + " | ".join([label, *(latency(mine.get(size)) for size in sizes), *largest(mine.values())]) + " |\n"
    return text + "\n"


def latency(result):
    if result is None:
        return "–"
    return "failed" if "error" in result else f"{digits(result['p50'])} ({digits(result['p99'])})"


def largest(results):
    """Cells of the largest gallery that was measured."""
    measured = [r for r in results if "error" not in r]
    if not measured:
        return ["–"] * 5
    r = max(measured, key=lambda r: r["rows"])
    size = f"{r['bytes'] / r['rows']:.0f}" if r["rows"] >= LEAST_WEIGHED else "–"
    return [f"{r['recall1']:.3f}", f"{r['recall10']:.3f}", digits(1e6 * r["seconds"] / r["rows"]), size, f"{r['rows']:,}"]


def digits(x):
    """Two or three digits that mean something."""
    if x >= 100:
        return f"{x:.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 0.1 else f"{x:.3f}"


def pipeline_tables(results):
    measured = [r for r in results if "error" not in r]
    text = "| whole service, one core | start, s | resident at rest, MiB | after the load | right person first |\n| --- | --- | --- | --- | --- |\n"
    for r in measured:
        text += f"| {r['label']} | {r['start']:.2f} | {r['rest'] / 2**20:.0f} | {r['loaded'] / 2**20:.0f} | {r['right']} of {r['searched']} |\n"
    for pictures in measured[0]["sets"] if measured else []:
        text += f"\n| {pictures} | enrol, 1 client | enrol, 8 clients | search, 1 client | search, 8 clients |\n| --- | --- | --- | --- | --- |\n"
        for r in measured:
            runs = [run for mix in ("enrol", "search") for run in r["sets"][pictures][mix]]
            text += "| " + " | ".join([r["label"], *(f"{digits(run['throughput'])}/s, {digits(run['p50'])} ms ({digits(run['p99'])})" for run in runs)]) + " |\n"
    return text + "\n"


def failures(results):
    failed = [r for stage in ("search", "pipeline") for r in results.get(stage, []) if "error" in r]
    return "".join(f"- FAILED: {r['label']}, {r.get('rows', 'all')}: {r['error']}\n" for r in failed)


def plot(results, path):
    """Latency against gallery size, each line labelled at its end."""
    matplotlib.rcParams.update({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "imago", "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = pyplot.subplots(figsize=(7.2, 4.6))
    ends = []
    for label in dict.fromkeys(r["label"] for r in results):
        line = sorted((r["rows"], r["p50"]) for r in results if r["label"] == label)
        result = next(r for r in results if r["label"] == label)
        colour = COLOURS[result["engine"].partition("-")[0]]
        ours = colour == COLOURS["imago"]
        axes.plot(*zip(*line), color=colour, linestyle="--" if result["graph"] else "-", linewidth=2.2 if ours else 1.1, marker="o", markersize=2.5)
        ends.append((*line[-1], label, colour))
    axes.set(xscale="log", yscale="log", xlabel="faces in the gallery", ylabel="one search, median, ms")
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    label_ends(axes, ends)
    figure.savefig(path, format=path.suffix[1:], bbox_inches="tight", **({"metadata": {"Date": None}} if path.suffix == ".svg" else {}))
    pyplot.close(figure)


def label_ends(axes, ends):
    """Writes the names of the lines in a column at the right, in the order of their
    ends, each tied to its own."""
    bottom, top = axes.get_ylim()
    right = max(x for x, *_ in ends)
    for i, (x, y, label, colour) in enumerate(sorted(ends, key=lambda end: end[1])):
        at = bottom * (top / bottom) ** ((i + 0.5) / len(ends))
        axes.annotate(label, xy=(x, y), xytext=(right * 2.2, at), color=colour, va="center", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 2})


if __name__ == "__main__":
    print(write(pathlib.Path(sys.argv[1])))
