// Package imaging implements ports.Decoder for JPEG and PNG over libjpeg-turbo
// and libpng: it reads size, kind and orientation from the file's own header in
// Go, refuses what is damaged, unsupported or too large before a pixel is
// allocated, waits until the memory that the picture needs fits into the budget
// shared by all calls, and decodes the smallest copy that still serves the
// caller, upright. All C code is in libjpeg.c and libpng.c.
package imaging
