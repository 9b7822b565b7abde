// Package reload keeps a value that is parsed from files up to date while imago runs:
// keys and certificates that operators and secret stores replace. A file that cannot be
// used leaves the current value in place.
//
// Files are polled once a second and compared by their content. File system notifications
// (fsnotify) would not do without polling as well: network file systems and bind-mounted
// single files report no change made elsewhere, and Kubernetes replaces mounted secrets by
// a symbolic link in a parent folder. The files are a few kilobytes, so that a poll of
// three takes less than 0.1 ms (BenchmarkPoll).
package reload
