// Package certificate provides the certificate of a TLS server and the authorities of its
// clients' certificates. It reloads their files when they change and on request; each new
// connection uses the current ones. Files that cannot be used, or do not match each other,
// leave the current ones in place. The protocol settings are Go's defaults, with a
// configurable minimum version.
package certificate
