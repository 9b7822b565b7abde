// Package evalreport shows what an evaluation measured: as text for a terminal,
// as JSON for programs, as charts (PNG), and as one HTML page that needs nothing
// beside itself and follows the reader's light or dark colours. It draws with
// gonum.org/v1/plot and knows nothing of how the figures came about.
package evalreport
