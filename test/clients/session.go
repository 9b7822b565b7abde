// Command clients goes through a session of a program's with imago, by a client that
// oapi-codegen generates into this folder's copy. It prints what it was answered, as one
// JSON object, and session.py prints the same by a generated Python client. The module
// is its own so that the generators and their libraries are none of imago's.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/oapi-codegen/runtime" // the generated client needs it and
	"go.yaml.in/yaml/v3"              // this
)

var (
	_ = runtime.MarshalForm
	_ = yaml.Marshal
)

func main() {
	url, key := os.Args[1], os.Args[2]
	own, other := read(os.Args[3]), read(os.Args[4])
	imago := must(NewClientWithResponses(url, WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-Api-Key", key)
		return nil
	})))
	ctx, seen := context.Background(), map[string]any{}

	seen["enrol"] = must(imago.EnrolWithResponse(ctx, "alice", nil, EnrolJSONRequestBody{Face: own})).StatusCode()
	seen["enrol another"] = must(imago.EnrolWithResponse(ctx, "bob", nil, EnrolJSONRequestBody{Face: other})).StatusCode()
	seen["enrol again"] = *must(imago.EnrolWithResponse(ctx, "alice", nil, EnrolJSONRequestBody{Face: own})).JSON400.Errors
	seen["add a face"] = must(imago.AddFaceWithResponse(ctx, "alice", nil, AddFaceJSONRequestBody{Face: own})).StatusCode()
	for _, list := range []string{"lax", "strict-1"} {
		seen["enrol in "+list] = must(imago.EnrolInListWithResponse(ctx, list, "alice", nil, EnrolInListJSONRequestBody{Face: own})).StatusCode()
	}

	seen["search"] = (*must(imago.SearchWithResponse(ctx, nil, SearchJSONRequestBody{Face: own})).JSON200).userIDs()
	seen["search lax for another"] = (*must(imago.SearchListWithResponse(ctx, "lax", nil, SearchListJSONRequestBody{Face: other})).JSON200).userIDs()
	seen["search strict-1"] = must(imago.SearchListWithResponse(ctx, "strict-1", nil, SearchListJSONRequestBody{Face: own})).JSON404.Status
	prefersProblem := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Accept", "application/problem+json")
		return nil
	}
	seen["codes"] = must(imago.SearchListWithResponse(ctx, "strict-1", nil, SearchListJSONRequestBody{Face: own}, prefersProblem)).ApplicationproblemJSON404.Codes
	threshold, limit := 0.5, 1
	seen["search with a threshold and a limit"] = (*must(imago.SearchWithResponse(ctx, nil, SearchJSONRequestBody{Face: own, Threshold: &threshold, Limit: &limit})).JSON200).userIDs()

	verified := must(imago.VerifyWithResponse(ctx, "alice", nil, VerifyJSONRequestBody{Face: own})).JSON200
	inList := must(imago.VerifyInListWithResponse(ctx, "strict-1", "alice", nil, VerifyInListJSONRequestBody{Face: other, Threshold: &threshold})).JSON200
	seen["verify"] = []any{verified.Match, *verified.Similarity > 99, verified.Threshold, inList.Match, inList.Threshold}
	seen["verify nobody"] = must(imago.VerifyWithResponse(ctx, "carol", nil, VerifyJSONRequestBody{Face: own})).JSON404.Title

	several := must(imago.SearchFacesWithResponse(ctx, nil, SearchFacesJSONRequestBody{
		Face: own, Collections: []string{"users", "strict-1", "lax"}, Tracking: &Tracking{"operationId": 1},
	})).JSON200
	var found []any
	for _, r := range *several.Results {
		found = append(found, r.Collection, r.Threshold, len(r.Matches))
	}
	all := All
	every := must(imago.SearchFacesWithResponse(ctx, nil, SearchFacesJSONRequestBody{Face: own, Collections: []string{"users"}, Faces: &all})).JSON200
	seen["search several"] = []any{found, several.Faces == nil, len(*every.Faces), (*every.Faces)[0].Box.Width > 0, *(*every.Faces)[0].Results[0].Matches[0].UserId}

	alice := must(imago.ReadUserWithResponse(ctx, "alice", nil)).JSON200
	seen["read"] = []any{alice.UserId, len(alice.Faces), alice.Faces[0].EnrolledAt.IsZero()}
	seen["read in a list"] = must(imago.ReadListUserWithResponse(ctx, "lax", "alice", nil)).JSON200.UserId
	seen["read nobody"] = must(imago.ReadUserWithResponse(ctx, "carol", nil)).JSON404.Status
	one := 1
	first := must(imago.ReadUsersWithResponse(ctx, &ReadUsersParams{Limit: &one})).JSON200
	second := must(imago.ReadUsersWithResponse(ctx, &ReadUsersParams{Cursor: first.Cursor})).JSON200
	seen["pages"] = []any{first.userIDs(), second.userIDs(), second.Cursor == nil}
	seen["pages of lists"] = []any{
		must(imago.ReadPageOfLaxWithResponse(ctx, nil)).JSON200.userIDs(), must(imago.ReadPageOfStrict1WithResponse(ctx, nil)).JSON200.userIDs(),
	}

	detected := must(imago.DetectWithResponse(ctx, nil, DetectJSONRequestBody{Face: own})).JSON200
	seen["detect"] = []any{len(detected.Faces), detected.Faces[0].Turn, len(detected.Faces[0].Landmarks), detected.Quality, detected.Codes}
	seen["calibration"] = must(imago.ListCalibrationWithResponse(ctx, "lax", nil)).JSON200.Threshold
	var names []string
	for _, c := range must(imago.CollectionsWithResponse(ctx, nil)).JSON200.Collections {
		names = append(names, c.Name)
	}
	seen["collections"] = names

	at := time.Date(2099, 12, 31, 23, 30, 0, 0, time.UTC)
	seen["replace"] = must(imago.ReplaceUserWithResponse(ctx, "alice", nil, ReplaceUserJSONRequestBody{Face: other, ExpiresAt: &at})).StatusCode()
	seen["expiry"] = []any{
		must(imago.ReadUserWithResponse(ctx, "alice", nil)).JSON200.ExpiresAt.Equal(at), must(imago.ReadUserWithResponse(ctx, "bob", nil)).JSON200.ExpiresAt == nil,
	}
	explain := true
	explained := must(imago.AddFaceWithResponse(ctx, "alice", nil, AddFaceJSONRequestBody{Face: own, Explain: &explain})).JSON200
	faces := must(imago.ReadUserWithResponse(ctx, "alice", nil)).JSON200.Faces
	seen["explain"] = []any{
		slices.ContainsFunc(faces, func(f UserFace) bool { return f.FaceId == explained.FaceId }), explained.Explanation.Faces,
		must(imago.SearchWithResponse(ctx, nil, SearchJSONRequestBody{Face: own, Explain: &explain})).JSON200.Explanation.Quality,
		must(imago.SearchListWithResponse(ctx, "strict-1", nil, SearchListJSONRequestBody{Face: own, Explain: &explain})).JSON404.Explanation.Turn,
	}
	seen["remove a face"] = []int{
		must(imago.RemoveFaceWithResponse(ctx, "alice", explained.FaceId, nil)).StatusCode(),
		must(imago.RemoveFaceWithResponse(ctx, "alice", explained.FaceId, nil)).StatusCode(),
		must(imago.RemoveListFaceWithResponse(ctx, "lax", "alice", "none", nil)).StatusCode(),
	}
	seen["unenrol"] = must(imago.UnenrolWithResponse(ctx, "alice", nil)).StatusCode()
	seen["unenrol again"] = must(imago.UnenrolWithResponse(ctx, "alice", nil)).JSON404.Title
	seen["unenrol from lists"] = []int{
		must(imago.UnenrolFromListWithResponse(ctx, "lax", "alice", nil)).StatusCode(),
		must(imago.UnenrolFromListWithResponse(ctx, "strict-1", "alice", nil)).StatusCode(),
	}
	must(0, json.NewEncoder(os.Stdout).Encode(seen))
}

func read(path string) string { return base64.StdEncoding.EncodeToString(must(os.ReadFile(path))) }

func (m Matches) userIDs() (ids []string) {
	for _, one := range m.Matches {
		ids = append(ids, *one.UserId)
	}
	return ids
}

func (u Users) userIDs() (ids []string) {
	for _, one := range u.Users {
		ids = append(ids, one.UserId)
	}
	return ids
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Panic(err)
	}
	return value
}
