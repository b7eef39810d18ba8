//go:build amd64 && !purego

#include "textflag.h"

// SHA-256 (FIPS 180-4 section 6.2) with the SHA extensions. The eight words of
// state stand in two registers as SHA256RNDS2 wants them, low word first:
//
//	ABEF = F E B A    CDGH = H G D C
//
// and sixteen words of message schedule in four: M0 to M3.

#define ABEF X1
#define CDGH X2
#define M0 X3
#define M1 X4
#define M2 X5
#define M3 X6
#define T X7
#define SWAP X8
#define OLD0 X9
#define OLD1 X10
#define R X11

// ROUNDS4 does four rounds with the schedule words in m and the constants
// 4·i … 4·i+3 at R8. SHA256RNDS2 takes its two words from X0.
#define ROUNDS4(m, i) \
	MOVOU       (i*16)(R8), X0 \
	PADDD       m, X0          \
	SHA256RNDS2 X0, ABEF, CDGH \
	PSHUFD      $0x0e, X0, X0  \
	SHA256RNDS2 X0, CDGH, ABEF

// SCHEDULE replaces the oldest four schedule words, in a, by the four that
// come after those in d.
#define SCHEDULE(a, b, c, d) \
	SHA256MSG1 b, a     \
	MOVOU      d, T     \
	PALIGNR    $4, c, T \
	PADDD      T, a     \
	SHA256MSG2 d, a

// COMPRESS does the 64 rounds of one block, whose words stand in M0 to M3, and
// adds the state from before them.
#define COMPRESS \
	MOVOU ABEF, OLD0 \
	MOVOU CDGH, OLD1 \
	ROUNDS4(M0, 0) \
	ROUNDS4(M1, 1) \
	ROUNDS4(M2, 2) \
	ROUNDS4(M3, 3) \
	SCHEDULE(M0, M1, M2, M3) \
	ROUNDS4(M0, 4) \
	SCHEDULE(M1, M2, M3, M0) \
	ROUNDS4(M1, 5) \
	SCHEDULE(M2, M3, M0, M1) \
	ROUNDS4(M2, 6) \
	SCHEDULE(M3, M0, M1, M2) \
	ROUNDS4(M3, 7) \
	SCHEDULE(M0, M1, M2, M3) \
	ROUNDS4(M0, 8) \
	SCHEDULE(M1, M2, M3, M0) \
	ROUNDS4(M1, 9) \
	SCHEDULE(M2, M3, M0, M1) \
	ROUNDS4(M2, 10) \
	SCHEDULE(M3, M0, M1, M2) \
	ROUNDS4(M3, 11) \
	SCHEDULE(M0, M1, M2, M3) \
	ROUNDS4(M0, 12) \
	SCHEDULE(M1, M2, M3, M0) \
	ROUNDS4(M1, 13) \
	SCHEDULE(M2, M3, M0, M1) \
	ROUNDS4(M2, 14) \
	SCHEDULE(M3, M0, M1, M2) \
	ROUNDS4(M3, 15) \
	PADDD OLD0, ABEF \
	PADDD OLD1, CDGH

#define START \
	LEAQ  roundConstants<>(SB), R8 \
	MOVOU byteSwap<>(SB), SWAP     \
	MOVOU initialABEF<>(SB), ABEF  \
	MOVOU initialCDGH<>(SB), CDGH

// FINISH writes the state to DI as A … H, big-endian.
#define FINISH \
	PSHUFD     $0x1b, ABEF, ABEF \
	PSHUFD     $0x1b, CDGH, CDGH \
	MOVOU      ABEF, T           \
	PUNPCKLQDQ CDGH, ABEF        \
	PUNPCKHQDQ CDGH, T           \
	PSHUFB     SWAP, ABEF        \
	PSHUFB     SWAP, T           \
	MOVOU      ABEF, (DI)        \
	MOVOU      T, 16(DI)

#define SWAPWORDS \
	PSHUFB SWAP, M0 \
	PSHUFB SWAP, M1 \
	PSHUFB SWAP, M2 \
	PSHUFB SWAP, M3

