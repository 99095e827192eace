// Package bm is the protocol of Bitmain's BM13xx hashing chips on a serial
// line: frames and their checksums, commands, jobs, replies, and the arithmetic
// of clocks and tickets. It is pure; the serial port, time and the pool are
// package serial's. Host and emulated chip share it, and so do both sides'
// tests: what one encodes the other must decode.
//
// A chip that is not here yet is a row of Models, and a Framing where its
// frames differ.
package bm
