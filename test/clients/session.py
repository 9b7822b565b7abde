"""The session of session.go, by a generated Python client."""

import base64
import json
import sys
from datetime import datetime, timezone

from imago_client import AuthenticatedClient
from imago_client import models as m
from imago_client.api.faces import detect, search_faces
from imago_client.api.lists import (
    collections,
    enrol_in_list,
    list_calibration,
    read_list_user,
    read_page_of_lax,
    read_page_of_strict_1,
    search_list,
    remove_list_face,
    unenrol_from_list,
    verify_in_list,
)
from imago_client.api.users import add_face, enrol, read_user, read_users, remove_face, replace_user, search, unenrol, verify
from imago_client.types import UNSET


def read(path):
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()


def status(response):
    return response.status_code.value


def found(answer):
    return [one.user_id for one in answer.matches]


def listed(answer):
    return [one.user_id for one in answer.users]


url, key, own, other = sys.argv[1], sys.argv[2], read(sys.argv[3]), read(sys.argv[4])
imago = AuthenticatedClient(base_url=url, token=key, prefix="", auth_header_name="x-api-key", timeout=60)
seen = {}

seen["enrol"] = status(enrol.sync_detailed("alice", client=imago, body=m.Enrolment(face=own)))
seen["enrol another"] = status(enrol.sync_detailed("bob", client=imago, body=m.Enrolment(face=other)))
seen["enrol again"] = enrol.sync("alice", client=imago, body=m.Enrolment(face=own)).errors
seen["add a face"] = status(add_face.sync_detailed("alice", client=imago, body=m.Enrolment(face=own)))
for name in ["lax", "strict-1"]:
    seen["enrol in " + name] = status(enrol_in_list.sync_detailed(name, "alice", client=imago, body=m.Enrolment(face=own)))

seen["search"] = found(search.sync(client=imago, body=m.Search(face=own)))
seen["search lax for another"] = found(search_list.sync("lax", client=imago, body=m.Search(face=other)))
seen["search strict-1"] = search_list.sync("strict-1", client=imago, body=m.Search(face=own)).status
prefers_problem = imago.with_headers({"Accept": "application/problem+json"})
seen["codes"] = search_list.sync("strict-1", client=prefers_problem, body=m.Search(face=own)).codes
seen["search with a threshold and a limit"] = found(search.sync(client=imago, body=m.Search(face=own, threshold=0.5, limit=1)))

verified = verify.sync("alice", client=imago, body=m.Verify(face=own))
in_list = verify_in_list.sync("strict-1", "alice", client=imago, body=m.Verify(face=other, threshold=0.5))
seen["verify"] = [verified.match, verified.similarity > 99, verified.threshold, in_list.match, in_list.threshold]
seen["verify nobody"] = verify.sync("carol", client=imago, body=m.Verify(face=own)).title

tracking = m.Tracking.from_dict({"operationId": 1})
several = search_faces.sync(client=imago, body=m.FacesSearch(face=own, collections=["users", "strict-1", "lax"], tracking=tracking))
every = search_faces.sync(client=imago, body=m.FacesSearch(face=own, collections=["users"], faces=m.FacesSearchFaces.ALL))
seen["search several"] = [
    [value for one in several.results for value in (one.collection, one.threshold, len(one.matches))],
    several.faces is UNSET,
    len(every.faces),
    every.faces[0].box.width > 0,
    every.faces[0].results[0].matches[0].user_id,
]

alice = read_user.sync("alice", client=imago)
seen["read"] = [alice.user_id, len(alice.faces), alice.faces[0].enrolled_at.year < 2000]
seen["read in a list"] = read_list_user.sync("lax", "alice", client=imago).user_id
seen["read nobody"] = read_user.sync("carol", client=imago).status
first = read_users.sync(client=imago, limit=1)
second = read_users.sync(client=imago, cursor=first.cursor)
seen["pages"] = [listed(first), listed(second), second.cursor is UNSET]
seen["pages of lists"] = [listed(read_page_of_lax.sync(client=imago)), listed(read_page_of_strict_1.sync(client=imago))]

detected = detect.sync(client=imago, body=m.Enrolment(face=own))
seen["detect"] = [len(detected.faces), detected.faces[0].turn, len(detected.faces[0].landmarks), detected.quality, detected.codes]
seen["calibration"] = list_calibration.sync("lax", client=imago).threshold
seen["collections"] = [one.name for one in collections.sync(client=imago).collections]

at = datetime(2099, 12, 31, 23, 30, tzinfo=timezone.utc)
seen["replace"] = status(replace_user.sync_detailed("alice", client=imago, body=m.Enrolment(face=other, expires_at=at)))
seen["expiry"] = [read_user.sync("alice", client=imago).expires_at == at, read_user.sync("bob", client=imago).expires_at is UNSET]
# Of the two types of this answer, the client knows the first, a text.
explained = m.Enrolled.from_dict(json.loads(add_face.sync("alice", client=imago, body=m.Enrolment(face=own, explain=True))))
seen["explain"] = [
    explained.face_id in [one.face_id for one in read_user.sync("alice", client=imago).faces],
    explained.explanation.faces,
    search.sync(client=imago, body=m.Search(face=own, explain=True)).explanation.quality,
    search_list.sync("strict-1", client=imago, body=m.Search(face=own, explain=True)).explanation.turn,
]
seen["remove a face"] = [
    status(remove_face.sync_detailed("alice", explained.face_id, client=imago)),
    status(remove_face.sync_detailed("alice", explained.face_id, client=imago)),
    status(remove_list_face.sync_detailed("lax", "alice", "none", client=imago)),
]
seen["unenrol"] = status(unenrol.sync_detailed("alice", client=imago))
seen["unenrol again"] = unenrol.sync("alice", client=imago).title
seen["unenrol from lists"] = [status(unenrol_from_list.sync_detailed(name, "alice", client=imago)) for name in ["lax", "strict-1"]]
print(json.dumps(seen))
