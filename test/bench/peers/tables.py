"""The tables of each stage, from what it returned."""

# Smaller galleries fit memory that a process has anyway: their growth says nothing.
LEAST_WEIGHED = 100_000

NETWORK_ENGINES = {"opencv": "OpenCV", "rewritten": "ONNX Runtime, as imago rewrites the file,", "published": "ONNX Runtime, the file as published,"}


def tables(results):
    """Tables by name, each ending with a line break: what results.md has, and what
    other documents may show."""
    made = {}
    for stage, make in ("search", search), ("accuracy", accuracy), ("networks", networks), ("pipeline", pipeline):
        measured = [r for r in results.get(stage, {}).get("results", []) if "error" not in r]
        if measured:
            made |= make(measured)
    return made


def table(*rows):
    """The first row is the head."""
    head, *body = [[str(cell) for cell in row] for row in rows]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, ["---"] * len(head), *body])


def search(results):
    return {f"search {kind}": search_table([r for r in results if r["kind"] == kind]) for kind in dict.fromkeys(r["kind"] for r in results)}


def search_table(results):
    """Latency for each size; build time, memory and recall at the largest."""
    sizes = sorted({r["rows"] for r in results})
    rows = [[results[0]["vectors"], *map("{:,}".format, sizes), "recall@1", "recall@10", "build, ms per 1,000", "bytes per face", "at"]]
    for label in dict.fromkeys(r["label"] for r in results):
        mine = {r["rows"]: r for r in results if r["label"] == label}
        rows.append([label, *(latency(mine.get(size)) for size in sizes), *largest(mine[max(mine)])])
    return table(*rows)


def latency(result):
    return f"{digits(result['p50'])} ({digits(result['p99'])})" if result else "–"


def largest(r):
    """Cells of the largest gallery that was measured."""
    size = f"{r['bytes'] / r['rows']:.0f}" if r["rows"] >= LEAST_WEIGHED else "–"
    return [f"{r['recall1']:.3f}", f"{r['recall10']:.3f}", digits(1e6 * r["seconds"] / r["rows"]), size, f"{r['rows']:,}"]


def digits(x):
    """Two or three digits that mean something."""
    if x >= 100:
        return f"{x:.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 0.1 else f"{x:.3f}"


def percent(rate):
    """A rate with one place behind the point, more for the small ones that are asked for."""
    return f"{digits_of_percent(rate)} %"


def digits_of_percent(rate):
    return f"{100 * rate:g}" if 0 < rate < 1e-3 else f"{int(1000 * rate + 0.5) / 10:g}"


def accuracy(results):
    made = {"accuracy": accuracy_table(results), "accuracy copies": copies_table(results)}
    evaluated = [r for r in results if "evaluate" in r and r["engine"] in ("imago", "imago-fast")]
    return made | ({"evaluate": evaluate_table([r["evaluate"] for r in evaluated])} if evaluated else {})


def accuracy_table(results):
    rates = [f"missed at FMR {percent(p['rate'])} (cosine)" for p in results[0]["sets"][0]["points"]]
    rows = [["pictures as they are", "right person first", *rates, "missed at its own threshold", "d′", "highest stranger", "lowest of one person"]]
    for r in results:
        s = r["sets"][0]
        points = [f"{percent(p['falseNonMatch'] / s['mated'])} ({p['cosine']:.3f})" for p in s["points"]]
        own = f"{percent(s['shipped']['falseNonMatch'] / s['mated'])} ({s['shipped']['cosine']:.3f})"
        rows.append([r["label"], first(s), *points, own, *spread(s), f"{s['lowestMated']:.3f}"])
    return table(*rows)


def first(s):
    return f"{s['rankOne']} of {s['pictures']}" + (f" ({s['pictures'] - s['searched']} without a face)" if s["searched"] < s["pictures"] else "")


def spread(s):
    return [f"{s['separation']:.2f}", f"{s['highestStranger']:.3f}"]


