// Package naming holds the rules for names and IDs: those of users, collections
// and clients, and the words that are reserved in paths. The API, the commands,
// the configuration and the stores' guard all ask here. It imports nothing of
// imago; the text of its errors may be shown to a client.
package naming
