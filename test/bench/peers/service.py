"""The face search service that somebody would write in Python today: FastAPI and
uvicorn, OpenCV to decode and to align, the same two networks as imago through ONNX
Runtime, and a flat faiss index. It answers the calls that `imago bench` makes:

    uvicorn peers.service:app

Like imago it looks for faces at 320 pixels first and at 640 if there is none; unlike
imago it keeps the gallery in memory only, checks no quality and measures the landmarks
once.
"""

import base64
import itertools
import os
import threading

import cv2
import faiss
import numpy
import onnxruntime
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

MODELS = os.environ["IMAGO_MODELS_DIR"]
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
DIMENSION = 128
DETECT_SIZES = 320, 640
MIN_SCORE, OVERLAP = 0.6, 0.3
MINIMUM = 0.48  # cosine of 80 %, see config/models/mobilefacenet.yaml
MEAN = numpy.float32([0.485, 0.456, 0.406])
STD = numpy.float32([0.229, 0.224, 0.225])
# Where ArcFace has eyes, nose and corners of the mouth in 112×112 pixels (Deng et
# al., "ArcFace", 2019).
TEMPLATE = numpy.float32([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])


def network(name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(f"{MODELS}/{name}", options, providers=["CPUExecutionProvider"])


cv2.setNumThreads(THREADS)
faiss.omp_set_num_threads(THREADS)
detector, embedder = network("yunet.onnx"), network("mobilefacenet.onnx")
outputs = [output.name for output in detector.get_outputs()]


class Face(BaseModel):
    face: str
    threshold: float | None = None


def decode(face):
    try:
        data = base64.b64decode(face)
    except ValueError:
        raise HTTPException(400, "the face is not base64")
    picture = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        raise HTTPException(400, "the face is no picture")
    return picture


def detect(picture, size):
    """The landmarks of the largest face, or None."""
    scale = min(1, size / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    height, width = small.shape[:2]
    padded = cv2.copyMakeBorder(small, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT)
    blob = padded.transpose(2, 0, 1)[None].astype(numpy.float32)
    found = dict(zip(outputs, detector.run(None, {"input": blob})))
    boxes, scores, landmarks = [], [], []
    for stride in 8, 16, 32:
        score = numpy.sqrt(numpy.clip(found[f"cls_{stride}"], 0, 1) * numpy.clip(found[f"obj_{stride}"], 0, 1)).ravel()
        at = numpy.flatnonzero(score >= MIN_SCORE)
        cells = numpy.stack([at % (padded.shape[1] // stride), at // (padded.shape[1] // stride)], 1)
        box = found[f"bbox_{stride}"].reshape(-1, 4)[at]
        sides = numpy.exp(box[:, 2:]) * stride
        boxes.append(numpy.hstack([(cells + box[:, :2]) * stride - sides / 2, sides]))
        landmarks.append((cells[:, None] + found[f"kps_{stride}"].reshape(-1, 5, 2)[at]) * stride)
        scores.append(score[at])
    boxes, scores, landmarks = map(numpy.concatenate, (boxes, scores, landmarks))
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), MIN_SCORE, OVERLAP)
    if len(kept) == 0:
        return None
    largest = max(kept, key=lambda i: boxes[i, 2] * boxes[i, 3])
    return landmarks[largest] / scale


def similarity(points):
    """The 2×3 matrix of least squares that takes points to the template by rotation,
    one scale and shift (Umeyama, 1991)."""
    a, b = points.mean(0), TEMPLATE.mean(0)
    u, s, v = numpy.linalg.svd((TEMPLATE - b).T @ (points - a))
    d = numpy.array([1, numpy.sign(numpy.linalg.det(u @ v))])
    rotation = u * d @ v
    rotation *= (s * d).sum() / ((points - a) ** 2).sum()
    return numpy.hstack([rotation, (b - rotation @ a)[:, None]])


def template(face):
    """The unit vector of the largest face."""
    picture = decode(face)
    for size in DETECT_SIZES:
        landmarks = detect(picture, size)
        if landmarks is not None:
            break
    else:
        raise HTTPException(400, "no face detected in the provided image")
    chip = cv2.warpAffine(picture, similarity(landmarks), (112, 112), flags=cv2.INTER_LINEAR)
    blob = ((chip[:, :, ::-1].astype(numpy.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
    vector = embedder.run(None, {"input0": numpy.ascontiguousarray(blob)})[0]
    return vector / numpy.linalg.norm(vector)


app = FastAPI()
lock = threading.Lock()
index = faiss.IndexIDMap2(faiss.IndexFlatIP(DIMENSION))
numbers, names = {}, {}
counter = itertools.count()


@app.get("/readyz")
def ready():
    return {}


# FastAPI runs plain functions on threads, and decoding and the networks let go of
# the interpreter's lock, so that pictures are worked on side by side.
@app.post("/users/search")
def search(body: Face):
    vector = template(body.face)
    with lock:
        scores, found = index.search(vector, 10)
        matches = [{"userId": names[n], "similarity": float(s)} for s, n in zip(scores[0], found[0]) if n >= 0 and s >= MINIMUM]
    if not matches:
        raise HTTPException(404, "nobody was found")
    return {"matches": matches}


@app.post("/users/{user}")
def enrol(user: str, body: Face):
    vector = template(body.face)
    with lock:
        if user in numbers:
            raise HTTPException(400, "provided userId already exists")
        n = numbers[user] = next(counter)
        names[n] = user
        index.add_with_ids(vector, numpy.array([n]))


@app.delete("/users/{user}")
def unenrol(user: str):
    with lock:
        if user not in numbers:
            raise HTTPException(404, "no such user")
        n = numbers.pop(user)
        del names[n]
        index.remove_ids(numpy.array([n]))
