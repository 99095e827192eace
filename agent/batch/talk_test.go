package batch

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
)

// talk is one handshake and one message between two identities.
func talk(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			heard <- err
			return
		}
		defer conn.Close()
		_, err = newLink(tls.Server(conn, server)).receive()
		heard <- err
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		defer conn.Close()
		err = newLink(conn).send(message{Kind: kindHello})
	}
	return errors.Join(err, <-heard)
}
