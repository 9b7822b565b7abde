#include "textflag.h"

// SAMPLE adds one sample to sums+at. Its offset in bytes is in offset; the lane that
// lane names holds the weights of its left pixels in X0 and of its right ones in X1,
// the upper pixel's below the lower one's. Interleaved, each colour of the upper and
// the lower pixel lie side by side, as PMADDWL wants them.
#define SAMPLE(offset, lane, at) \
	MOVQ      (SI)(offset*1), X2 \ // upper left and upper right
	MOVQ      (DI)(offset*1), X3 \ // lower left and lower right
	PSHUFD    lane, X0, X4       \
	PSHUFD    lane, X1, X5       \
	PUNPCKLBW X3, X2             \
	MOVO      X2, X3             \
	PUNPCKLBW X15, X2            \
	PSRLO     $6, X3             \ // the right pixels
	PUNPCKLBW X15, X3            \
	PMADDWL   X4, X2             \
	PMADDWL   X5, X3             \
	MOVOU     at(R8), X4         \
	PADDL     X3, X2             \
	PADDL     X4, X2             \
	MOVOU     X2, at(R8)

// SPREAD fills the four lanes of a register with a number.
#define SPREAD(number, to) \
	MOVQ   number, to   \
	PSHUFD $0, to, to

// RAMP fills lanes with from, from+step, from+2*step and from+3*step and makes step
// what four of them take.
#define RAMP(from, to, step) \
	SPREAD(from, to)        \
	MOVO   step, X0         \
	PSLLO  $4, X0           \
	PADDL  X0, to           \
	PSLLO  $4, X0           \
	PADDL  X0, to           \
	PSLLO  $4, X0           \
	PADDL  X0, to           \
	PSLLL  $2, step

// func addFours(sums *sum, fours int, pix *byte, stride int, x, y, dx, dy int32)
//
// SSE2, which every amd64 processor has. The lanes of a register are four samples
// until their weights and offsets are known; then each sample is a register, and the
// lanes are its colours.
TEXT ·addFours(SB), NOSPLIT, $0-48
	MOVQ sums+0(FP), R8
	MOVQ fours+8(FP), R9
	MOVQ pix+16(FP), SI
	MOVQ stride+24(FP), AX
	LEAQ (SI)(AX*1), DI // a row below
	PXOR X15, X15

	ORL $0x30000, AX // times a word of y and one of x: y*stride + 3*x
	SPREAD(AX, X14)
	MOVL $0xff, AX
	SPREAD(AX, X13)
	MOVL $0x4000, AX // the sum of the weights
	SPREAD(AX, X12)

	MOVL dx+40(FP), AX
	SPREAD(AX, X10)
	MOVL x+32(FP), AX
	RAMP(AX, X8, X10)
	MOVL dy+44(FP), AX
	SPREAD(AX, X11)
	MOVL y+36(FP), AX
	RAMP(AX, X9, X11)

loop:
	// The fractions become the weights: those of the right pixels are fx less the
	// lower right's, those of the lower ones fy less it, and the rest is the upper
	// left's.
	MOVO    X8, X1
	PSRLL   $8, X1
	PAND    X13, X1     // fx
	MOVO    X9, X2
	PSRLL   $8, X2
	PAND    X13, X2     // fy
	MOVO    X1, X3
	PMADDWL X2, X3
	PSRLL   $2, X3      // lower right
	PSLLL   $6, X1
	PSUBL   X3, X1      // upper right
	PSLLL   $6, X2
	PSUBL   X3, X2      // lower left
	MOVO    X12, X0
	PSUBL   X1, X0
	PSUBL   X2, X0
	PSUBL   X3, X0      // upper left
	PSLLL   $16, X2
	POR     X2, X0
	PSLLL   $16, X3
	POR     X3, X1

	MOVO    X8, X2
	PSRLL   $16, X2
	PSLLL   $16, X2
	MOVO    X9, X3
	PSRLL   $16, X3
	POR     X3, X2
	PMADDWL X14, X2     // offsets
	PADDL   X10, X8
	PADDL   X11, X9

	MOVQ   X2, AX
	PSHUFD $0xEE, X2, X2
	MOVQ   X2, CX
	MOVL   AX, BX
	SHRQ   $32, AX
	MOVL   CX, DX
	SHRQ   $32, CX
	SAMPLE(BX, $0x00, 0)
	SAMPLE(AX, $0x55, 16)
	SAMPLE(DX, $0xAA, 32)
	SAMPLE(CX, $0xFF, 48)

	ADDQ $64, R8
	DECQ R9
	JNZ  loop
	RET

// func roundFours(out *byte, sums *sum, fours int, shift uint)
//
// Pixels are written in four bytes each, of which the next pixel overwrites the
// fourth.
TEXT ·roundFours(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ sums+8(FP), SI
	MOVQ fours+16(FP), R9
	MOVQ shift+24(FP), CX
	MOVQ CX, X5
	MOVL $1, AX
	SHLL CX, AX
	SHRL $1, AX
	SPREAD(AX, X4)

next:
	MOVOU    (SI), X0
	MOVOU    16(SI), X1
	MOVOU    32(SI), X2
	MOVOU    48(SI), X3
	PADDL    X4, X0
	PADDL    X4, X1
	PADDL    X4, X2
	PADDL    X4, X3
	PSRLL    X5, X0
	PSRLL    X5, X1
	PSRLL    X5, X2
	PSRLL    X5, X3
	PACKSSLW X1, X0
	PACKSSLW X3, X2
	PACKUSWB X2, X0

	MOVQ   X0, AX
	PSHUFD $0xEE, X0, X0
	MOVQ   X0, BX
	MOVL   AX, (DI)
	SHRQ   $32, AX
	MOVL   AX, 3(DI)
	MOVL   BX, 6(DI)

	// The last blue of the third pixel and the fourth pixel, so that nothing is
	// written behind it.
	MOVQ    BX, DX
	SHRQ    $32, DX
	SHLL    $8, DX
	SHRL    $16, BX
	MOVBLZX BX, BX
	ORL     DX, BX
	MOVL    BX, 8(DI)

	ADDQ $64, SI
	ADDQ $12, DI
	DECQ R9
	JNZ  next
	RET
