// Package e2e tests the whole program as people run it: real processes of the
// built binary, real etcd, real sockets and disks, kill -9. It holds tests
// alone. They build the binary once, with the race detector; a race found by
// any process fails the test that started it.
package e2e
