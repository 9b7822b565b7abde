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

from . import processes, product
from .settings import HERE

CLIENTS = 1, 8


class Service:
    """A server to measure: what it is called, and how it is started."""

    def __init__(self, name, label, program, environment):
        self.name, self.label, self.program, self.environment = name, label, program, environment

    def start(self, port):
        program = [str(part).replace("PORT", str(port)) for part in self.program]
        environment = {key: value.replace("PORT", str(port)) for key, value in self.environment.items()}
        return processes.start(program, processes.SERVER_CORE, cwd=HERE.parent, env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def services(folder, skip, note):
    """imago in each way that is measured, and the Python service."""
    all_services = [
        Service(way, product.LABELS[way], [folder / "imago", "serve"], product.environment(
            folder, way, IMAGO_SERVER_LISTEN="127.0.0.1:PORT", IMAGO_STORE_MEMORY_PATH=str(folder / f"{way}.db")))
        for way in product.ways(folder, skip, note)]
    all_services.append(Service("python", product.PYTHON,
                                [sys.executable, "-m", "uvicorn", "peers.service:app", "--port", "PORT", "--log-level", "warning", "--no-access-log"],
                                dict(os.environ, IMAGO_MODELS_DIR=str(product.models(folder)))))
    return [service for service in all_services if service.name not in skip]


def run(settings, note):
    """Returns a list of results; one that failed has "error"."""
    product.build(settings.folder)
    os.environ["IMAGO_API_KEY"] = secrets.token_urlsafe(24)
    sets = picture_sets(settings.folder)
    results = []
    for service in services(settings.folder, settings.skip, note):
        result = {"engine": service.name, "label": service.label}
        try:
            result.update(measure(service, settings, sets, note))
        except Exception as error:
            result["error"] = f"{type(error).__name__}: {error}"
            note(f"{service.label} FAILED: {error}")
        results.append(result)
    return results


def picture_sets(folder):
    """Folders of pictures with one face each: what people upload, and small stills; the
    portraits that make brings where there are no others."""
    groups = {"uploads, 0.1 to 36 megapixels": sorted(product.FACES.glob("*_[ABC].jpg")),
              "stills, 150 pixels": product.people()}
    if not product.people():
        groups = {"portraits": product.portraits()}
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
    answers the right person came first, by the threshold that the service has of its
    own, and how many searches there were. Stage accuracy compares at equal rates."""
    pictures = product.people() or product.portraits()
    first = {product.person(picture): picture for picture in reversed(pictures)}
    for user, picture in first.items():
        post(port, f"/users/{user}", picture)
    probes = [picture for picture in pictures if picture not in first.values()]
    answers = [post(port, "/users/search", picture) for picture in probes]
    right = sum(bool(matches) and matches[0]["userId"] == product.person(picture) for matches, picture in zip(answers, probes))
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
