// Package config is the one place where imago's settings live: plain structs
// with their defaults, the strict loader (defaults, then YAML, then
// environment, then validation that reports every problem at once), the model
// manifests, and the YAML files that ship. It is a leaf: adapters receive their
// own sub-struct and never see the rest.
package config
