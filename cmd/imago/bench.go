package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imago/adapters/loadgen"
	"imago/cmd/imago/cli"
	"imago/config/regularfile"
	"imago/core/naming"
	"imago/core/picturefile"
)

const (
	// benchUsers is the largest number of users enrolled at a time.
	benchUsers = 10_000
	// benchRemoval bounds removing them at the end.
	benchRemoval = 60 * time.Second
	// benchPictures and benchBytes bound the number and total size of the pictures,
	// which are kept in memory.
	benchPictures = 1000
	benchBytes    = 64 << 20
)

// benchFlags is what the command line of `imago bench` says.
type benchFlags struct {
	url, caFile, keyFile, pictures, collection, mix, format, chart string
	threshold, rate                                                float64
	concurrency                                                    []int
	duration, warmup, timeout                                      time.Duration
}

func benchCommand() *cobra.Command {
	var b benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a running imago under load",
		Long: "Sends load to a running imago over HTTP and reports latencies, throughput, shed\n" +
			"requests (503) and failures. The API key is read from --key-file or IMAGO_API_KEY.\n\n" +
			"Without --rate each connection sends a request as soon as it has the last answer, which\n" +
			"measures the capacity. With --rate requests arrive evenly, whether or not the server\n" +
			"keeps up, and latencies count from when a request was due (no coordinated omission):\n" +
			"use more connections than the server needs.\n\n" +
			"--mix gives the weight of each operation. The IDs of enrolled users begin with\n" +
			loadgen.Prefix + "; there are at most 10,000, and they are removed at the end, also after\n" +
			"an interruption. Pictures without a face, or refused by the quality gate, count as\n" +
			"failed.\n\n" +
			"Exit code 0 means that all requests were served or shed, 3 that some failed, 4 that the\n" +
			"server does not answer.",
		Example: "  imago bench --url 127.0.0.1:8080 --concurrency 1,2,8 --duration 30s\n" +
			"  imago bench --pictures faces/ --mix search=8,enrol=1,unenrol=1 --concurrency 64 --rate 40 --chart latency.png",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&b.url, "url", "127.0.0.1:8080", "the server: host:port, https://host:port or unix:///path")
	f.StringVar(&b.caFile, "ca-file", "", "certificate authorities (PEM) that the server's certificate is verified with (default the machine's)")
	f.StringVar(&b.keyFile, "key-file", "", "file that holds the API key (default the key in IMAGO_API_KEY)")
	f.StringVar(&b.pictures, "pictures", "", "folder of JPEG and PNG files to send (default a drawn face)")
	f.StringVar(&b.collection, "collection", naming.Inventory, "collection to search and enrol in")
	f.Float64Var(&b.threshold, "threshold", -1, "threshold of the searches in percent (default the server's)")
	f.StringVar(&b.mix, "mix", loadgen.SearchOnly().String(), "weights of search, enrol and unenrol")
	f.IntSliceVar(&b.concurrency, "concurrency", []int{1}, "connections; several numbers are measured one after the other")
	f.Float64Var(&b.rate, "rate", 0, "arrivals per second; 0 for as many as the answers allow")
	f.DurationVar(&b.duration, "duration", 10*time.Second, "how long each number of connections is measured")
	f.DurationVar(&b.warmup, "warmup", 2*time.Second, "time before that, not measured")
	f.DurationVar(&b.timeout, "timeout", 30*time.Second, "bound of each request")
	f.StringVar(&b.chart, "chart", "", "file for a chart of the latencies, as PNG")
	cli.FormatFlag(cmd, &b.format)
	cli.CompleteFlag(cmd, "collection", configuredCollections)
	cli.CompleteFlag(cmd, "pictures", cli.Folders())
	cli.CompleteFlag(cmd, "chart", cli.Files("png"))
	cli.CompleteFlag(cmd, "mix", cli.OneOf("search=1", "enrol=1,unenrol=1", "search=8,enrol=1,unenrol=1"))
	return cmd
}

func (b benchFlags) run(cmd *cobra.Command) error {
	options, err := b.options(cmd.ErrOrStderr())
	if err != nil {
		return cli.Usage(err)
	}
	loads, err := b.loads()
	if err != nil {
		return cli.Usage(err)
	}
	g, err := loadgen.New(options)
	if err != nil {
		return cli.Usage(err)
	}
	if err := g.Probe(cmd.Context(), loads[0].Mix); err != nil {
		return err
	}
	runs, err := measure(cmd.Context(), g, loads)
	return errors.Join(err, removeUsers(cmd.Context(), g), b.report(cmd.OutOrStdout(), options, runs))
}

// options returns the options of the generator, and warns of skipped pictures.
func (b benchFlags) options(warnings io.Writer) (loadgen.Options, error) {
	o := loadgen.Options{Collection: b.collection, Users: benchUsers, Timeout: b.timeout}
	var err error
	if o.Target, err = b.target(); err != nil {
		return o, err
	}
	if o.Key, err = b.key(); err != nil {
		return o, err
	}
	if b.threshold != -1 {
		o.Threshold = &b.threshold
	}
	if b.pictures != "" {
		o.Pictures, err = readPictures(b.pictures, warnings)
	}
	return o, err
}

// maxKeyFile bounds the files of a key and of authorities, in bytes.
const maxKeyFile = 1 << 20

