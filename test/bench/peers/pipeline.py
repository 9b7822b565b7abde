"""Stage pipeline: pictures over HTTP, imago's binary beside service.py. Each service
has one core and the clients, which are `imago bench`, have the other."""

import base64
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

from . import processes
from .settings import HERE, ROOT

CLIENTS = 1, 8
PASSED = "IMAGO_API_KEY", "IMAGO_ONNXRUNTIME_LIB"
FACES = ROOT.parent / "shared" / "faces"


class Service:
    """A server to measure: what it is called, and how it is started."""

    def __init__(self, name, label, program, environment):
        self.name, self.label, self.program, self.environment = name, label, program, environment

    def start(self, port):
        program = [str(part).replace("PORT", str(port)) for part in self.program]
        # imago refuses variables it does not know, such as those of this benchmark.
        own = {key: value for key, value in os.environ.items() if not key.startswith("IMAGO_") or key in PASSED}
        own.update({key: value.replace("PORT", str(port)) for key, value in self.environment.items()})
        return processes.start(program, processes.SERVER_CORE, cwd=HERE.parent, env=own,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def services(folder, models):
    """imago without its gate for pictures, which the Python service has not; as it
    ships, and with landmarks measured once as the Python service does."""
    imago = {"IMAGO_SERVER_LISTEN": "127.0.0.1:PORT", "IMAGO_MODELS_DIR": str(models), "IMAGO_QUALITY_ENABLED": "false"}
    return [
        Service("imago", "imago", [folder / "imago", "serve"], {**imago, "IMAGO_STORE_MEMORY_PATH": str(folder / "imago.db")}),
        Service("imago-once", "imago, landmarks measured once", [folder / "imago", "serve"],
                {**imago, "IMAGO_STORE_MEMORY_PATH": str(folder / "once.db"), "IMAGO_INFERENCE_REFINE": "false"}),
        Service("python", "Python: FastAPI, OpenCV, ONNX Runtime, faiss",
                [sys.executable, "-m", "uvicorn", "peers.service:app", "--port", "PORT", "--log-level", "warning", "--no-access-log"],
                {"IMAGO_MODELS_DIR": str(models)}),
    ]


def run(settings, note):
    """Returns a list of results; one that failed has "error"."""
    subprocess.run(["go", "build", "-o", settings.folder / "imago", "./cmd/imago"], cwd=ROOT, check=True, timeout=900)
    os.environ["IMAGO_API_KEY"] = secrets.token_urlsafe(24)
    sets = picture_sets(settings.folder)
    results = []
    for service in services(settings.folder, models(settings.folder)):
        if service.name in settings.skip:
            continue
        result = {"engine": service.name, "label": service.label}
        try:
            result.update(measure(service, settings, sets, note))
        except Exception as error:
            result["error"] = f"{type(error).__name__}: {error}"
            note(f"{service.label} FAILED: {error}")
        results.append(result)
    return results


def models(folder):
    """The folder of the networks, which are fetched where there are none."""
    for candidate in os.environ.get("IMAGO_MODELS_DIR"), ROOT.parent / "shared" / "models", ROOT / "models":
        if candidate and (pathlib.Path(candidate) / "yunet.onnx").exists():
            return pathlib.Path(candidate).resolve()
    environment = dict(os.environ, IMAGO_MODELS_DIR=str(ROOT / "models"))
    subprocess.run([folder / "imago", "models", "pull"], cwd=ROOT, env=environment, check=True, timeout=600)
    return ROOT / "models"


def picture_sets(folder):
    """Folders of pictures with one face each: what people upload, and small stills."""
    groups = {"uploads, 0.1 to 36 megapixels": sorted(FACES.glob("*_[ABC].jpg")),
              "stills, 150 pixels": sorted(FACES.glob("cast/*[0-9].png"))}
    if not FACES.is_dir():
        groups = {"the drawn portrait": [ROOT / "test" / "testdata" / "portrait.jpg"]}
    for i, (name, files) in enumerate(groups.items()):
        target = folder / f"pictures-{i}"
        target.mkdir()
        for file in files:
            shutil.copy(file, target)
        groups[name] = target
    return groups


def measure(service, settings, sets, note):
    port = processes.free_port()
    process = service.start(port)
    try:
        seconds = until_ready(port, process)
        result = {"start": seconds, "rest": processes.resident(process.pid), "sets": {}}
        for name, folder in sets.items():
            result["sets"][name] = load(port, folder, settings.pipeline_seconds)
            note(f"{service.label}, {name}: " + ", ".join(
                f"{mix} {run['throughput']:.1f}/s ({run['concurrency']} at once)" for mix, runs in result["sets"][name].items() for run in runs))
        result["loaded"] = processes.resident(process.pid)
        result["right"], result["searched"] = recognise(port)
        return result
    finally:
        processes.stop(process)


def until_ready(port, process):
    """Waits until a service answers; returns the seconds since it was started."""
    def answers():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200
        except OSError:
            return False
    processes.until(answers, 60, process)
    started = int(pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    now = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    return now - started / os.sysconf("SC_CLK_TCK")


def load(port, folder, seconds):
    """Throughput and latencies of enrolments and of searches among its pictures."""
    return {mix: bench(port, folder, f"{mix}=1", seconds) for mix in ("enrol", "search")}


def bench(port, folder, mix, seconds):
    program = [folder.parent / "imago", "bench", "--url", f"127.0.0.1:{port}", "--pictures", folder, "--mix", mix, "--format", "json",
               "--concurrency", ",".join(map(str, CLIENTS)), "--duration", f"{seconds}s", "--warmup", "1s"]
    done = subprocess.run(processes.command(program, processes.CLIENT_CORE), capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"imago bench ended with code {done.returncode}: {done.stderr.strip()[-300:]} {done.stdout[-300:]}")
    runs = json.loads(done.stdout)["runs"]
    return [{"concurrency": run["concurrency"], "throughput": run["throughput"], "p50": run["served"]["p50"], "p99": run["served"]["p99"]}
            for run in runs]


def recognise(port):
    """Enrols picture 1 of each of the cast and searches for the others: in how many
    answers the right person came first, and how many searches there were."""
    pictures = sorted(FACES.glob("cast/*[0-9].png")) or [ROOT / "test" / "testdata" / "portrait.jpg"] * 2
    name = lambda picture: picture.stem.rstrip("0123456789")
    first = {name(picture): picture for picture in reversed(pictures)}
    for user, picture in first.items():
        post(port, f"/users/{user}", picture)
    probes = [picture for picture in pictures if picture not in first.values()] or pictures[:1]
    answers = [post(port, "/users/search", picture) for picture in probes]
    right = sum(bool(matches) and matches[0]["userId"] == name(picture) for matches, picture in zip(answers, probes))
    return right, len(probes)


def post(port, path, picture):
    """The matches in an answer; none where nobody was found."""
    body = json.dumps({"face": base64.b64encode(picture.read_bytes()).decode()}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {
        "Content-Type": "application/json", "x-api-key": os.environ["IMAGO_API_KEY"]})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return []
    return (json.loads(content or b"null") or {}).get("matches", [])
