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

	"github.com/spf13/cobra"

	"imago/adapters/audit"
	"imago/config"
	"imago/ports"
)

// The operations of commands in the audit log.
const (
	auditBackup     = "backup"
	auditDuplicates = "duplicates"
	auditEnrol      = "enroll"
	auditExport     = "export"
	auditImport     = "import"
	auditUnenrol    = "operator_unenrol"
	auditMigrateOut = "migrate_out"
	auditMigrateIn  = "migrate_in"
	auditReembedOut = "reembed_out"
	auditReembedIn  = "reembed_in"
)

// operation is what the audit log says of a command: its name, and the collection and
// the user that it concerns, where it concerns one.
type operation struct{ name, collection, userID string }

// commandAudit writes the entries of one command: its intent, and afterwards an outcome
// for each collection.
type commandAudit struct {
	operation
	log      *audit.Log
	required bool
	began    time.Time
	id       string // in all entries of the run
	warnings io.Writer
}

// startAudit writes the intent. On an error, which there is only where audit.required
// is set, the command must not go on.
func startAudit(cmd *cobra.Command, cfg config.Audit, o operation) (*commandAudit, error) {
	a := &commandAudit{
		operation: o, log: audit.NewForCommand(cfg), required: cfg.Required,
		began: time.Now(), id: rand.Text(), warnings: cmd.ErrOrStderr(),
	}
	err := a.log.Start(cmd.Context())
	if err == nil {
		err = a.write(ports.AuditIntent, o.collection, 0)
	}
	if err != nil && a.required {
		return nil, fmt.Errorf("nothing was done: audit.required is set, and the audit entry cannot be written: %w", errors.Join(err, a.log.Close(cmd.Context())))
	}
	return a, a.check(err)
}

// affected is the number of faces of a collection that a command has read or written.
// It is partial if the command skipped others.
type affected struct {
	collection string
	faces      int
	partial    bool
}

// finish writes the outcomes, and one more if the command failed. It returns failed
// with the errors of writing the log.
func (a *commandAudit) finish(ctx context.Context, failed error, all ...affected) error {
	var errs []error
	for _, one := range all {
		var reasons []string
		if one.partial {
			reasons = []string{"partial"}
		}
		errs = append(errs, a.write(ports.AuditOutcome, one.collection, one.faces, reasons...))
	}
	if failed != nil {
		reason, collection := "failed", ""
		if ctx.Err() != nil {
			reason = "interrupted"
		}
		if a.userID != "" {
			collection = a.collection
		}
		errs = append(errs, a.write(ports.AuditOutcome, collection, 0, reason))
	}
	return errors.Join(failed, a.check(errors.Join(append(errs, a.log.Close(context.WithoutCancel(ctx)))...)))
}

func (a *commandAudit) write(phase, collection string, faces int, reasons ...string) error {
	return a.log.Write(ports.AuditEntry{
		Time: a.began, Phase: phase, RequestID: a.id, Client: account(), Address: "command line",
		Operation: a.name, Collection: collection, UserID: a.userID, Faces: faces, Reasons: reasons, Duration: time.Since(a.began),
	})
}

// check returns an error of the log where audit.required is set, and prints a warning
// elsewhere.
func (a *commandAudit) check(err error) error {
	if err == nil || a.required {
		return err
	}
	fmt.Fprintln(a.warnings, "warning: cannot write audit entry:", err)
	return nil
}

// account names who runs the command, where requests have the name of an API client.
func account() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "account:" + u.Username
	}
	return fmt.Sprintf("account:%d", os.Getuid())
}
