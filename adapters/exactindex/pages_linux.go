package exactindex

import (
	"syscall"
	"unsafe"
)

// preferLargePages asks for large pages behind memory that was not used yet. A system
// that has none refuses, which changes nothing but the speed.
func preferLargePages(memory []byte) {
	page := uintptr(syscall.Getpagesize())
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(memory))) & (page - 1))
	if whole := (len(memory) - skip) &^ int(page-1); whole > 0 {
		_ = syscall.Madvise(memory[skip:skip+whole], syscall.MADV_HUGEPAGE)
	}
}
