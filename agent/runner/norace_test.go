//go:build !race

package runner

const raceFactor = 1
