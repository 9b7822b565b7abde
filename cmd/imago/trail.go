package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"time"

	"imago/adapters/audit"
	"imago/config"
	"imago/ports"
)

// What the audit log calls the commands that touch templates.
const (
	trailEnroll     = "enroll"
	trailExport     = "export"
	trailImport     = "import"
	trailUnenrol    = "operator_unenrol"
	trailMigrateOut = "migrate_out"
	trailMigrateIn  = "migrate_in"
)

// trail writes down what a command does to the gallery, in the audit log of the
// configuration: a line before it, and one for each collection after it.
type trail struct {
	log       *audit.Log
	required  bool
	operation string
	began     time.Time
	id        string // of the run, in all of its lines
	warnings  io.Writer

	// user is whom the command is about, and of where; empty for no single user.
	user struct{ collection, id string }
}

// beginTrail announces a command. Where audit.required is set, an error means
// that it must not be done.
func beginTrail(ctx context.Context, cfg config.Audit, operation, collection string, warnings io.Writer) (*trail, error) {
	return newTrail(cfg, operation, warnings).begin(ctx, collection)
}

// beginTrailOf is beginTrail for a command about one user.
func beginTrailOf(ctx context.Context, cfg config.Audit, operation, collection, userID string, warnings io.Writer) (*trail, error) {
	t := newTrail(cfg, operation, warnings)
	t.user.collection, t.user.id = collection, userID
	return t.begin(ctx, collection)
}

func newTrail(cfg config.Audit, operation string, warnings io.Writer) *trail {
	return &trail{
		log: audit.NewForCommand(cfg), required: cfg.Required, operation: operation,
		began: time.Now(), id: rand.Text(), warnings: warnings,
	}
}

func (t *trail) begin(ctx context.Context, collection string) (*trail, error) {
	err := t.log.Start(ctx)
	if err == nil {
		err = t.write(ports.AuditIntent, collection, 0)
	}
	if err == nil || !t.required {
		return t, t.warn(err)
	}
	return nil, fmt.Errorf("nothing was done, because audit.required is set and its line cannot be written: %w", errors.Join(err, t.log.Close(ctx)))
}

// touched is how many faces of a collection a command has read or written, and
// whether it has left some out.
type touched struct {
	collection string
	faces      int
	partial    bool
}

// conclude writes what became of the collections, and that the command failed if
// it did. What it did stays done: an error says that it is not in the log.
func (t *trail) conclude(ctx context.Context, all []touched, failed error) error {
	var unwritten []error
	for _, one := range all {
		var reasons []string
		if one.partial {
			reasons = []string{"partial"}
		}
		unwritten = append(unwritten, t.write(ports.AuditOutcome, one.collection, one.faces, reasons...))
	}
	switch {
	case failed == nil:
	case ctx.Err() != nil:
		unwritten = append(unwritten, t.write(ports.AuditOutcome, t.user.collection, 0, "interrupted"))
	default:
		unwritten = append(unwritten, t.write(ports.AuditOutcome, t.user.collection, 0, "failed"))
	}
	return t.warn(errors.Join(append(unwritten, t.log.Close(context.WithoutCancel(ctx)))...))
}

func (t *trail) write(phase, collection string, faces int, reasons ...string) error {
	return t.log.Write(ports.AuditEntry{
		Time: t.began, Phase: phase, RequestID: t.id, Client: account(), Address: "command line",
		Operation: t.operation, Collection: collection, UserID: t.user.id, Faces: faces, Reasons: reasons, Duration: time.Since(t.began),
	})
}

// warn makes a line that cannot be written an error where it must be, and a
// warning elsewhere.
func (t *trail) warn(err error) error {
	if err == nil || t.required {
		return err
	}
	fmt.Fprintln(t.warnings, "warning: not in the audit log:", err)
	return nil
}

// account is who runs the command, after the names of keys that API clients have.
func account() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "account:" + u.Username
	}
	return fmt.Sprintf("account:%d", os.Getuid())
}
