// Package httpapi is the HTTP face of imago: the paths, bodies and problem
// objects of the reference API over a gallery, built on net/http alone. It
// authenticates and authorises before it reads a body, reads no body past its
// cap, bounds every phase of a request in time and the number of requests in
// progress, and answers everything that is not a success with one problem
// object from one table. Health, readiness, metrics and the API's own
// description are served beside it or on a second listener.
package httpapi
