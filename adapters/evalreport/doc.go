// Package evalreport shows what an evaluation measured, and what was found in a
// gallery: as text for a terminal, as JSON for programs, as charts, and as one
// HTML page that needs nothing beside itself and follows the reader's light or
// dark colours. It draws with gonum.org/v1/plot.
package evalreport
