package httpapi

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// refuseHandshakes has the kernel drop the first packet of every further TCP
// handshake, so that its client sends it again after a second, when the listener
// is closed and the answer is a refusal. Handshakes that have begun are completed.
//
// The filter is classic BPF (Linux Documentation/networking/filter.rst). What it
// sees of a packet to a TCP socket begins with the TCP header, whose byte 13 holds
// the flags (RFC 9293, section 3.1).
func refuseHandshakes(raw syscall.RawConn) error {
	const flags, syn, keep = 13, 0x02, 0xffffffff
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: keep},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	if err != nil {
		return err
	}
	return failed
}

// waiting reports whether a connection is there to be accepted.
func waiting(raw syscall.RawConn) bool {
	ready := false
	_ = raw.Control(func(fd uintptr) {
		ask := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ask, 0)
		ready = err == nil && n > 0
	})
	return ready
}
