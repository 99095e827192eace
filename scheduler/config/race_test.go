//go:build race

package config

// slower is how much the race detector is allowed to slow down what is timed.
const slower = 10
