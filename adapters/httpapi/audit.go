package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"imago/ports"
)

// Audit is where operations on the gallery are written down.
type Audit struct {
	// Write returns when an entry is as safe as it is to be; nil for no audit
	// log. It must be safe for concurrent use.
	Write func(ports.AuditEntry) error
	// Required refuses a change whose intent cannot be written, and withholds
	// every answer whose outcome cannot be, but that to a change that was made.
	Required bool
}

// audited has what becomes of a request written down.
func (s *Server) audited(op ports.Operation, next handler) handler {
	if s.audit.Write == nil {
		return next
	}
	return func(x *exchange, r *http.Request) error {
		x.audits = true
		x.entry = ports.AuditEntry{
			Address: nameOf(x.from), Operation: operationName(op, r),
			Collection: r.PathValue("list"), UserID: r.PathValue("userId"),
		}
		if x.entry.Collection == "" && !ofNoCollection(r.Pattern) {
			x.entry.Collection = inventory
		}
		return next(x, r)
	}
}

// operationName tells apart what needs the same permission.
func operationName(op ports.Operation, r *http.Request) string {
	switch {
	case r.Pattern == patternDetect:
		return "detect"
	case r.Pattern == patternCollections:
		return "collections"
	case strings.HasPrefix(r.Pattern, patternCalibration):
		return "calibration"
	case r.Method == http.MethodPut:
		return "replace"
	case op == ports.OpEnrol && strings.HasSuffix(r.Pattern, "/faces"):
		return "add_face"
	case op == ports.OpRead && r.PathValue("userId") == "":
		return "list"
	}
	return string(op)
}

// The paths of what is audited under a name of its own.
const (
	patternDetect      = "/faces/detect"
	patternCollections = "/collections"
	patternCalibration = "/calibration"
)

// ofNoCollection reports whether a path is about none rather than the inventory.
func ofNoCollection(pattern string) bool {
	return pattern == patternDetect || pattern == patternCollections
}

// announce writes down that a change is about to be made, where no change may
// happen without a line. An error means that it must not be made.
func (s *Server) announce(x *exchange) error {
	if !x.audits || !s.audit.Required {
		return nil
	}
	return s.write(x, ports.AuditIntent, 0)
}

// conclude writes down that a change was made. It cannot be undone, so the
// answer is the same when that fails.
func (s *Server) conclude(x *exchange) {
	if x.audits {
		x.audits = false
		_ = s.write(x, ports.AuditOutcome, http.StatusOK)
	}
}

// disclose writes down what is about to be told of users. An error means that
// it must not be told.
func (s *Server) disclose(x *exchange) error {
	if !x.audits {
		return nil
	}
	x.audits = false
	if err := s.write(x, ports.AuditOutcome, http.StatusOK); err != nil && s.audit.Required {
		return err
	}
	return nil
}

// deny writes down a refusal. An error means that the client must not even be
// told what it is. What is turned away before anybody looks at it, for want of
// room or because it came too often, is not recorded: it costs the caller nothing
// and would fill the disk.
func (s *Server) deny(x *exchange, v verdict) error {
	if !x.audits || v.kind == ports.ErrRateLimited || x.client == "" && v.kind == ports.ErrOverloaded {
		return nil
	}
	x.audits = false
	x.entry.Reasons = x.reasons
	if err := s.write(x, ports.AuditOutcome, v.status); err != nil && s.audit.Required {
		return err
	}
	return nil
}

// write completes the entry. That it could not be written is logged here, once.
func (s *Server) write(x *exchange, phase string, status int) error {
	e := x.entry
	e.Time, e.Duration, e.Phase, e.Status = x.start, time.Since(x.start), phase, status
	e.RequestID, e.TraceID, e.Client = x.id, x.trace, x.client
	err := s.audit.Write(e)
	if err == nil {
		return nil
	}
	s.logger(x).Error("audit line not written", "operation", e.Operation, "phase", phase, "status", status, "error", err)
	return errors.Join(errNoAudit, err)
}
