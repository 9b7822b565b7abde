package servers

import "syscall"

// tether has the system kill a program when the thread that starts it ends.
func tether(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
