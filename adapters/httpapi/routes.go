package httpapi

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"imago/adapters/httpapi/body"
	"imago/ports"
)

// handler answers one request. An error stands for an answer that has not been
// begun.
type handler func(x *exchange, r *http.Request) error

// route is a row of the table of everything that is served.
type route struct {
	method  string
	pattern string // of http.ServeMux, without method
	serve   handler
}

// apiRoutes are the paths of the reference and, in its style, those that show
// users, change their faces and look at pictures. They need a key, but for the
// description and the console.
func apiRoutes(o Options, a *access) []route {
	p, u, timeout := newPictures(o, a.collections), users{o.Gallery, a.collections}, o.Server.Timeouts.Request
	s := search{gallery: o.Gallery, maxFalseMatch: o.Search.MaxFalseMatch, searched: o.Searched, best: o.Best}

	enrol := a.onCollection("enrol", ports.OpEnrol, p.receive(body.EnrolFields, u.change(o.Gallery.Enrol)))
	replace := a.onCollection("replace", ports.OpEnrol, p.receive(body.EnrolFields, u.change(o.Gallery.Replace)))
	addFace := a.onCollection("add_face", ports.OpEnrol, p.receive(body.EnrolFields, u.change(o.Gallery.AddFace)))
	unenrol := a.onCollection("unenrol", ports.OpUnenrol, within(timeout, u.unenrol))
	removeFace := a.onCollection("remove_face", ports.OpUnenrol, within(timeout, u.unenrol))
	show := a.onCollection("read", ports.OpRead, within(timeout, u.show))
	list := a.onCollection("list", ports.OpRead, within(timeout, u.list))
	find := a.onCollection("search", ports.OpSearch, p.receive(body.SearchFields, s.search))
	findAll := a.withKey("search_faces", ports.OpSearch, mayDetect, p.receive(body.FacesFields, s.searchFaces))
	compare := a.onCollection("verify", ports.OpSearch, p.receive(body.VerifyFields, verify{o.Gallery, o.Verified}.serve))
	calibration := a.onCollection("calibration", ports.OpSearch, within(timeout, s.calibration))
	detect := a.withKey("detect", ports.OpSearch, mayDetect, p.receive(body.PictureFields, o.Detect.serve))
	collections := a.withKey("collections", ports.OpRead, func(ports.Client) bool { return true }, a.collections.show)
	return []route{
		{http.MethodPost, "/users/{userId}", enrol},
		{http.MethodPost, "/users/{list}/{userId}", enrol},
		{http.MethodPost, "/users/search", find},
		{http.MethodPost, "/users/{list}/search", find},
		{http.MethodPost, "/users/{userId}/verify", compare},
		{http.MethodPost, "/users/{list}/{userId}/verify", compare},
		{http.MethodDelete, "/users/{userId}", unenrol},
		{http.MethodDelete, "/users/{list}/{userId}", unenrol},
		{http.MethodGet, "/users", list},
		{http.MethodGet, "/users/{userId}", a.userOrList(show, list)},
		{http.MethodGet, "/users/{list}/{userId}", show},
		{http.MethodPut, "/users/{userId}", replace},
		{http.MethodPut, "/users/{list}/{userId}", replace},
		{http.MethodPost, "/users/{userId}/faces", addFace},
		{http.MethodPost, "/users/{list}/{userId}/faces", addFace},
		{http.MethodDelete, patternFace, removeFace},
		{http.MethodDelete, "/users/{list}/{userId}/faces/{faceId}", removeFace},
		{http.MethodPost, "/faces/detect", detect},
		{http.MethodPost, "/faces/search", findAll},
		{http.MethodGet, "/collections", collections},
		{http.MethodGet, "/calibration", calibration},
		{http.MethodGet, "/calibration/{list}", calibration},
		{http.MethodGet, "/openapi.yaml", describeAPI(o.Lists)},
		{http.MethodGet, "/console", o.Console.serve},
		{http.MethodGet, "/console/{file}", o.Console.serve},
	}
}

// userOrList serves GET /users/{userId}: the name of a list, which cannot be a
// user's ID, stands for the users of that list.
func (a *access) userOrList(user, list handler) handler {
	return func(x *exchange, r *http.Request) error {
		name := r.PathValue("userId")
		if _, ok := a.collections.list(name); !ok {
			return user(x, r)
		}
		r.SetPathValue("list", name)
		r.SetPathValue("userId", "")
		return list(x, r)
	}
}

// patternFace is served before all others, because http.ServeMux takes no two patterns of
// which neither is more specific: /users/a/faces/faces is that of a list's user, too. The word
// faces is reserved, so that no list has a user of that name.
const patternFace = "/users/{userId}/faces/{faceId}"

// The paths of operations.
const (
	patternHealth  = "/healthz"
	patternReady   = "/readyz"
	patternMetrics = "/metrics"
)

// routes are for those who run imago. They need no key and are not counted
// against the limit of requests in progress.
func (o *operations) routes(metrics handler) []route {
	return []route{
		{http.MethodGet, patternHealth, o.health},
		{http.MethodGet, patternReady, o.ready},
		{http.MethodGet, patternMetrics, metrics},
	}
}

// resource is one path: its handlers by method.
type resource map[string]handler

// handler builds the mux for a table of routes. Patterns have no methods in
// the mux, so that a wrong method is answered here, like everything else, with
// a problem object.
func (o *observer) handler(table []route) http.Handler {
	resources := make(map[string]resource)
	for _, row := range table {
		if resources[row.pattern] == nil {
			resources[row.pattern] = make(resource)
		}
		resources[row.pattern][row.method] = row.serve
	}
	faces, mux := http.NewServeMux(), http.NewServeMux()
	for pattern, res := range resources {
		to := mux
		if pattern == patternFace {
			to = faces
		}
		to.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			x := w.(*exchange)
			x.route = pattern
			o.serve(x, r, res.dispatch)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		o.serve(w.(*exchange), r, notFound)
	})
	faces.Handle("/", mux)
	return o.observe(func(x *exchange, r *http.Request) {
		if !isClean(r) {
			o.serve(x, r, notFound)
			return
		}
		faces.ServeHTTP(x, r)
	})
}

// isClean reports whether the mux takes the path as it is. It would answer a path
// with empty, "." or ".." segments with a redirect, and a client would repeat a
// DELETE somewhere else. Segments that are percent-encoded are data and clean.
func isClean(r *http.Request) bool {
	p := r.URL.EscapedPath()
	if r.RequestURI == "*" || !strings.HasPrefix(p, "/") {
		return false
	}
	cleaned := path.Clean(p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned == p
}

func notFound(*exchange, *http.Request) error { return errNoPath }

// dispatch calls the handler of the request's method. HEAD is GET; net/http
// leaves the body out.
func (res resource) dispatch(x *exchange, r *http.Request) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if h, ok := res[method]; ok {
		return h(x, r)
	}
	x.Header().Set("Allow", res.allow())
	return errMethodNotAllowed
}

// allow lists the methods for the Allow header.
func (res resource) allow() string {
	var methods []string
	for method := range res {
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
