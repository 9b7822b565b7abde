package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"imago/cmd/imago/cli"
	"imago/config"
	"imago/config/regularfile"
	"imago/core/bulk"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/core/retry"
	"imago/ports"
)

const (
	// enrolAhead is how many more users than pictures are processed at a time, so that
	// inference goes on while others wait for the disk or the store.
	enrolAhead = 16
	// enrolOwner is the owner of what is enrolled where no client is named.
	enrolOwner = "enroll"
	// maxShownRefusals is how many refusals the terminal shows.
	maxShownRefusals = 20
)

// enrolFlags is what the command line of `imago enroll` says.
type enrolFlags struct {
	dir, collection, client, report string
	workers                         int
	add                             bool
	expires                         string
	expiresAt                       time.Time
	format                          string
}

func enrolCommand() *cobra.Command {
	var e enrolFlags
	cmd := &cobra.Command{
		Use: "enroll DIR", Aliases: []string{"enrol"},
		Short: "Enrol the pictures of a folder",
		Long: "Enrols every picture DIR/userId.jpg, with the extension of any picture format or none,\n" +
			"and every picture in a folder DIR/userId; further pictures of a user are further faces.\n" +
			"Whether a file is a JPEG or PNG picture is decided by its content. The quality gate\n" +
			"applies as in the API. Hidden files are skipped, symbolic links are not followed.\n\n" +
			"The command can be repeated: enrolled pictures are skipped, new ones are added. A user\n" +
			"who is enrolled with none of the pictures is refused (\"provided userId already exists\")\n" +
			"unless --add is given. A picture removed from the folder stays enrolled.\n\n" +
			"The report has every file that was not enrolled, one JSON object a line:\n" +
			"{\"path\", \"userId\", \"reason\"}.\n\n" +
			"Exit code 0 means that everything is enrolled, 3 that some files were refused, 4 that\n" +
			"the store does not answer.",
		Example: "  imago enroll --config config/pgvector.yaml --report refusals.jsonl pictures/\n" +
			"  imago enroll --collection blacklist --client gateway pictures/",
		Args: cobra.ExactArgs(1),
		RunE: withConfig(func(cmd *cobra.Command, args []string, cfg config.Config) error {
			e.dir = args[0]
			if err := e.readExpiry(); err != nil {
				return err
			}
			return e.run(cmd, cfg)
		}),
	}
	cmd.Flags().StringVar(&e.collection, "collection", naming.Inventory, "collection to enrol in")
	cmd.Flags().StringVar(&e.client, "client", "", "API client that owns the faces; required for a shared collection (default "+enrolOwner+")")
	cmd.Flags().IntVar(&e.workers, "workers", 0, "pictures processed at a time (default inference.workers)")
	cmd.Flags().StringVar(&e.report, "report", "", "file for the refusals, as JSON Lines")
	cmd.Flags().StringVar(&e.expires, "expires-at", "", "when the users expire, as in 2031-01-31T18:00:00Z; the collection's retention may end earlier")
	cmd.Flags().BoolVar(&e.add, "add", false, "add pictures to users who are enrolled with other faces")
	cli.FormatFlag(cmd, &e.format)
	cli.CompleteFlag(cmd, "collection", configuredCollections)
	cmd.ValidArgsFunction = cli.FirstArgument(cli.Folders())
	return cmd
}

// readExpiry reads --expires-at.
func (e *enrolFlags) readExpiry() (err error) {
	if e.expires == "" {
		return nil
	}
	if e.expiresAt, err = time.Parse(time.RFC3339, e.expires); err != nil {
		return cli.Usagef("--expires-at must be a date and time with a time zone such as 2031-01-31T18:00:00Z")
	}
	e.expiresAt = e.expiresAt.UTC().Truncate(time.Microsecond)
	if !e.expiresAt.After(time.Now()) {
		return cli.Usagef("--expires-at must be in the future")
	}
	return nil
}

