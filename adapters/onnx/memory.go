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

// releaseMemory returns free memory to the system. While a network of 39 MB is loaded
// there are three copies of it (the file, parsed and packed by ONNX Runtime), of which
// some 30 MB would stay resident.
func releaseMemory() {
	debug.FreeOSMemory()
	C.trim()
}
