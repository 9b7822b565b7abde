package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/cmd/imago/cli"
	"imago/config"
	"imago/core/calibration"
	"imago/core/reembed"
	"imago/core/transfer"
	"imago/ports"
)

// maxListedFaces is how many of the faces that were left out the result lists.
const maxListedFaces = 1000

// reembedFlags is what the command line of `imago reembed` says.
type reembedFlags struct {
	from, to, leftOut, format string
	workers                   int
}

func reembedCommand() *cobra.Command {
	var f reembedFlags
	cmd := &cobra.Command{
		Use:   "reembed --from FILE --to FILE",
		Short: "Carry the gallery over to another embedder",
		Long: "Fills the store of one configuration with the gallery of another whose embedder is a\n" +
			"different one, between any two backends: decrypts the chip of each face, which\n" +
			"keep_chips has kept, by the keys in --from, and embeds it by the embedder in --to.\n" +
			"Users, faces, owners and times stay the same; where --to keeps chips they are encrypted\n" +
			"anew by its keys. Then it reads both stores to verify by counts and checksums that they\n" +
			"are equal but for the vectors, and says how often pairs of faces reach the threshold in\n" +
			"one and in the other. The store to read is not changed.\n\n" +
			"Only missing faces are embedded, so the command can be repeated after an interruption.\n" +
			"Faces without a chip are left out and listed. Nothing in the target is changed or\n" +
			"removed; conflicts are reported. Environment variables apply as to imago migrate.\n\n" +
			"--left-out FILE has every face that was left out, one JSON object a line:\n" +
			"{\"collection\", \"userId\", \"faceId\", \"reason\"}.\n\n" +
			"Exit code 0 means that the target has everything, 3 everything but the faces that were\n" +
			"left out, 1 that the stores are not equal, 4 that a store does not answer.",
		Example: "  imago reembed --from old.yaml --to new.yaml\n" +
			"  imago reembed --from old.yaml --to new.yaml --left-out without-chip.jsonl",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.from == "" || f.to == "" {
				return cli.Usagef("--from and --to are required")
			}
			if err := checkWorkers(f.workers, 1); err != nil {
				return err
			}
			return f.run(cmd)
		},
	}
	cmd.Flags().StringVar(&f.from, "from", "", "configuration file of the store to read, with its chips' keys")
	cmd.Flags().StringVar(&f.to, "to", "", "configuration file of the store to fill, with the new embedder")
	cmd.Flags().StringVar(&f.leftOut, "left-out", "", "file for the faces that are left out, as JSON Lines")
	addWorkersFlag(cmd, &f.workers)
	cli.FormatFlag(cmd, &f.format)
	cli.CompleteFlag(cmd, "from", cli.Files("yaml", "yml"))
	cli.CompleteFlag(cmd, "to", cli.Files("yaml", "yml"))
	return cmd
}

func (f reembedFlags) run(cmd *cobra.Command) (err error) {
	a, b, err := accessBoth(f.from, f.to, convertible)
	if err != nil {
		return err
	}
	o, err := converterOptions(a.cfg, b.cfg)
	if err != nil {
		return err
	}
	left, err := newLeftOut(f.leftOut)
	if err != nil {
		return cli.Usage(err)
	}
	defer func() { err = errors.Join(err, left.close()) }()
	embedder, app, err := startEmbedder(cmd.Context(), b.cfg)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, stop(cmd.Context(), app, closeTimeout)) }()
	return a.use(cmd.Context(), func(from ports.VectorStore) error {
		return b.use(cmd.Context(), func(to ports.VectorStore) error {
			run := reembedding{f, a, b, from, to, reembed.New(embedder, o), left}
			return run.run(cmd)
		})
	})
}

// convertible returns an error if faces of one space cannot be made those of the other.
func convertible(from, to ports.Space) error {
	if err := reembed.Check(from, to); err != nil {
		return cli.Usage(err)
	}
	return nil
}

// converterOptions reads the keys of the chips.
func converterOptions(from, to config.Config) (o reembed.Options, err error) {
	if o.From, err = chipCipher(from.Chips); err != nil {
		return o, cli.Usagef("--from: %w", err)
	}
	if o.From == nil {
		return o, cli.Usagef("--from: chips has no key, so the faces' chips cannot be decrypted: set chips.key_file to the keys that they were encrypted with")
	}
	if o.To, err = chipCipher(to.Chips); err != nil {
		return o, cli.Usagef("--to: %w", err)
	}
	o.Keeps = keepsChips(to)
	o.Workers = cmp.Or(to.Inference.Workers, runtime.GOMAXPROCS(0))
	return o, nil
}

// startEmbedder loads the embedder of a configuration.
func startEmbedder(ctx context.Context, cfg config.Config) (ports.Embedder, *fx.App, error) {
	model, err := findModel(modelzoo.New(cfg.Models.Dir, config.BuiltinModels), cfg.Models.Embedder, config.KindEmbedder)
	if err != nil {
		return nil, nil, err
	}
	var embedder ports.Embedder
	app, err := start(ctx, fx.Options(
		fx.Supply(cfg.Inference, onnx.Models{Embedder: model}, quietLogger(cfg.Log)), onnx.Module, fx.Populate(&embedder)))
	raiseGOMAXPROCS()
	return embedder, app, err
}

