// Package decide answers, once per round, what every device of a fleet should
// do: mine one of several options, run a job, or stay parked. It is a pure
// function of values: no clock, no randomness, no map order, no goroutines, no
// input or output. The same Problem gives the same bytes on every machine.
//
// Devices collapse into classes, so the question is about counts. Validate
// names every defect of a Problem; Solve answers a valid one with a Plan and a
// Certificate, an integer proof of how far the plan can be from the best one;
// Verify checks plan and proof with code of its own. Explain turns the numbers
// behind one device or job into typed lines, WhatIf solves a changed question
// from the same start, and Place maps counts to concrete devices.
//
// DESIGN.md in this folder has the model, the proof and the measured figures.
package decide
