package httpapi

import (
	"net/http"
	"path"
	"slices"
	"strings"

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
func (s *Server) apiRoutes() []route {
	enrol, search, unenrol := s.api(ports.OpEnrol, s.reserved(s.enrol)), s.api(ports.OpSearch, s.reserved(s.search)), s.api(ports.OpUnenrol, s.unenrol)
	replace, addFace := s.api(ports.OpEnrol, s.reserved(s.replace)), s.api(ports.OpEnrol, s.reserved(s.addFace))
	return []route{
		{http.MethodPost, "/users/{userId}", enrol},
		{http.MethodPost, "/users/{list}/{userId}", enrol},
		{http.MethodPost, "/users/search", search},
		{http.MethodPost, "/users/{list}/search", search},
		{http.MethodDelete, "/users/{userId}", unenrol},
		{http.MethodDelete, "/users/{list}/{userId}", unenrol},
		{http.MethodGet, "/users", s.api(ports.OpRead, s.users)},
		{http.MethodGet, "/users/{userId}", s.userOrList()},
		{http.MethodGet, "/users/{list}/{userId}", s.api(ports.OpRead, s.user)},
		{http.MethodPut, "/users/{userId}", replace},
		{http.MethodPut, "/users/{list}/{userId}", replace},
		{http.MethodPost, "/users/{userId}/faces", addFace},
		{http.MethodPost, "/users/{list}/{userId}/faces", addFace},
		{http.MethodPost, patternDetect, s.audited(ports.OpSearch, s.admit(ports.OpSearch, s.reserved(s.detectFaces), mayDetect))},
		{http.MethodGet, patternCollections, s.audited(ports.OpRead, s.admit(ports.OpRead, s.collections, anyKey))},
		{http.MethodGet, patternCalibration, s.audited(ports.OpSearch, s.admit(ports.OpSearch, s.assessThreshold, s.ofList))},
		{http.MethodGet, patternCalibration + "/{list}", s.audited(ports.OpSearch, s.admit(ports.OpSearch, s.assessThreshold, s.ofList))},
		{http.MethodGet, "/openapi.yaml", serveOpenAPI},
		{http.MethodGet, "/console", s.serveConsole},
		{http.MethodGet, "/console/{file}", s.serveConsole},
	}
}

// opsRoutes are for those who run imago. They need no key and are not counted
// against the limit of requests in progress.
func (s *Server) opsRoutes(metrics handler) []route {
	return []route{
		{http.MethodGet, "/healthz", serveHealth},
		{http.MethodGet, "/readyz", s.serveReady},
		{http.MethodGet, "/metrics", metrics},
	}
}

// resource is one path: its handlers by method.
type resource map[string]handler

// newHandler builds the mux for a table of routes. Patterns have no methods in
// the mux, so that a wrong method is answered here, like everything else, with
// a problem object.
func (s *Server) newHandler(table []route) http.Handler {
	resources := make(map[string]resource)
	for _, row := range table {
		if resources[row.pattern] == nil {
			resources[row.pattern] = make(resource)
		}
		resources[row.pattern][row.method] = row.serve
	}
	mux := http.NewServeMux()
	for pattern, res := range resources {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			x := w.(*exchange)
			x.route = pattern
			s.serve(x, r, res.dispatch)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(w.(*exchange), r, notFound)
	})
	return s.observe(func(x *exchange, r *http.Request) {
		if !clean(r) {
			s.serve(x, r, notFound)
			return
		}
		mux.ServeHTTP(x, r)
	})
}

// serve is where every handler's error becomes an answer.
func (s *Server) serve(x *exchange, r *http.Request, h handler) {
	if err := h(x, r); err != nil {
		s.fail(x, r, err)
	}
}

// clean reports whether the mux takes the path as it is. It would answer a path
// with empty, "." or ".." segments with a redirect, and a client would repeat a
// DELETE somewhere else. Segments that are percent-encoded are data and clean.
func clean(r *http.Request) bool {
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
