// Package httpapi serves the HTTP API of imago: the paths, bodies and problem objects of
// the reference API over a gallery, built on net/http alone. It authenticates and
// authorises before it reads a body, limits the length of bodies, the time of every phase
// of a request and the number of requests in progress, and answers everything that is
// not a success with a problem object from one table. Health, readiness, metrics and the
// API's own description are served beside it or on a second listener.
//
// A request passes observer (headers, log, metrics, problem objects), access (key, scope,
// places), with a picture also pictures (memory, body, token), and then users, search,
// collections or DetectFunc. The packages below it open and limit the connections
// (listener), read bodies (body) and share memory and places among clients (fairlimit).
package httpapi
