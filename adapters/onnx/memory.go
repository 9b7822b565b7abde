package onnx

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void trim(void) { malloc_trim(0); }
#else
static void trim(void) {}
#endif
*/
import "C"

import "runtime/debug"

// releaseMemory gives what is free back to the system. A network of 39 MB is in memory
// three times over while it is loaded (the file, what ONNX Runtime parses and what it
// packs), and without this some 30 MB of that stay resident.
func releaseMemory() {
	debug.FreeOSMemory()
	C.trim()
}
