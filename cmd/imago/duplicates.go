package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"imago/adapters/evalreport"
	"imago/adapters/memindex"
	"imago/adapters/modelzoo"
	"imago/cmd/imago/cli"
	"imago/config"
	"imago/config/regularfile"
	"imago/core/calibration"
	"imago/core/duplicates"
	"imago/core/naming"
	"imago/ports"
)

// searchCallers is how many searches wait at a time: while a batch of 32 is searched, the next
// one fills up.
const searchCallers = 64

// maxListed bounds --limit.
const maxListed = 10_000

// usualSamePerson is the similarity below which two faces of a user are not of one person,
// where same_person is off.
const usualSamePerson = 10

// duplicatesFlags is what the command line of `imago duplicates` says.
type duplicatesFlags struct {
	collection, against, out, format string
	threshold, together              float64
	limit                            int
	thresholdSet, togetherSet        bool
}

func duplicatesCommand() *cobra.Command {
	var a duplicatesFlags
	cmd := &cobra.Command{
		Use:   "duplicates",
		Short: "Find users enrolled twice, mixed-up users, and faces that match everybody",
		Long: "Compares every face of the gallery with every other one and lists\n\n" +
			"  - pairs of users who look like one person,\n" +
			"  - users whose faces are not one person,\n" +
			"  - faces that resemble far more users than chance explains (hubs),\n\n" +
			"the most striking first, each beside the number that chance alone gives at the size of\n" +
			"this gallery. Without --threshold, two users are a pair from the lowest similarity on,\n" +
			"80 % at least, at which chance puts at most one user in 500 into a pair. A pair through\n" +
			"a hub is not listed: the hub is.\n\n" +
			"Nothing is changed. Findings are for a person to check; `imago unenrol` removes a user.\n" +
			"It reads all faces into memory (0.8 GB for a million) and closes the store. The result,\n" +
			"and the files in --out, which only you may read, name users.\n\n" +
			"The network file of the embedder is not needed. A memory store must not be in use by a\n" +
			"running imago: copy it with `imago backup copy.db`, and name the copy as in the second\n" +
			"example.\n\n" +
			"Exit code 0 means that every face was looked at, whatever was found, 3 that some faces\n" +
			"resemble more users than a search returns, so that pairs may be missing, 1 that it\n" +
			"failed, 4 that the store does not answer.",
		Example: "  imago duplicates --config config/pgvector.yaml --out duplicates\n" +
			"  IMAGO_STORE_MEMORY_PATH=copy.db imago duplicates\n" +
			"  imago duplicates --collection users --against blacklist --format json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.thresholdSet, a.togetherSet = cmd.Flags().Changed("threshold"), cmd.Flags().Changed("same-person")
			return a.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.collection, "collection", "", "collection to look at (default all that are configured, each in itself)")
	f.StringVar(&a.against, "against", "", "find pairs of --collection (default users) and this collection instead")
	f.Float64Var(&a.threshold, "threshold", 0, "similarity in percent from which two users are a pair (default by the size of the gallery)")
	f.Float64Var(&a.together, "same-person", 0, "similarity in percent that connects two faces of a user (default same_person of the collection)")
	f.IntVar(&a.limit, "limit", 100, "findings of each kind to list; all are counted")
	f.StringVar(&a.out, "out", "", "folder for duplicates.html and duplicates.json (default none)")
	cli.FormatFlag(cmd, &a.format)
	cli.CompleteFlag(cmd, "collection", configuredCollections)
	cli.CompleteFlag(cmd, "against", configuredCollections)
	cli.CompleteFlag(cmd, "out", cli.Folders())
	return cmd
}

func (a duplicatesFlags) run(cmd *cobra.Command) error {
	access, err := existingStore(cmd)
	if err != nil {
		return err
	}
	looks, err := a.looks(access)
	if err != nil {
		return cli.Usage(err)
	}
	manifest, err := modelzoo.New(access.cfg.Models.Dir, config.BuiltinModels).Manifest(access.cfg.Models.Embedder)
	if err != nil {
		return err
	}
	if a.out != "" {
		if err := os.MkdirAll(a.out, 0o700); err != nil {
			return cli.Usage(err)
		}
	}
	trail, err := startAudit(cmd, access.cfg.Audit, operation{name: auditDuplicates})
	if err != nil {
		return err
	}
	read, report, err := a.find(cmd.Context(), access, manifest, looks)
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted; nothing was written: %w", err)
	}
	if err := trail.finish(cmd.Context(), err, read...); err != nil {
		return err
	}
	return a.print(cmd, report)
}

// look is what is looked at once: a collection in itself, or two.
type look struct{ collection, against string }

