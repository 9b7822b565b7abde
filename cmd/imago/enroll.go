package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"imago/config"
	"imago/config/regularfile"
	"imago/core/bulk"
	"imago/core/gallery"
	"imago/core/retry"
	"imago/ports"
)

const (
	// enrollAhead is how many users more than pictures are in work, so that
	// inference goes on while others wait for the disk or the store.
	enrollAhead = 16
	// enrollOwner is the owner of what is enrolled where no client is named.
	enrollOwner = "enroll"
	// shownRefusals is how many refusals the terminal shows.
	shownRefusals = 20
)

// enrollment is what the command line of `imago enroll` says.
type enrollment struct {
	dir, collection, client, report string
	workers                         int
	add                             bool
	format                          string
}

func enrollCommand() *cobra.Command {
	var e enrollment
	cmd := &cobra.Command{
		Use:   "enroll DIR",
		Short: "Enrol the pictures of a folder",
		Long: "Enrols every picture DIR/userId.jpg, also with any other extension of a picture or\n" +
			"none, and every picture in a folder DIR/userId, several pictures of a user as\n" +
			"further faces. The content of a file tells whether it is a JPEG or PNG picture,\n" +
			"whatever it is called. The quality gate holds as it does for the API. Hidden files\n" +
			"are passed over, symbolic links are not followed.\n\n" +
			"The command can be repeated at any time: pictures that are enrolled are passed\n" +
			"over, new ones are added. A user who is enrolled with none of the pictures is\n" +
			"refused (\"provided userId already exists\") unless --add is given. A picture that\n" +
			"was taken out of the folder stays enrolled.\n\n" +
			"Every file that was not enrolled is in the report, one JSON object a line:\n" +
			"{\"path\", \"userId\", \"reason\"}.\n\n" +
			"Exit code 0 means that everything is enrolled, 3 that it is done but for what was\n" +
			"refused, 4 that the store does not answer.",
		Example: "  imago enroll --config config/pgvector.yaml --report refusals.jsonl pictures/\n" +
			"  imago enroll --collection blacklist --client gateway pictures/",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.dir = args[0]
			return e.run(cmd)
		},
	}
	cmd.Flags().StringVar(&e.collection, "collection", gallery.Inventory, "collection to enrol in")
	cmd.Flags().StringVar(&e.client, "client", "", "API client that owns the faces; required for a shared collection (default "+enrollOwner+")")
	cmd.Flags().IntVar(&e.workers, "workers", 0, "pictures worked on at once (default inference.workers)")
	cmd.Flags().StringVar(&e.report, "report", "", "file for the refusals, as JSON Lines")
	cmd.Flags().BoolVar(&e.add, "add", false, "add pictures to users who are enrolled with other faces")
	formatFlag(cmd, &e.format)
	completeFlag(cmd, "collection", configuredCollections)
	cmd.ValidArgsFunction = first(folders)
	return cmd
}

