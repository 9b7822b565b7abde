// Package telemetry measures imago for Prometheus, in a registry of its own:
// requests by route, the stages between a picture and its answer by decorators
// over the ports, the number of users by asking the store, and the process
// itself. Every label has few values, whatever clients send. The same decorators
// make the spans of OpenTelemetry traces, which hold no personal data.
package telemetry