// reembedding is a run with everything that it needs.
type reembedding struct {
	reembedFlags
	a, b      storeAccess
	from, to  ports.VectorStore
	converter *reembed.Converter
	left      *leftOut
}

func (r reembedding) run(cmd *cobra.Command) error {
	report, err := copyAudited(cmd, r.a, r.b, auditReembedOut, auditReembedIn, func(ctx context.Context, o transfer.Options) (transfer.Report, error) {
		o.Workers, o.Convert, o.LeftOut = r.workers, r.converter.Convert, r.left.addFace
		return copyAll(ctx, "reembed", r.from, r.to, r.a.names(), o)
	})
	printConflicts(cmd.ErrOrStderr(), report, r.b.names())
	r.left.print(cmd.ErrOrStderr())
	if r.format == "text" { // shown before the verification
		err = errors.Join(err, cli.Print(cmd.OutOrStdout(), r.format, nil, outcomesText(report)))
	}
	result, verified := reembedResult{Collections: notNil(report), LeftOut: notNil(r.left.first)}, ""
	if err == nil {
		result.Verified, result.Comparison, err = r.verify(cmd.Context())
	}
	if len(result.Verified) > 0 && err == nil {
		verified = "verified, both sides but for the vectors:\n" + sumsText(result.Verified) + comparisonsText(result.Comparison)
	}
	if printed := cli.Print(cmd.OutOrStdout(), r.format, result, verified); printed != nil || err != nil {
		return errors.Join(retryHint(err), printed)
	}
	return r.left.err()
}

// verify compares both stores, and what their vectors say.
func (r reembedding) verify(ctx context.Context) ([]transfer.Sum, []reembed.Comparison, error) {
	comparer := reembed.NewComparer(func(collection string) (before, after reembed.Threshold) {
		return r.a.threshold(collection), r.b.threshold(collection)
	}, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	sums, err := verifyAll(ctx, r.b, r.from, r.to, r.a.names(), transfer.Options{Convert: r.converter.Convert, Compared: comparer.Add})
	return sums, comparer.Comparisons(), err
}

// threshold returns what a search of a collection asks for that names no threshold.
func (a storeAccess) threshold(collection string) reembed.Threshold {
	percent := a.cfg.Search.Threshold
	for _, c := range a.cfg.Collections {
		if c.Name == collection {
			percent = cmp.Or(c.Threshold, percent)
		}
	}
	c := a.embedder.Calibration
	return reembed.Threshold{Percent: percent, Cosine: calibration.Curve{Midpoint: c.Midpoint, Steepness: c.Steepness}.Cosine(percent)}
}

// reembedResult is the result in JSON.
type reembedResult struct {
	Collections transfer.Report `json:"collections"`
	// LeftOut are the first of the faces that were left out.
	LeftOut []leftOutFace `json:"leftOutFaces"`
	// Verified are the sums of both sides, which are equal but for the vectors.
	Verified   []transfer.Sum       `json:"verified,omitempty"`
	Comparison []reembed.Comparison `json:"comparison,omitempty"`
}

// comparisonsText returns lines for each collection that has pairs of faces.
func comparisonsText(all []reembed.Comparison) string {
	var b strings.Builder
	for _, c := range all {
		for _, kind := range []struct {
			of    string
			pairs reembed.Pairs
		}{{"one user's faces", c.SamePerson}, {"different users' faces", c.Strangers}} {
			if kind.pairs.Pairs > 0 {
				fmt.Fprintf(&b, "%s: pairs of %s that reach the threshold: %d of %d before (%g %%), %d after (%g %%)\n",
					c.Collection, kind.of, kind.pairs.Before, kind.pairs.Pairs, c.Before, kind.pairs.After, c.After)
			}
		}
	}
	return b.String()
}

// leftOutFace is a face that was left out, as it is listed.
type leftOutFace struct {
	Collection string `json:"collection"`
	UserID     string `json:"userId"`
	FaceID     string `json:"faceId"`
	Reason     string `json:"reason"`
}

// leftOut lists the faces that were left out.
type leftOut struct {
	*list[leftOutFace]
	path string
}

func newLeftOut(path string) (*leftOut, error) {
	l, err := newList[leftOutFace](path, maxListedFaces)
	return &leftOut{l, path}, err
}

func (l *leftOut) addFace(c transfer.Conflict) error {
	return l.add(leftOutFace{c.Collection, c.UserID, c.FaceID, c.Reason})
}

func (l *leftOut) print(errs io.Writer) {
	shown := l.first[:min(len(l.first), maxShownRefusals)]
	for _, f := range shown {
		fmt.Fprintf(errs, "left out of %s: user %+q, face %+q: %s\n", f.Collection, f.UserID, f.FaceID, f.Reason)
	}
	if more := l.n - len(shown); more > 0 {
		fmt.Fprintf(errs, "left out: %d more\n", more)
	}
}

// err returns the error of a run that is complete but for what it left out.
func (l *leftOut) err() error {
	switch {
	case l.n == 0:
		return nil
	case l.path == "":
		return cli.Partialf("%d faces were left out; --left-out FILE lists them", l.n)
	}
	return cli.Partialf("%d faces were left out; %s lists them", l.n, l.path)
}
