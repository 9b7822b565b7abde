// Package telemetry exports imago's metrics to Prometheus from a registry of its own:
// requests by route, the stages of a request by decorators over the ports, the number
// of users by counting in the store at each scrape, and the process itself. Every label
// has low cardinality, whatever clients send. The same decorators record the spans of
// OpenTelemetry traces, which hold no personal data.
package telemetry