// looks validates the flags and returns what they say to look at.
func (a duplicatesFlags) looks(access storeAccess) (looks []look, err error) {
	names := access.names()
	for flag, name := range map[string]string{"collection": a.collection, "against": a.against} {
		if name != "" && !slices.Contains(names, name) {
			return nil, fmt.Errorf("--%s: no collection %+q is configured", flag, name)
		}
	}
	for flag, percent := range map[string]float64{"threshold": a.threshold, "same-person": a.together} {
		if math.IsNaN(percent) || percent < 0 || percent > 100 {
			return nil, fmt.Errorf("--%s must be a number from 0 to 100", flag)
		}
	}
	if a.limit < 1 || a.limit > maxListed {
		return nil, fmt.Errorf("--limit must be 1 to %d", maxListed)
	}
	switch {
	case a.against != "":
		one := look{a.collection, a.against}
		if one.collection == "" {
			one.collection = naming.Inventory
		}
		if one.collection == one.against {
			return nil, fmt.Errorf("--against: %s is the collection itself; leave --against out", a.against)
		}
		return []look{one}, nil
	case a.collection != "":
		return []look{{collection: a.collection}}, nil
	}
	for _, name := range names {
		looks = append(looks, look{collection: name})
	}
	return looks, nil
}

// find reads the faces, closes the store, and looks at them. It returns how many faces were read
// even if it fails later.
func (a duplicatesFlags) find(ctx context.Context, access storeAccess, manifest config.Manifest, looks []look) ([]affected, *evalreport.Duplicates, error) {
	index := &faceIndex{memindex.New(access.space.Dimension, 0)}
	var read []affected
	err := access.use(ctx, func(store ports.VectorStore) (err error) {
		read, err = index.load(ctx, store, looks)
		return err
	})
	if err != nil {
		return read, nil, err
	}
	var found []duplicates.Report
	for _, l := range looks {
		one, err := a.lookAt(ctx, access, manifest, index, l)
		if errors.Is(err, duplicates.ErrThreshold) {
			err = cli.Usagef("--threshold: %w", err)
		}
		if err != nil {
			return read, nil, err
		}
		found = append(found, one)
	}
	return read, evalreport.NewDuplicates(version, time.Now().UTC(), manifest, found), nil
}

func (a duplicatesFlags) lookAt(ctx context.Context, access storeAccess, manifest config.Manifest, index *faceIndex, l look) (duplicates.Report, error) {
	name := l.collection
	if l.against != "" {
		name += " against " + l.against
	}
	bar := cli.NewProgress("compare "+name, "faces")
	defer bar.Close()
	options := galleryOptions(access.cfg, manifest)
	o := duplicates.Options{
		Collection: l.collection, Against: l.against, Curve: options.Curve, Rates: calibration.Rates(options.Measured.Rates),
		Together: a.together, Limit: a.limit, Callers: searchCallers, Progress: bar.Show,
	}
	if a.thresholdSet {
		o.Threshold = &a.threshold
	}
	if !a.togetherSet {
		o.Together = samePerson(access.cfg, l.collection)
	}
	return duplicates.Find(ctx, index, o)
}

// samePerson returns the similarity that a further face of a user must reach in a collection.
func samePerson(cfg config.Config, collection string) float64 {
	percent := cfg.Inventory.SamePerson
	for _, c := range cfg.Collections {
		if c.Name == collection && c.SamePerson > 0 {
			percent = c.SamePerson
		}
	}
	if percent == 0 {
		return usualSamePerson
	}
	return percent
}

// print writes the files and the result.
func (a duplicatesFlags) print(cmd *cobra.Command, report *evalreport.Duplicates) error {
	if a.out != "" {
		for _, f := range report.Files() {
			if err := regularfile.Replace(filepath.Join(a.out, f.Name), 0o600, f.Write); err != nil {
				return err
			}
		}
	}
	if err := cli.Print(cmd.OutOrStdout(), a.format, report, report.Text()); err != nil {
		return err
	}
	if a.out != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "the report is %s\n", filepath.Join(a.out, "duplicates.html"))
	}
	if cut := report.Cut(); cut > 0 {
		return cli.Partialf("%d faces resemble more users than a search returns: pairs of theirs may be missing", cut)
	}
	return nil
}

// faceIndex has the faces to look at, as duplicates.Find wants them.
type faceIndex struct{ *memindex.Index }

// Scan implements duplicates.Index.
func (x *faceIndex) Scan(_ context.Context, s ports.Selection) iter.Seq2[ports.Record, error] {
	return x.Index.Scan(s)
}

// Get implements duplicates.Index.
func (x *faceIndex) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	return x.Index.Get(user), nil
}

// load reads the collections, each once, and returns how many faces of each it has read.
func (x *faceIndex) load(ctx context.Context, store ports.VectorStore, looks []look) (read []affected, err error) {
	bar := cli.NewProgress("read", "faces")
	defer bar.Close()
	loader := memindex.NewLoader(x.Index)
	defer func() { loader.Close(); x.Publish() }()
	done := 0
	for _, l := range looks {
		for _, name := range []string{l.collection, l.against} {
			if name == "" {
				continue
			}
			faces := 0
			for r, err := range store.Scan(ctx, ports.Everything(name, "")) {
				if err != nil {
					return append(read, affected{collection: name, faces: faces, partial: true}), err
				}
				loader.Add(r)
				faces++
				done++
				bar.Show(done, 0)
			}
			read = append(read, affected{collection: name, faces: faces})
		}
	}
	return read, nil
}