func (e enrollment) run(cmd *cobra.Command) (err error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if err := e.check(cfg); err != nil {
		return err
	}
	if _, err := accessStore(cfg); err != nil {
		return err
	}
	root, err := regularfile.OpenRoot(e.dir)
	if err != nil {
		return usageError{err}
	}
	defer root.Close()
	report, err := newRefusals(e.report)
	if err != nil {
		return usageError{err}
	}
	defer func() { err = errors.Join(err, report.close()) }()

	g, stop, err := e.open(cmd.Context(), &cfg)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer func() { err = errors.Join(err, stop()) }()
	trail, err := beginTrail(cmd.Context(), cfg.Audit, trailEnroll, e.collection, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	tally, err := e.enrol(cmd.Context(), cfg, root, g, report)
	err = errors.Join(err, trail.conclude(cmd.Context(), []touched{{e.collection, tally.Enrolled, tally.Refused > 0}}, err))
	return errors.Join(repeatable(err), e.conclude(cmd, tally, report, err == nil))
}

// check refuses what cannot be meant.
func (e enrollment) check(cfg config.Config) error {
	if !slices.Contains(collectionNames(cfg), e.collection) {
		return usageError{fmt.Errorf("--collection: the configuration has no collection %q", e.collection)}
	}
	shared := slices.ContainsFunc(cfg.Collections, func(c config.Collection) bool { return c.Name == e.collection && c.Shared })
	if shared && e.client == "" {
		return usageError{fmt.Errorf("--client is required: %s is shared, and only the client that enrolled a user sees and unenrols it", e.collection)}
	}
	if e.workers < 0 || e.workers > 1024 {
		return usageError{errors.New("--workers must be 1 to 1024")}
	}
	return nil
}

// open starts the pipeline and the store. It sizes the inference for the run.
func (e enrollment) open(ctx context.Context, cfg *config.Config) (*gallery.Gallery, func() error, error) {
	models, err := findModels(cfg.Models)
	if err != nil {
		return nil, nil, err
	}
	cfg.Inference.Workers = cmp.Or(e.workers, cfg.Inference.Workers, runtime.GOMAXPROCS(0))
	cfg.Inference.Queue = max(cfg.Inference.Queue, enrollAhead)
	var g *gallery.Gallery
	app := fx.New(pipeline(*cfg, models, quietLogger(cfg.Log)), fx.Populate(&g))
	stop, err := startApp(ctx, app)
	allowOverlap()
	return g, stop, err
}

func (e enrollment) enrol(ctx context.Context, cfg config.Config, root *os.Root, g *gallery.Gallery, report *refusals) (bulk.Tally, error) {
	bar := newProgress("enroll")
	defer bar.close()
	return bulk.Enrol(ctx, root.FS(), g, bulk.Options{
		Collection: e.collection, Client: ports.Client{Name: cmp.Or(e.client, enrollOwner)},
		Workers: cfg.Inference.Workers + enrollAhead, ImageBytes: cfg.Server.Limits.ImageBytes,
		Extend: e.add, Retry: retry.Default, Refused: report.add,
		Progress: func(t bulk.Tally) { bar.detail(t.UsersDone, t.Users, words(t)) },
	})
}

func words(t bulk.Tally) string {
	return fmt.Sprintf("%d enrolled, %d there already, %d refused", t.Enrolled, t.Present, t.Refused)
}

// conclude prints what became of the folder. Refusals are an error of their own
// where the run got to its end.
func (e enrollment) conclude(cmd *cobra.Command, t bulk.Tally, report *refusals, complete bool) error {
	for _, r := range report.first {
		fmt.Fprintf(cmd.ErrOrStderr(), "refused: %q: %s\n", r.Path, r.Reason)
	}
	if more := t.Refused - len(report.first); more > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "refused: %d more\n", more)
	}
	if err := e.print(cmd, t, complete); err != nil {
		return err
	}
	switch {
	case t.Refused == 0 || !complete:
		return nil
	case e.report == "":
		return partialError{fmt.Errorf("%d files were refused; --report FILE keeps the reasons", t.Refused)}
	}
	return partialError{fmt.Errorf("%d files were refused; the reasons are in %s", t.Refused, e.report)}
}

// print prints the numbers.
func (e enrollment) print(cmd *cobra.Command, t bulk.Tally, complete bool) error {
	if e.format == "json" {
		return printJSON(cmd.OutOrStdout(), enrollmentResult{e.collection, t.Users, t.Enrolled, t.Present, t.Refused, complete})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: users %d: %s\n", e.collection, t.Users, words(t))
	return err
}

// enrollmentResult is the result in JSON; but for the users, the numbers are of
// pictures.
type enrollmentResult struct {
	Collection string `json:"collection"`
	Users      int    `json:"users"`
	Enrolled   int    `json:"enrolled"`
	Present    int    `json:"present"`
	Refused    int    `json:"refused"`
	Complete   bool   `json:"complete"` // the run got to its end
}

// refusals is the report of a run: a file, where one is wanted, and the first
// few for the terminal. Calls do not overlap.
type refusals struct {
	first []bulk.Refusal
	file  *os.File // nil for none
	lines *json.Encoder
}

// newRefusals begins a report, which replaces an earlier one of that name. It is
// for the owner alone: user IDs are personal data.
func newRefusals(path string) (*refusals, error) {
	r := &refusals{lines: json.NewEncoder(io.Discard)}
	if path != "" {
		file, err := regularfile.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		r.file, r.lines = file, json.NewEncoder(file)
	}
	r.lines.SetEscapeHTML(false)
	return r, nil
}

// add writes a refusal at once, so that an interrupted run has told what it knew.
func (r *refusals) add(refusal bulk.Refusal) error {
	if len(r.first) < shownRefusals {
		r.first = append(r.first, refusal)
	}
	return r.lines.Encode(struct {
		Path   string `json:"path"`
		UserID string `json:"userId"`
		Reason string `json:"reason"`
	}{refusal.Path, refusal.UserID, refusal.Reason})
}

func (r *refusals) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
