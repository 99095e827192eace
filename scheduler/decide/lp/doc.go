// Package lp solves linear programs with bounded rows and columns by a sparse
// revised simplex method, primal and dual. It is a package of its own because
// it is pure mathematics: no scheduler types, no clock, no goroutines, no
// randomness. The same model, start and limit give the same bits on every
// architecture: each product that meets an addition is rounded on its own
// (float64(a*b)), scale factors are powers of two, and every choice ends in an
// index as the tie-break.
//
// What it returns is floating point and therefore a proposal. A caller that
// needs a proof rounds the duals and evaluates a bound in exact arithmetic, as
// package decide does.
package lp
