package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressInterval is how often a command says how far it is where it cannot
// show a bar.
const progressInterval = 5 * time.Second

// progress shows on standard error how many users, or whatever the unit is, a
// command has dealt with: a bar on a terminal, a line now and then in a log.
type progress struct {
	name  string
	unit  string                   // "" for users
	bar   *progressbar.ProgressBar // nil without a terminal
	out   io.Writer
	every time.Duration
	last  time.Time
}

func newProgress(name string) *progress { return newProgressOf(name, "users") }

func newProgressOf(name, unit string) *progress {
	p := &progress{name: name, unit: unit, out: os.Stderr, every: progressInterval, last: time.Now()}
	if terminal(os.Stderr) {
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetDescription(name),
			progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionSetItsString(unit),
			progressbar.OptionThrottle(200*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// show takes the number of users done and in all, 0 where that is not known.
func (p *progress) show(done, total int) { p.detail(done, total, "") }

// detail is show with words about what became of them.
func (p *progress) detail(done, total int, words string) {
	switch {
	case p.bar != nil:
		p.draw(done, total, words)
	case time.Since(p.last) >= p.every:
		p.last = time.Now()
		p.print(done, total, words)
	}
}

func (p *progress) draw(done, total int, words string) {
	if words != "" {
		p.bar.Describe(p.name + ": " + words)
	}
	// The bar refuses a count beyond its end.
	if total = max(total, done); total > 0 && p.bar.GetMax() != total {
		p.bar.ChangeMax(total)
	}
	_ = p.bar.Set(done)
}

func (p *progress) print(done, total int, words string) {
	unit := cmp.Or(p.unit, "users")
	line := fmt.Sprintf("%s: %d %s", p.name, done, unit)
	if total > 0 {
		line = fmt.Sprintf("%s: %d of %d %s", p.name, done, total, unit)
	}
	if words != "" {
		line += ", " + words
	}
	fmt.Fprintln(p.out, line)
}

// close removes the bar.
func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// showTime shows on standard error how far something is that takes a known time,
// until it is stopped: a bar on a terminal, one line in a log.
func showTime(name string, length time.Duration) (stop func()) {
	if !terminal(os.Stderr) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, length)
		return func() {}
	}
	bar := progressbar.NewOptions64(length.Milliseconds(),
		progressbar.OptionSetDescription(name),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionClearOnFinish(),
	)
	began, enough, over := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				// A full bar would be taken away.
				_ = bar.Set64(min(time.Since(began).Milliseconds(), length.Milliseconds()-1))
			case <-enough:
				_ = bar.Clear()
				return
			}
		}
	}()
	return func() { close(enough); <-over }
}
