package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// interval is how often progress is printed where no bar can be shown.
const interval = 5 * time.Second

// Progress shows on standard error how much of a command is done: a bar on a terminal,
// a line now and then elsewhere. Calls must not overlap.
type Progress struct {
	name, unit string
	bar        *progressbar.ProgressBar // nil without a terminal
	out        io.Writer
	every      time.Duration
	last       time.Time
}

// NewProgress counts in units such as users.
func NewProgress(name, unit string) *Progress {
	p := &Progress{name: name, unit: unit, out: os.Stderr, every: interval, last: time.Now()}
	if Terminal(os.Stderr) {
		p.bar = newBar(name, -1, progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit))
	}
	return p
}

// newBar returns a bar on standard error.
func newBar(name string, length int64, options ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions64(length, append(options,
		progressbar.OptionSetDescription(name),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)...)
}

// Terminal reports whether a file is one that shows a moving bar.
func Terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Show takes the number of units done and the total, 0 where that is not known.
func (p *Progress) Show(done, total int) { p.ShowDetail(done, total, "") }

// ShowDetail is Show with more about the units done.
func (p *Progress) ShowDetail(done, total int, words string) {
	switch {
	case p.bar != nil:
		p.draw(done, total, words)
	case time.Since(p.last) >= p.every:
		p.last = time.Now()
		p.print(done, total, words)
	}
}

func (p *Progress) draw(done, total int, words string) {
	if words != "" {
		p.bar.Describe(p.name + ": " + words)
	}
	// The bar accepts no count beyond its maximum.
	if total = max(total, done); total > 0 && p.bar.GetMax() != total {
		p.bar.ChangeMax(total)
	}
	_ = p.bar.Set(done)
}

func (p *Progress) print(done, total int, words string) {
	line := fmt.Sprintf("%s: %d", p.name, done)
	if total > 0 {
		line += fmt.Sprintf(" of %d", total)
	}
	line += " " + p.unit
	if words != "" {
		line += ", " + words
	}
	fmt.Fprintln(p.out, line)
}

// Close removes the bar.
func (p *Progress) Close() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// ShowDownload shows a download on a terminal, and nothing elsewhere. It returns a
// function for the number of bytes and one that removes the bar.
func ShowDownload(name string) (show func(done, total int64), stop func()) {
	bar := newBar(name, 1, progressbar.OptionShowBytes(true), progressbar.OptionSetVisibility(Terminal(os.Stderr)))
	return func(done, total int64) {
		bar.ChangeMax64(total)
		_ = bar.Set64(done)
	}, func() { _ = bar.Close() }
}

// ShowTime shows on standard error the progress of what takes a known time, until it is
// stopped: a bar on a terminal, one line elsewhere.
func ShowTime(name string, length time.Duration) (stop func()) {
	if !Terminal(os.Stderr) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, length)
		return func() {}
	}
	bar := newBar(name, length.Milliseconds(), progressbar.OptionSetPredictTime(false))
	began, stopped, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				// A full bar would be removed.
				_ = bar.Set64(min(time.Since(began).Milliseconds(), length.Milliseconds()-1))
			case <-stopped:
				_ = bar.Clear()
				return
			}
		}
	}()
	return func() { close(stopped); <-ended }
}
