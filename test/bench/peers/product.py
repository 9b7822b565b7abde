"""imago's binary and the ways of running it that are measured, and the models."""

import os
import pathlib
import shutil
import subprocess

from .settings import ROOT

LABELS = {"imago": "imago", "imago-once": "imago, landmarks measured once", "imago-fast": "imago, fast pair (yunet, mobilefacenet)"}
WAYS = {
    "imago": {},
    "imago-once": {"IMAGO_INFERENCE_REFINE": "false"},
    "imago-fast": {"IMAGO_MODELS_DETECTOR": "yunet", "IMAGO_MODELS_EMBEDDER": "mobilefacenet"},
}
DETECTOR, EMBEDDER = "face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"
FAST_PAIR = "yunet.onnx", "mobilefacenet.onnx"
FACES = ROOT.parent / "shared" / "faces"

PYTHON = "Python: FastAPI, OpenCV"


def build(folder):
    """Builds imago; returns the binary."""
    subprocess.run(["go", "build", "-o", folder / "imago", "./cmd/imago"], cwd=ROOT, check=True, timeout=900)
    return folder / "imago"


def models(folder):
    """A folder with the default pair, which make brings, and with the fast pair where
    that can be had."""
    target = folder / "models"
    if target.is_dir():
        return target
    target.mkdir()
    # imago's own default is models/; relative names are relative to the clone.
    places = [ROOT / (os.environ.get("IMAGO_MODELS_DIR") or "models"), ROOT.parent / "shared" / "models"]
    for name in DETECTOR, EMBEDDER, *FAST_PAIR:
        found = [place / name for place in places if (place / name).exists()]
        if found:
            shutil.copy(found[0], target)
        elif name not in FAST_PAIR:
            raise FileNotFoundError(f"there is no {name}: run make models")
    return target


def ways(folder, skip, note):
    """The names of the ways of running imago that can be measured."""
    there = all((models(folder) / name).exists() for name in FAST_PAIR)
    if not there and "imago-fast" not in skip:
        note(f"{LABELS['imago-fast']}: left out, the models folder has not both; imago models pull yunet mobilefacenet fetches them")
    return [name for name in WAYS if name not in skip and (there or name != "imago-fast")]


def environment(folder, way, **more):
    """The variables of imago: without its gate for pictures, which no peer has.

    It refuses variables it does not know, such as those of this benchmark."""
    passed = "IMAGO_API_KEY", "IMAGO_ONNXRUNTIME_LIB"
    own = {key: value for key, value in os.environ.items() if not key.startswith("IMAGO_") or key in passed}
    return {**own, "IMAGO_MODELS_DIR": str(models(folder)), "IMAGO_QUALITY_ENABLED": "false", **WAYS[way], **more}


def people():
    """The labelled pictures of people, by path; their person is named in front."""
    return sorted(pathlib.Path(FACES).glob("cast/*[0-9].png"))


def portraits():
    """Three pictures of one man and one of another, which make brings."""
    return [ROOT / ".cache" / "portraits" / name for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")]


def person(picture):
    """amy for amy1.png."""
    return pathlib.Path(picture).stem.rstrip("0123456789")