def copies_table(results):
    rates = [f"missed at the cosine of FMR {percent(p['rate'])}" for p in results[0]["sets"][0]["points"]]
    rows = [["copies", "", "right person first", *rates, "d′", "highest stranger", "cosine to the original"]]
    for i, copy in enumerate(results[0]["sets"][1:], 1):
        for r in results:
            s = r["sets"][i]
            missed = [percent(p["falseNonMatch"] / s["mated"]) for p in s["points"]]
            rows.append([copy["name"], r["label"], first(s), *missed, *spread(s), f"{s['original']:.3f}"])
    return table(*rows)


def evaluate_table(reports):
    """What `imago evaluate` says of each pair of models, side by side."""
    rows = [["wanted FMR", *(head for e in reports for head in (f"{e['detector']}, {e['embedder']}: cosine (95 %)", "similarity", "missed (FNMR, 95 %)"))]]
    targets = [row["target"] for row in reports[0]["verification"] if row["target"] >= 1e-5]
    for target in targets:
        rows.append([percent(target), *(cell for e in reports for cell in evaluate_cells(next(row for row in e["verification"] if row["target"] == target)))])
    rows.append(["80 % as shipped", *(cell for e in reports for cell in evaluate_cells(e["presentDefault"]))])
    counts = [f"{e['rankOne']['count']} of {e['rankOne']['trials']}" for e in reports]
    rows.append(["right person first", *(cell for count in counts for cell in ("", "", count))])
    rows.append(["no face found", *(cell for e in reports for cell in ("", "", f"{e['failureToDetect']['count']} of {e['failureToDetect']['trials']}"))])
    return table(*rows)


def evaluate_cells(row):
    if row.get("none") or row["basis"] == "unknown":
        return "–", "–", "–"
    cosine = f"{row['cosine']:.3f}" + (f" ({row['low']:.3f} – {row['high']:.3f})" if row["low"] != row["high"] else "")
    missed = row["falseNonMatches"]
    return cosine, f"{row['percent']:.1f} %", f"{missed['count']} of {missed['trials']} ({digits_of_percent(missed['low'])} – {percent(missed['high'])})"


def networks(results):
    """The median of each engine, and how much faster imago's way is."""
    rows = [["one run, ms: median (least)", *(f"{label} {version}" for label, version in engines(results)), "OpenCV ÷ rewritten"]]
    for r in results:
        runs = r["runs"]
        cells = [f"{digits(runs[name]['p50'])} ({digits(runs[name]['least'])})" if name in runs else "–" for name in NETWORK_ENGINES]
        rows.append([r["label"], *cells, f"{runs['opencv']['p50'] / runs['rewritten']['p50']:.2f}"])
    return {"networks": table(*rows)}


def engines(results):
    for name, label in NETWORK_ENGINES.items():
        yield label, next((r["runs"][name]["version"] for r in results if name in r["runs"]), "")


def pipeline(results):
    rows = [["whole service, one core", "start, s", "resident at rest, MiB", "after the load", "right person found"]]
    for r in results:
        rows.append([r["label"], f"{r['start']:.2f}", f"{r['rest'] / 2**20:.0f}", f"{r['loaded'] / 2**20:.0f}", f"{r['right']} of {r['searched']}"])
    made = {"pipeline": table(*rows)}
    for pictures in results[0]["sets"]:
        rows = [[pictures, *(f"{mix}, {clients}" for mix in ("enrol", "search") for clients in ("1 client", "8 clients"))]]
        for r in results:
            runs = [run for mix in ("enrol", "search") for run in r["sets"][pictures][mix]]
            rows.append([r["label"], *(f"{digits(run['throughput'])}/s, {digits(run['p50'])} ms ({digits(run['p99'])})" for run in runs)])
        made[f"pipeline {pictures.partition(',')[0]}"] = table(*rows)
    return made
