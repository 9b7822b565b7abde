package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"imago/adapters/httpapi/listener"
	"imago/ports"
)

// Audit is where operations on the gallery are recorded.
type Audit struct {
	// Write returns once the entry is written (durably, with audit.sync); nil for no
	// audit log. It must be safe for concurrent use.
	Write func(ports.AuditEntry) error
	// Required refuses a change whose intent cannot be written, and withholds
	// every answer whose outcome cannot be, but that to a change that was made.
	Required bool
}

// audited records the outcome of next, which performs an operation on a collection.
func (a *Audit) audited(operation string, collection func(*http.Request) string, next handler) handler {
	if a.Write == nil {
		return next
	}
	return func(x *exchange, r *http.Request) error {
		x.audit = a
		x.entry = ports.AuditEntry{
			Address: listener.Text(x.from), Operation: operation, Collection: collection(r), UserID: r.PathValue("userId"), FaceID: r.PathValue("faceId"),
		}
		return next(x, r)
	}
}

// auditIntent records that a change is about to be made, if none may happen without a
// record. After an error it must not be made.
func (x *exchange) auditIntent() error {
	if x.audit == nil || !x.audit.Required {
		return nil
	}
	return x.writeAudit(ports.AuditIntent, 0)
}

// auditOutcome records that a change was made. It cannot be undone, so the
// answer is the same when that fails.
func (x *exchange) auditOutcome() {
	if x.audit != nil {
		_ = x.writeAudit(ports.AuditOutcome, http.StatusOK)
		x.audit = nil
	}
}

// auditAnswer records what is about to be shown of users. After an error it must not be
// shown.
func (x *exchange) auditAnswer() error { return x.auditLast(http.StatusOK) }

// auditRefusal records a refusal. After an error the client must not even see that. A
// request that is rejected unread, because of overload or a rate limit, is not recorded:
// it costs its sender nothing and would fill the disk.
func (x *exchange) auditRefusal(m errorMapping) error {
	if m.kind == ports.ErrRateLimited || x.client == "" && m.kind == ports.ErrOverloaded {
		return nil
	}
	x.entry.Reasons = x.reasons
	return x.auditLast(m.status)
}

// auditLast records an outcome, behind which nothing is recorded any more.
func (x *exchange) auditLast(status int) error {
	if x.audit == nil {
		return nil
	}
	required := x.audit.Required
	err := x.writeAudit(ports.AuditOutcome, status)
	x.audit = nil
	if required {
		return err
	}
	return nil
}

// writeAudit completes the entry and writes it. A failure is logged here, once.
func (x *exchange) writeAudit(phase string, status int) error {
	e := x.entry
	e.Time, e.Duration, e.Phase, e.Status = x.start, time.Since(x.start), phase, status
	e.RequestID, e.TraceID, e.Client = x.id, x.trace, x.client
	err := x.audit.Write(e)
	if err == nil {
		return nil
	}
	x.log.Log(context.Background(), levelOf(err, slog.LevelError), "cannot write audit entry", "operation", e.Operation, "phase", phase, "status", status, "error", err)
	return errors.Join(errNoAudit, err)
}
