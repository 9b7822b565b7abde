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

// clientPace is how patient a pull is with the client of a registry.
type clientPace struct {
	idle  time.Duration // without a further byte
	total time.Duration
	poll  time.Duration // for bytes
}

const (
	// maxOutput bounds what is kept of the messages of the client, in bytes.
	maxOutput = 16 << 10
	// slack is what the client may write beside the package and its copy, in bytes.
	slack = 16 << 20
)

var (
	errSlow  = errors.New("the package client took too long")
	errLarge = errors.New("the package is larger than it may be")
)

// fetch has the client of the registry put a package into a folder, as its user has
// configured it. The bytes that arrive there are the progress.
func (c clientPace) fetch(ctx context.Context, p config.Package, dir string, progress func(done, total int64)) error {
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
	// The client is alone in its group, so that what it starts ends with it, and ends
	// when imago does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	arrived, err := c.watch(ctx, cancel, start(cmd), p, dir, progress)
	if err == nil {
		return nil
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSlow) || errors.Is(cause, errLarge):
		return permanent("%w", cause)
	case arrived > 0: // broken off
		return unreachable(temporary("%s failed: %s", name(command), messages.last(err)))
	}
	return permanent("%s failed: %s", name(command), messages.last(err))
}

// name is how messages call a command.
func name(command []string) string {
	return strings.Join(append([]string{filepath.Base(command[0])}, command[1:]...), " ")
}

// pip returns the command that runs the client of the registry of Python packages.
func pip() ([]string, error) {
	for _, command := range [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}} {
		path, err := exec.LookPath(command[0])
		if err == nil {
			return append([]string{path}, command[1:]...), nil
		}
	}
	return nil, permanent("neither pip3 nor pip nor python3 is installed; install one (Debian: python3-pip) and pull again")
}

// start runs a command to its end. Its thread lives as long as the command: the end of
// the thread would be taken for that of imago.
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
// takes too long or brings too much. It returns how many there were lately and how the
// client ended.
func (c clientPace) watch(ctx context.Context, cancel context.CancelCauseFunc, ended <-chan error, p config.Package, dir string, progress func(done, total int64)) (arrived int64, err error) {
	limit := mostOf(p)
	ticker := time.NewTicker(c.poll)
	defer ticker.Stop()
	begin, lately := time.Now(), time.Now()
	for {
		select {
		case err := <-ended:
			return arrived, err
		case <-ticker.C:
		}
		now := bytesIn(dir)
		if now != arrived {
			arrived, lately = now, time.Now()
			progress(min(now, limit), limit)
		}
		switch {
		case ctx.Err() != nil: // being killed
		case now > 2*limit+slack: // the client makes a copy
			cancel(errLarge)
		case time.Since(lately) > c.idle || time.Since(begin) > c.total:
			cancel(errSlow)
		}
	}
}

// mostOf returns how many bytes a package may have.
func mostOf(p config.Package) int64 {
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

// tail keeps the end of what is written to it.
type tail struct{ kept bytes.Buffer }

// Write takes everything.
func (t *tail) Write(p []byte) (int, error) {
	t.kept.Write(p[max(0, len(p)-maxOutput):])
	t.kept.Next(max(0, t.kept.Len()-maxOutput))
	return len(p), nil
}

// address is one in a message of the client. It may hold a password or a signature.
var address = regexp.MustCompile(`[a-z+]+://\S+`)

// last returns the last message that tells of an error, or else the last one of all, or
// how the client ended.
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
	return address.ReplaceAllString(strings.TrimSpace(strings.TrimPrefix(last, "ERROR:")), "…")
}
