"""Stage accuracy: who is recognised, by imago and by the Python service. Pictures of
people as they are, and copies of them that were turned or scaled, searched for among
them. Every engine says nothing but its templates; test/bench/errorrates makes the rates
of them, by the rules of `imago evaluate`, whose own figures are taken as well."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy

from . import product
from .settings import HERE, ROOT

RATES = 1e-3, 1e-4
COPIES = {"turned by 8°": lambda p: turned(p, 8), "turned by 20°": lambda p: turned(p, 20),
          "half as large": lambda p: scaled(p, 0.5), "3 times as large": lambda p: scaled(p, 3)}


def turned(picture, degrees):
    """A picture that is turned about its middle and loses nothing: its edge is drawn
    out to fill the corners."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = int(round(width * cos + height * sin)), int(round(width * sin + height * cos))
    matrix[:, 2] += (wide - width) / 2, (high - height) / 2
    return cv2.warpAffine(picture, matrix, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def scaled(picture, factor):
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def run(settings, note):
    """Returns a list of results; one that failed has "error"."""
    if not product.people():
        raise FileNotFoundError("stage accuracy needs the pictures of people in ../shared/faces/cast")
    folder = settings.folder
    product.build(folder)
    subprocess.run(["go", "build", "-o", folder / "errorrates", "./test/bench/errorrates"], cwd=ROOT, check=True, timeout=900)
    pictures, labelled = write_pictures(folder), write_people(folder)
    results = []
    for engine in [*product.ways(folder, settings.skip, note), *(["python"] if "python" not in settings.skip else [])]:
        result = {"engine": engine, "label": product.LABELS.get(engine, product.PYTHON)}
        try:
            if engine == "python":
                templates, threshold = of_python(folder, pictures)
            else:
                result["evaluate"] = evaluate(folder, engine, labelled)
                templates, threshold = of_imago(folder, engine, pictures), result["evaluate"]["presentDefault"]["cosine"]
            result["sets"] = error_rates(folder, templates, threshold)
            note(f"{result['label']}: " + ", ".join(f"{s.get('name', 'as they are')} d′ {s['separation']:.2f}" for s in result["sets"]))
        except Exception as error:
            result["error"] = f"{type(error).__name__}: {error}"
            note(f"{result['label']} FAILED: {error}")
        results.append(result)
    return results


def write_pictures(folder):
    """One folder with the pictures and all their copies, as NAME-0.png, NAME-1.png …;
    these numbers are names of users as well."""
    target = folder / "accuracy"
    target.mkdir()
    for path in product.people():
        picture = cv2.imread(str(path))
        for i, change in enumerate([lambda p: p, *COPIES.values()]):
            cv2.imwrite(str(target / f"{path.stem}-{i}.png"), change(picture))
    return target


def write_people(folder):
    """The same pictures as they are, in a folder for each person."""
    target = folder / "people"
    for path in product.people():
        (target / product.person(path)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / product.person(path))
    return target


def command(folder, way, *arguments, accepted=(0,)):
    """Runs imago; returns what it prints."""
    environment = product.environment(folder, way, IMAGO_STORE_MEMORY_PATH=str(folder / f"accuracy-{way}.db"))
    done = subprocess.run([folder / "imago", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode not in accepted:
        raise RuntimeError(f"imago {arguments[0]} ended with code {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def of_imago(folder, way, pictures):
    """The vectors that imago has stored after enrolment of every picture as a user of
    its own, by the picture's name. A picture without a face is left out (code 3)."""
    command(folder, way, "enroll", pictures, accepted=(0, 3))
    lines = map(json.loads, command(folder, way, "export", "-").splitlines())
    return {line["userId"]: numpy.frombuffer(base64.b64decode(line["vector"]), "<f4") for line in lines if "userId" in line}


def of_python(folder, pictures):
    """The same from service.py, in a process of its own, and the cosine from which it
    takes two faces for one person."""
    done = subprocess.run([sys.executable, "-m", "peers.accuracy", pictures, folder / "python.npz"], cwd=HERE.parent, capture_output=True, text=True,
                          env=dict(os.environ, IMAGO_MODELS_DIR=str(product.models(folder))), timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-300:])
    templates = dict(numpy.load(folder / "python.npz"))
    return templates, float(templates.pop("minimum"))


def error_rates(folder, templates, threshold):
    sets = [[{"person": product.person(path), "picture": path.stem, "vector": templates[f"{path.stem}-{i}"].tolist()}
             for path in product.people() if f"{path.stem}-{i}" in templates] for i in range(1 + len(COPIES))]
    asked = {"gallery": sets[0], "copies": [{"name": name, "templates": own} for name, own in zip(COPIES, sets[1:])],
             "rates": RATES, "shipped": threshold}
    done = subprocess.run([folder / "errorrates"], input=json.dumps(asked), capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return [dict(outcome, pictures=len(product.people())) for outcome in json.loads(done.stdout)]


def evaluate(folder, way, people):
    """What `imago evaluate` says of the pictures as they are, as far as a table shows it."""
    out = folder / f"evaluate-{way}"
    command(folder, way, "evaluate", "--out", out, people, accepted=(0, 3))
    report = json.loads((out / "evaluation.json").read_text())
    return {key: report[key] for key in ("detector", "embedder", "verification", "presentDefault", "rankOne", "failureToDetect")}


def main():
    from . import service
    pictures, out = map(pathlib.Path, sys.argv[1:])
    vectors = {path.stem: service.embed(cv2.imread(str(path))) for path in sorted(pictures.glob("*.png"))}
    numpy.savez(out, minimum=service.MINIMUM, **{name: vector for name, vector in vectors.items() if vector is not None})


if __name__ == "__main__":
    main()
