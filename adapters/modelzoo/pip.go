package modelzoo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"imago/config"
)

// pipLimits bounds a run of pip.
type pipLimits struct {
	idle  time.Duration // without a further byte
	total time.Duration
	poll  time.Duration // for bytes
}

const (
	// maxOutput bounds the output of pip that is kept, in bytes.
	maxOutput = 16 << 10
	// slack is what pip may write beside the package and its copy, in bytes.
	slack = 16 << 20
)

var (
	errSlow  = errors.New("pip timed out")
	errLarge = errors.New("the package is larger than expected")
)

// fetch has pip download a package into a folder, with the index and proxy that the user has
// configured for it. The size of the folder is the progress.
func (c pipLimits) fetch(ctx context.Context, p config.Package, dir string, progress func(done, total int64)) error {
	command, err := pip()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	messages := &tail{}
	cmd := exec.CommandContext(ctx, command[0], append(command[1:],
		"download", "--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-cache-dir",
		"--no-deps", "--only-binary=:all:", "--ignore-requires-python", "-d", dir, p.Name+"=="+p.Version)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stderr = messages
	// pip has a process group of its own, so that its children are killed with it, and it
	// is killed when imago dies.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	arrived, err := c.watch(ctx, cancel, start(cmd), p, dir, progress)
	if err == nil {
		return nil
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSlow) || errors.Is(cause, errLarge):
		return fail(failPermanent, "%w", cause)
	case arrived > 0: // broken off
		return unreachable(fail(failTemporary, "%s failed: %s", commandName(command), messages.last(err)))
	}
	return fail(failPermanent, "%s failed: %s", commandName(command), messages.last(err))
}

// commandName is the name of a command in messages.
func commandName(command []string) string {
	return strings.Join(append([]string{filepath.Base(command[0])}, command[1:]...), " ")
}

// pip returns the command that runs pip.
func pip() ([]string, error) {
	for _, command := range [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}} {
		path, err := exec.LookPath(command[0])
		if err == nil {
			return append([]string{path}, command[1:]...), nil
		}
	}
	return nil, fail(failPermanent, "neither pip3 nor pip nor python3 is installed; install one (Debian: python3-pip) and pull again")
}

// start runs a command. Its thread is kept until the command ends: Pdeathsig is sent when the
// parent thread exits, not the parent process.
func start(cmd *exec.Cmd) <-chan error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ended <- cmd.Run()
	}()
	return ended
}

// watch reports the bytes that arrive until the client ends, and cancels it when that
// takes too long or brings too much. It returns how many there were lastProgress and how the
// client ended.
func (c pipLimits) watch(ctx context.Context, cancel context.CancelCauseFunc, ended <-chan error, p config.Package, dir string, progress func(done, total int64)) (arrived int64, err error) {
	limit := sizeLimit(p)
	ticker := time.NewTicker(c.poll)
	defer ticker.Stop()
	begin, lastProgress := time.Now(), time.Now()
	for {
		select {
		case err := <-ended:
			return arrived, err
		case <-ticker.C:
		}
		now := bytesIn(dir)
		if now != arrived {
			arrived, lastProgress = now, time.Now()
			progress(min(now, limit), limit)
		}
		switch {
		case ctx.Err() != nil: // being killed
		case now > 2*limit+slack: // pip makes a copy
			cancel(errLarge)
		case time.Since(lastProgress) > c.idle || time.Since(begin) > c.total:
			cancel(errSlow)
		}
	}
}

// sizeLimit returns the largest size of a package in bytes.
func sizeLimit(p config.Package) int64 {
	if p.Size > 0 {
		return p.Size
	}
	return maxPackage
}

// bytesIn returns how many bytes the files of a folder have at present.
func bytesIn(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// tail keeps the last maxOutput bytes written to it.
type tail struct{ kept bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept.Write(p[max(0, len(p)-maxOutput):])
	t.kept.Next(max(0, t.kept.Len()-maxOutput))
	return len(p), nil
}

// urls matches the URLs in pip's messages, which may hold a password or a signature.
var urls = regexp.MustCompile(`[a-z+]+://\S+`)

// last returns the last line that begins with ERROR, else the last line, else the error of the
// command.
func (t *tail) last(ended error) string {
	var last string
	for line := range strings.Lines(t.kept.String()) {
		line = strings.TrimSpace(line)
		if line != "" && (strings.HasPrefix(line, "ERROR:") || !strings.HasPrefix(last, "ERROR:")) {
			last = line
		}
	}
	if last == "" {
		return ended.Error()
	}
	return urls.ReplaceAllString(strings.TrimSpace(strings.TrimPrefix(last, "ERROR:")), "…")
}
