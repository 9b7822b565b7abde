// Package certificate keeps the certificate of a TLS server, and the authorities
// that its clients' certificates are checked against, up to date: it reads their
// files again when they change or when it is told to, and hands each new
// connection what was read last. Files that cannot be used, or that do not belong
// together, leave in force what was read before. The protocol's settings are
// Go's safe ones, with the oldest version to be chosen.
package certificate
