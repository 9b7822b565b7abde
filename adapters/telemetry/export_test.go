package telemetry

import "time"

// SetFlush bounds the sending of the last spans.
func (t *Tracing) SetFlush(d time.Duration) { t.flush = d }