// func sumBlocks(dst *Hash, p *byte, blocks int)
TEXT ·sumBlocks(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ blocks+16(FP), CX
	START

block:
	MOVOU (SI), M0
	MOVOU 16(SI), M1
	MOVOU 32(SI), M2
	MOVOU 48(SI), M3
	SWAPWORDS
	COMPRESS
	ADDQ  $64, SI
	DECQ  CX
	JNZ   block
	FINISH
	RET

// func sumNode(dst, l, r *Hash)
TEXT ·sumNode(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ l+8(FP), SI
	MOVQ r+16(FP), DX
	START

	// The first block is 01, l and all of r but its last byte: l and r moved
	// up by one byte, each register taking the last byte of the one before.
	MOVOU   (SI), M0
	MOVOU   16(SI), M1
	MOVOU   (DX), M2
	MOVOU   16(DX), M3
	MOVOU   M3, R
	MOVOU   M2, T
	PALIGNR $15, T, M3
	MOVOU   M1, T
	PALIGNR $15, T, M2
	MOVOU   M0, T
	PALIGNR $15, T, M1
	MOVOU   nodePrefix<>(SB), T
	PALIGNR $15, T, M0
	SWAPWORDS
	COMPRESS

	// The second is the last byte of r and the padding, 65 bytes' worth.
	MOVOU   nodePadding<>(SB), M0
	PALIGNR $15, R, M0
	PXOR    M1, M1
	PXOR    M2, M2
	MOVOU   nodeLength<>(SB), M3
	SWAPWORDS
	COMPRESS
	FINISH
	RET

// func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET

DATA byteSwap<>+0(SB)/8, $0x0405060700010203
DATA byteSwap<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL byteSwap<>(SB), RODATA|NOPTR, $16

// 01 as the last of 16 bytes, the padding's first byte, and the length of 520
// bits, big-endian, as the last of 16 bytes.
DATA nodePrefix<>+0(SB)/8, $0
DATA nodePrefix<>+8(SB)/8, $0x0100000000000000
GLOBL nodePrefix<>(SB), RODATA|NOPTR, $16
DATA nodePadding<>+0(SB)/8, $0x80
DATA nodePadding<>+8(SB)/8, $0
GLOBL nodePadding<>(SB), RODATA|NOPTR, $16
DATA nodeLength<>+0(SB)/8, $0
DATA nodeLength<>+8(SB)/8, $0x0802000000000000
GLOBL nodeLength<>(SB), RODATA|NOPTR, $16

DATA initialABEF<>+0(SB)/8, $0x510e527f9b05688c
DATA initialABEF<>+8(SB)/8, $0x6a09e667bb67ae85
GLOBL initialABEF<>(SB), RODATA|NOPTR, $16

DATA initialCDGH<>+0(SB)/8, $0x1f83d9ab5be0cd19
DATA initialCDGH<>+8(SB)/8, $0x3c6ef372a54ff53a
GLOBL initialCDGH<>(SB), RODATA|NOPTR, $16

DATA roundConstants<>+0(SB)/8, $0x71374491428a2f98
DATA roundConstants<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA roundConstants<>+16(SB)/8, $0x59f111f13956c25b
DATA roundConstants<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA roundConstants<>+32(SB)/8, $0x12835b01d807aa98
DATA roundConstants<>+40(SB)/8, $0x550c7dc3243185be
DATA roundConstants<>+48(SB)/8, $0x80deb1fe72be5d74
DATA roundConstants<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA roundConstants<>+64(SB)/8, $0xefbe4786e49b69c1
DATA roundConstants<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA roundConstants<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA roundConstants<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA roundConstants<>+96(SB)/8, $0xa831c66d983e5152
DATA roundConstants<>+104(SB)/8, $0xbf597fc7b00327c8
DATA roundConstants<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA roundConstants<>+120(SB)/8, $0x1429296706ca6351
DATA roundConstants<>+128(SB)/8, $0x2e1b213827b70a85
DATA roundConstants<>+136(SB)/8, $0x53380d134d2c6dfc
DATA roundConstants<>+144(SB)/8, $0x766a0abb650a7354
DATA roundConstants<>+152(SB)/8, $0x92722c8581c2c92e
DATA roundConstants<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA roundConstants<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA roundConstants<>+176(SB)/8, $0xd6990624d192e819
DATA roundConstants<>+184(SB)/8, $0x106aa070f40e3585
DATA roundConstants<>+192(SB)/8, $0x1e376c0819a4c116
DATA roundConstants<>+200(SB)/8, $0x34b0bcb52748774c
DATA roundConstants<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA roundConstants<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA roundConstants<>+224(SB)/8, $0x78a5636f748f82ee
DATA roundConstants<>+232(SB)/8, $0x8cc7020884c87814
DATA roundConstants<>+240(SB)/8, $0xa4506ceb90befffa
DATA roundConstants<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL roundConstants<>(SB), RODATA|NOPTR, $256
