"""Stage networks: the two networks alone on one core, in OpenCV and in ONNX Runtime,
which runs the files as imago rewrites them and as they are. All take turns in one
process, so that a busy machine is busy for all."""

import json
import pathlib
import subprocess
import sys
import time

import numpy

from . import processes, product
from .settings import HERE, ROOT

# Each turn is a few runs, of which the first finds the caches full of the others' data
# and is not counted.
TURN = 5
NETWORKS = {"SFace": (product.EMBEDDER, [112]), "YuNet": (product.DETECTOR, [160, 320, 640])}


def run(settings, note):
    """Returns a result for each network and size; one that failed has "error"."""
    subprocess.run(["go", "build", "-o", settings.folder / "rewritten", "./test/bench/rewritten"], cwd=ROOT, check=True, timeout=900)
    results = []
    for network, (file, sizes) in NETWORKS.items():
        published, rewritten = product.models(settings.folder) / file, settings.folder / f"rewritten-{file}"
        subprocess.run([settings.folder / "rewritten", published, rewritten], check=True, timeout=60)
        for size in sizes:
            result = {"engine": network, "label": f"{network}, {size}×{size}"}
            try:
                result["runs"] = alone(published, rewritten, size, settings.pipeline_seconds)
                note(f"{result['label']}: " + ", ".join(f"{name} {run['p50']:.2f} ms" for name, run in result["runs"].items()))
            except Exception as error:
                result["error"] = f"{type(error).__name__}: {error}"
                note(f"{result['label']} FAILED: {error}")
            results.append(result)
    return results


def alone(published, rewritten, size, seconds):
    """Measures in a process of its own, on one core."""
    program = [sys.executable, "-m", "peers.networks", published, rewritten, size, seconds]
    done = subprocess.run(processes.command(program, processes.SERVER_CORE), cwd=HERE.parent, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-300:])
    return json.loads(done.stdout)


def contestants(published, rewritten, size):
    """Functions that run a network over the same input and return its outputs, all in
    one vector, by name; and the versions."""
    import cv2
    import onnxruntime

    cv2.setNumThreads(1)
    blob = numpy.random.default_rng(1).integers(0, 256, (1, 3, size, size)).astype(numpy.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3

    def session(path):
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def in_onnxruntime(path):
        network = session(path)
        (entry,) = [i for i in network.get_inputs() if len(i.shape) == 4]
        if isinstance(entry.shape[3], int) and entry.shape[3] != size:
            return None  # the file says another size
        return lambda: network.run(names, {entry.name: blob})

    names = sorted(output.name for output in session(published).get_outputs())
    network = cv2.dnn.readNetFromONNX(str(published))

    def in_opencv():
        network.setInput(blob)
        return network.forward(names)

    runs = {"opencv": in_opencv, "rewritten": in_onnxruntime(rewritten), "published": in_onnxruntime(published)}
    versions = {"opencv": cv2.__version__, "rewritten": onnxruntime.__version__, "published": onnxruntime.__version__}
    return {name: once for name, once in runs.items() if once}, versions


def check(runs):
    """All must say the same, or they are not doing the same."""
    answers = {name: numpy.concatenate([numpy.ravel(output) for output in once()]) for name, once in runs.items()}
    expected = answers["opencv"]
    for name, answer in answers.items():
        cosine = answer @ expected / numpy.linalg.norm(answer) / numpy.linalg.norm(expected)
        if cosine < 0.9999:
            raise RuntimeError(f"{name} does not say what OpenCV says: cosine {cosine:.5f}")


def measure(runs, seconds):
    times = {name: [] for name in runs}
    deadline = time.monotonic() + seconds * len(runs)
    while time.monotonic() < deadline:
        for name, once in runs.items():
            for run_of_turn in range(TURN):
                began = time.perf_counter()
                once()
                took = 1e3 * (time.perf_counter() - began)
                if run_of_turn:
                    times[name].append(took)
    return times


def main():
    published, rewritten = map(pathlib.Path, sys.argv[1:3])
    runs, versions = contestants(published, rewritten, int(sys.argv[3]))
    check(runs)
    times = measure(runs, float(sys.argv[4]))
    print(json.dumps({name: {"p50": float(numpy.median(t)), "p99": float(numpy.percentile(t, 99)), "least": min(t), "runs": len(t),
                             "version": versions[name]} for name, t in times.items()}))


if __name__ == "__main__":
    main()
