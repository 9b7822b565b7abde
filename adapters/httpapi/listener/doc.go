// Package listener opens the sockets of the API, limits the connections on them and
// says which client a request comes from. A connection over the limit takes the place
// of one without work, so that nobody can shut others out by holding connections.
package listener
