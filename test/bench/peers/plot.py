"""The plot of stage search: latency against the size of the gallery."""

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

# Colours that can be told apart with any kind of colour vision (Okabe and Ito, 2008);
# a product has one, exact searches have solid lines and graphs dashed ones.
COLOURS = {"imago": "#d55e00", "faiss": "#0072b2", "usearch": "#56b4e9", "hnswlib": "#009e73", "qdrant": "#b0578d",
           "redis": "#8c564b", "pgvector": "#6e6e6e", "milvus": "#e69f00"}


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
