package servers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a server program that runs until it is stopped, and no longer than
// the test binary, however that ends.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when it has ended
}

// launch starts a program. What it prints is kept for error messages.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	// Children that a killed server leaves behind hold its output open; that
	// must not count as running.
	cmd.WaitDelay = time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	tether(cmd.SysProcAttr)
	started := make(chan error)
	go p.run(started)
	return p, <-started
}

// run starts the program and waits for it, on one thread of the system: the
// program is tied to the thread that started it.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait()
	}
	close(p.done)
}

// running reports whether the program has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop sends a signal and waits for the end, which it forces after a while.
func (p *process) stop(signal os.Signal, patience time.Duration) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// until polls ready until it returns nil. It gives up when the program has
// ended or after a while, with what the program said last.
func (p *process) until(patience time.Duration, ready func() error) error {
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil && p.running() {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.cmd.Path, p.log)
		case <-deadline:
			return fmt.Errorf("%s is not ready after %v (%w): %s", p.cmd.Path, patience, err, p.log)
		case <-tick.C:
		}
	}
}

// tailBytes is how much of a program's output is kept.
const tailBytes = 4096

// tail is a writer that keeps the end of what was written.
type tail struct {
	mu   sync.Mutex
	data []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if surplus := len(t.data) - tailBytes; surplus > 0 {
		t.data = append(t.data[:0], t.data[surplus:]...)
	}
	return len(p), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.data))
}
