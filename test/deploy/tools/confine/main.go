// Command confine runs a program under what systemd makes of SystemCallFilter= and
// MemoryDenyWriteExecute=yes: calls that are not in a list, separated by commas, and
// memory that could be written and executed are refused with EPERM.
// Usage: confine CALLS PROGRAM [ARGUMENT …]
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(calls string, command []string) error {
	machine, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	allowed := slices.DeleteFunc(strings.Split(calls, ","), func(name string) bool {
		_, known := machine.SyscallNames[name] // systemd lists those of every machine
		return !known
	})
	slices.Sort(allowed)
	allowed = slices.Compact(allowed)
	const refuse = seccomp.ActionErrno // EPERM
	argument := func(bits uint64) seccomp.Condition {
		return seccomp.Condition{Argument: 2, Operation: seccomp.BitsSet, Value: bits}
	}
	for _, policy := range []seccomp.Policy{
		{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{{Action: refuse, NamesWithCondtions: []seccomp.NameWithConditions{
			{Name: "mmap", Conditions: seccomp.ArgumentConditions{argument(syscall.PROT_WRITE), argument(syscall.PROT_EXEC)}},
			{Name: "mprotect", Conditions: seccomp.ArgumentConditions{argument(syscall.PROT_EXEC)}},
			{Name: "pkey_mprotect", Conditions: seccomp.ArgumentConditions{argument(syscall.PROT_EXEC)}},
		}}}},
		{DefaultAction: refuse, Syscalls: []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: allowed}}},
	} {
		if err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy}); err != nil {
			return err
		}
	}
	return syscall.Exec(command[0], command, os.Environ())
}
