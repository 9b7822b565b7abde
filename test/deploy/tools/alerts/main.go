// Command alerts tells which alerts a file of Prometheus rules raises, however long they
// have to hold. Its argument is the file. Each line of standard input is a counter and, for
// each day, by how much it rises in an hour: imago_x{a="b"} 10 10 25. It prints a line for
// each alert at the end of the last day: name, labels, and value as a percentage.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// counter is a series and its rise in an hour of each day.
type counter struct {
	labels labels.Labels
	rises  []float64
}

var parse = parser.NewParser(parser.Options{})

func run(ctx context.Context, file string, series io.Reader) error {
	quiet := slog.New(slog.DiscardHandler)
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, parse, quiet)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	counters, err := read(series)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "alerts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := tsdb.Open(dir, quiet, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	end, err := fill(ctx, db, counters)
	if err != nil {
		return err
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e7, Timeout: time.Minute})
	defer engine.Close()
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if err := evaluate(ctx, engine, db, rule, end); err != nil {
				return fmt.Errorf("%s%s: %w", rule.Record, rule.Alert, err)
			}
		}
	}
	return nil
}

func read(series io.Reader) (counters []counter, err error) {
	for lines := bufio.NewScanner(series); lines.Scan(); {
		name, rises, _ := strings.Cut(lines.Text(), "} ")
		c := counter{}
		if c.labels, err = parse.ParseMetric(name + "}"); err != nil {
			return nil, err
		}
		for _, text := range strings.Fields(rises) {
			rise, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, err
			}
			c.rises = append(c.rises, rise)
		}
		counters = append(counters, c)
	}
	return counters, nil
}

// fill stores the values of the counters, one each minute, and returns the time of the last.
func fill(ctx context.Context, db *tsdb.DB, counters []counter) (end time.Time, err error) {
	values := make([]float64, len(counters))
	at := time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Hour)
	for day := range counters[0].rises {
		app := db.Appender(ctx)
		for range 24 * 60 {
			for i, c := range counters {
				values[i] += c.rises[day] / 60
				if _, err := app.Append(0, c.labels, at.UnixMilli(), values[i]); err != nil {
					return end, err
				}
			}
			end, at = at, at.Add(time.Minute)
		}
		if err := app.Commit(); err != nil {
			return end, err
		}
	}
	return end, nil
}

// evaluate stores what a rule records, or prints what it raises.
func evaluate(ctx context.Context, engine *promql.Engine, db *tsdb.DB, rule rulefmt.Rule, at time.Time) error {
	query, err := engine.NewInstantQuery(ctx, db, nil, rule.Expr, at)
	if err != nil {
		return err
	}
	defer query.Close()
	vector, err := query.Exec(ctx).Vector()
	if err != nil {
		return err
	}
	app := db.Appender(ctx)
	for _, sample := range vector {
		if rule.Alert != "" {
			fmt.Printf("%s %v %.1f%%\n", rule.Alert, sample.Metric.DropReserved(func(name string) bool { return name == "__name__" }), 100*sample.F)
			continue
		}
		named := labels.NewBuilder(sample.Metric).Set("__name__", rule.Record).Labels()
		if _, err := app.Append(0, named, at.UnixMilli(), sample.F); err != nil {
			return err
		}
	}
	return app.Commit()
}
