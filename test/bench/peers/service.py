"""The face search service that somebody would write with OpenCV today: FastAPI and
uvicorn, cv2.imdecode, OpenCV's own FaceDetectorYN and FaceRecognizerSF over the same
two files as imago, and a gallery in a numpy array. It answers the calls that
`imago bench` makes:

    uvicorn peers.service:app

Pictures with a longer side above 640 pixels are made smaller before the detector looks
for faces, as is usual with it; the chip is cut from that copy. Unlike imago the service
looks once, keeps the gallery in memory only and checks no quality.
"""

import base64
import os
import threading

import cv2
import numpy
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

MODELS = os.environ["IMAGO_MODELS_DIR"]
DIMENSION = 128
LONG_SIDE = 640
MIN_SCORE = 0.6  # as imago; with the 0.9 that is OpenCV's default it misses more faces
MINIMUM = 0.363  # the cosine from which OpenCV takes two faces for one person

cv2.setNumThreads(int(os.environ.get("OMP_NUM_THREADS", "1")))
detector = cv2.FaceDetectorYN.create(f"{MODELS}/face_detection_yunet_2023mar.onnx", "", (LONG_SIDE, LONG_SIDE), MIN_SCORE)
recognizer = cv2.FaceRecognizerSF.create(f"{MODELS}/face_recognition_sface_2021dec.onnx", "")
networks = threading.Lock()  # neither may be used by two threads at once


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


def embed(picture):
    """The unit vector of the largest face, None where there is no face."""
    scale = LONG_SIDE / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    with networks:
        detector.setInputSize((picture.shape[1], picture.shape[0]))
        _, faces = detector.detect(picture)
        if faces is None:
            return None
        largest = max(faces, key=lambda face: face[2] * face[3])
        vector = recognizer.feature(recognizer.alignCrop(picture, largest))[0]
        return vector / numpy.linalg.norm(vector)


def template(face):
    vector = embed(decode(face))
    if vector is None:
        raise HTTPException(400, "no face detected in the provided image")
    return vector


class Gallery:
    """Unit vectors in an array that doubles when it is full; who is taken out makes
    room for the last."""

    def __init__(self):
        self.vectors, self.names, self.rows = numpy.empty((1024, DIMENSION), numpy.float32), [], {}

    def add(self, name, vector):
        if name in self.rows:
            return False
        row = len(self.names)
        if row == len(self.vectors):
            self.vectors = numpy.concatenate([self.vectors, numpy.empty_like(self.vectors)])
        self.vectors[row], self.rows[name] = vector, row
        self.names.append(name)
        return True

    def remove(self, name):
        row = self.rows.pop(name, None)
        if row is None:
            return False
        last = self.names.pop()
        if last != name:
            self.vectors[row] = self.vectors[len(self.names)]
            self.names[row], self.rows[last] = last, row
        return True

    def search(self, vector, k=10):
        """The k most similar of those above MINIMUM, with their cosines."""
        scores = self.vectors[:len(self.names)] @ vector
        found = numpy.flatnonzero(scores >= MINIMUM)
        best = found[numpy.argsort(-scores[found])][:k]
        return [(self.names[row], float(scores[row])) for row in best]


app = FastAPI()
lock = threading.Lock()
gallery = Gallery()


@app.get("/readyz")
def ready():
    return {}


# FastAPI runs plain functions on threads, and OpenCV lets go of the interpreter's
# lock, so that one picture is decoded while another is in the networks.
@app.post("/users/search")
def search(body: Face):
    vector = template(body.face)
    with lock:
        matches = gallery.search(vector)
    if not matches:
        raise HTTPException(404, "nobody was found")
    return {"matches": [{"userId": name, "similarity": cosine} for name, cosine in matches]}


@app.post("/users/{user}")
def enrol(user: str, body: Face):
    vector = template(body.face)
    with lock:
        if not gallery.add(user, vector):
            raise HTTPException(400, "provided userId already exists")


@app.delete("/users/{user}")
def unenrol(user: str):
    with lock:
        if not gallery.remove(user):
            raise HTTPException(404, "no such user")