func (b benchFlags) target() (loadgen.Target, error) {
	target, err := loadgen.ParseTarget(b.url)
	if err != nil {
		return target, fmt.Errorf("--url: %w", err)
	}
	if b.caFile == "" {
		return target, nil
	}
	authorities, err := regularfile.Read(b.caFile, maxKeyFile)
	if err == nil {
		err = target.Trust(authorities)
	}
	if err != nil {
		return target, fmt.Errorf("--ca-file: %w", err)
	}
	return target, nil
}

// key returns the API key. There is no flag for it: other users of the machine can see
// command lines.
func (b benchFlags) key() (string, error) {
	key := os.Getenv("IMAGO_API_KEY")
	if b.keyFile != "" {
		content, err := regularfile.Read(b.keyFile, maxKeyFile)
		if err != nil {
			return "", fmt.Errorf("--key-file: %w", err)
		}
		key = string(content)
	}
	if key = strings.TrimSpace(key); key == "" {
		return "", errors.New("no API key: set IMAGO_API_KEY or --key-file")
	}
	return key, nil
}

// loads returns a load for each number of connections.
func (b benchFlags) loads() (all []loadgen.Load, err error) {
	mix, err := loadgen.ParseMix(b.mix)
	if err != nil {
		return nil, fmt.Errorf("--mix: %w", err)
	}
	for _, n := range b.concurrency {
		load := loadgen.Load{Concurrency: n, Rate: b.rate, Mix: mix, Warmup: b.warmup, Duration: b.duration}
		if err := load.Check(); err != nil {
			return nil, err
		}
		all = append(all, load)
	}
	if len(all) == 0 {
		return nil, errors.New("--concurrency: name a number of connections")
	}
	return all, nil
}

// readPictures reads the pictures of a folder, in the order of their names, and warns
// of other files.
func readPictures(dir string, warnings io.Writer) ([][]byte, error) {
	root, err := regularfile.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("--pictures: %w", err)
	}
	defer root.Close()
	entries, err := picturefile.List(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("--pictures: %w", err)
	}
	var pictures [][]byte
	size, leftOut := 0, 0
	for _, e := range entries {
		if reason := e.Problem(); reason != "" {
			if leftOut++; leftOut <= maxShownRefusals {
				fmt.Fprintf(warnings, "left out: %q: %s\n", e.Name(), reason)
			}
			continue
		}
		picture, err := picturefile.Read(root.FS(), e.Name(), benchBytes)
		if err != nil {
			return nil, fmt.Errorf("--pictures: %s: %w", e.Name(), err)
		}
		if size += len(picture); size > benchBytes || len(pictures) == benchPictures {
			return nil, fmt.Errorf("--pictures: more than %d pictures or %d MiB; choose some of them", benchPictures, benchBytes>>20)
		}
		pictures = append(pictures, picture)
	}
	if leftOut > maxShownRefusals {
		fmt.Fprintf(warnings, "left out: %d more\n", leftOut-maxShownRefusals)
	}
	if len(pictures) == 0 {
		return nil, errors.New("--pictures: there is no JPEG or PNG file in the folder")
	}
	return pictures, nil
}

// measure runs the loads until the context ends.
func measure(ctx context.Context, g *loadgen.Generator, loads []loadgen.Load) (runs []loadgen.Report, err error) {
	for _, load := range loads {
		stop := cli.ShowTime(fmt.Sprintf("bench: %d at once", load.Concurrency), load.Warmup+load.Duration)
		r, err := g.Run(ctx, load)
		stop()
		if err != nil {
			return runs, err
		}
		runs = append(runs, r)
		if ctx.Err() != nil {
			return runs, context.Canceled
		}
	}
	return runs, nil
}

// removeUsers removes whom the benchmark has enrolled, also after an interruption.
func removeUsers(ctx context.Context, g *loadgen.Generator) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), benchRemoval)
	defer cancel()
	if left := g.Remove(ctx); left > 0 {
		return fmt.Errorf("%d users could not be removed; their IDs begin with %s", left, g.Prefix())
	}
	return nil
}

// report prints what was measured and draws the chart, if one is wanted.
func (b benchFlags) report(out io.Writer, o loadgen.Options, runs []loadgen.Report) error {
	if len(runs) == 0 {
		return nil
	}
	err := b.print(out, o, runs)
	if b.chart != "" {
		err = errors.Join(err, writeFile(b.chart, func(w io.Writer) error {
			return loadgen.WriteChart(w, "imago bench: latency of "+b.mix, runs)
		}))
	}
	for _, r := range runs {
		if r.Failed() > 0 && err == nil {
			err = cli.Partialf("some requests failed")
		}
	}
	return err
}

func (b benchFlags) print(out io.Writer, o loadgen.Options, runs []loadgen.Report) error {
	pictures := max(1, len(o.Pictures))
	var text strings.Builder
	fmt.Fprintf(&text, "%s, collection %s, %s, pictures: %d\n", o.Target, b.collection, b.mix, pictures)
	_ = loadgen.WriteText(&text, runs) // into a builder
	return cli.Print(out, b.format, benchReport{
		Version: version, Target: o.Target.String(), Collection: b.collection, Pictures: pictures,
		CPUs: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Runs: runs,
	}, text.String())
}

// benchReport is the report in JSON. Version, CPUs and platform are those of the
// command, which need not be the server's.
type benchReport struct {
	Version    string           `json:"version"`
	Target     string           `json:"target"`
	Collection string           `json:"collection"`
	Pictures   int              `json:"pictures"`
	CPUs       int              `json:"cpus"`
	Platform   string           `json:"platform"`
	Runs       []loadgen.Report `json:"runs"`
}