func (e enrolFlags) run(cmd *cobra.Command, cfg config.Config) (err error) {
	if err := e.check(cfg); err != nil {
		return err
	}
	if _, err := accessStore(cfg); err != nil {
		return err
	}
	root, err := regularfile.OpenRoot(e.dir)
	if err != nil {
		return cli.Usage(err)
	}
	defer root.Close()
	report, err := newList[bulk.Refusal](e.report, maxShownRefusals)
	if err != nil {
		return cli.Usage(err)
	}
	defer func() { err = errors.Join(err, report.close()) }()

	g, app, err := e.open(cmd.Context(), &cfg)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer func() { err = errors.Join(err, stop(cmd.Context(), app, closeTimeout)) }()
	trail, err := startAudit(cmd, cfg.Audit, operation{name: auditEnrol, collection: e.collection})
	if err != nil {
		return err
	}
	tally, err := e.enrol(cmd.Context(), cfg, root, g, report)
	err = trail.finish(cmd.Context(), err, affected{e.collection, tally.Enrolled, tally.Refused > 0})
	return errors.Join(retryHint(err), e.finish(cmd, tally, report, err == nil))
}

// check validates the flags.
func (e enrolFlags) check(cfg config.Config) error {
	if !slices.Contains(collectionNames(cfg), e.collection) {
		return cli.Usagef("--collection: the configuration has no collection %q", e.collection)
	}
	shared := slices.ContainsFunc(cfg.Collections, func(c config.Collection) bool { return c.Name == e.collection && c.Shared })
	if shared && e.client == "" {
		return cli.Usagef("--client is required: %s is shared, and only the client that enrolled a user sees and unenrols it", e.collection)
	}
	return checkWorkers(e.workers, 0)
}

// open starts the pipeline and the store. It sizes the inference for the run.
func (e enrolFlags) open(ctx context.Context, cfg *config.Config) (*gallery.Gallery, *fx.App, error) {
	models, err := findModels(cfg.Models)
	if err != nil {
		return nil, nil, err
	}
	cfg.Inference.Workers = cmp.Or(e.workers, cfg.Inference.Workers, runtime.GOMAXPROCS(0))
	cfg.Inference.Queue = max(cfg.Inference.Queue, enrolAhead)
	var g *gallery.Gallery
	app, err := start(ctx, fx.Options(pipeline(*cfg, models, quietLogger(cfg.Log)), fx.Populate(&g)))
	raiseGOMAXPROCS()
	return g, app, err
}

func (e enrolFlags) enrol(ctx context.Context, cfg config.Config, root *os.Root, g *gallery.Gallery, report *list[bulk.Refusal]) (bulk.Tally, error) {
	bar := cli.NewProgress("enroll", "users")
	defer bar.Close()
	return bulk.Enrol(ctx, root.FS(), g, bulk.Options{
		Collection: e.collection, Client: ports.Client{Name: cmp.Or(e.client, enrolOwner)},
		Workers: cfg.Inference.Workers + enrolAhead, ImageBytes: cfg.Server.Limits.ImageBytes,
		ExpiresAt: e.expiresAt, Extend: e.add, Retry: retry.Default, Refused: report.add,
		Progress: func(t bulk.Tally) { bar.ShowDetail(t.UsersDone, t.Users, summary(t)) },
	})
}

func summary(t bulk.Tally) string {
	return fmt.Sprintf("%d enrolled, %d there already, %d refused", t.Enrolled, t.Present, t.Refused)
}

// finish prints the result. Refusals are an error only if the run is complete:
// otherwise there is another one.
func (e enrolFlags) finish(cmd *cobra.Command, t bulk.Tally, report *list[bulk.Refusal], complete bool) error {
	for _, r := range report.first {
		fmt.Fprintf(cmd.ErrOrStderr(), "refused: %q: %s\n", r.Path, r.Reason)
	}
	if more := t.Refused - len(report.first); more > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "refused: %d more\n", more)
	}
	result := enrolResult{e.collection, t.Users, t.Enrolled, t.Present, t.Refused, complete}
	text := fmt.Sprintf("%s: users %d: %s\n", e.collection, t.Users, summary(t))
	if err := cli.Print(cmd.OutOrStdout(), e.format, result, text); err != nil {
		return err
	}
	switch {
	case t.Refused == 0 || !complete:
		return nil
	case e.report == "":
		return cli.Partialf("%d files were refused; --report FILE keeps the reasons", t.Refused)
	}
	return cli.Partialf("%d files were refused; the reasons are in %s", t.Refused, e.report)
}

// enrolResult is the result in JSON; but for the users, the numbers are of
// pictures.
type enrolResult struct {
	Collection string `json:"collection"`
	Users      int    `json:"users"`
	Enrolled   int    `json:"enrolled"`
	Present    int    `json:"present"`
	Refused    int    `json:"refused"`
	Complete   bool   `json:"complete"` // the run got to its end
}
