package batch

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// message is one line between keepers, and between srun and its keeper.
type message struct {
	Kind   string  `json:"kind"`
	Rank   int     `json:"rank,omitempty"` // of the node that says hello
	Step   int     `json:"step,omitempty"`
	Launch *Launch `json:"launch,omitempty"`
	Task   int     `json:"task,omitempty"`
	Stream int     `json:"stream,omitempty"` // 1 standard output, 2 standard error
	Data   []byte  `json:"data,omitempty"`
	Code   int     `json:"code,omitempty"` // of a task: 128 + signal where one ended it
	Signal int     `json:"signal,omitempty"`
	Text   string  `json:"text,omitempty"`
}

const (
	kindHello  = "hello"  // a node calls in
	kindLaunch = "launch" // start tasks
	kindOutput = "output" // of a task
	kindExit   = "exit"   // of a task
	kindSignal = "signal" // to all tasks of a step
	kindRefuse = "refuse" // a step cannot be started: Text says why
	kindDone   = "done"   // the script, or the step, has ended
)

// Launch is one step.
type Launch struct {
	Argv  []string `json:"argv"`
	Env   []string `json:"env"`
	Dir   string   `json:"dir"`
	Nodes []string `json:"nodes,omitempty"` // empty: as many as the step needs, from the first
	// NodeCount, Tasks and PerNode are 0 where they follow from the job.
	NodeCount int `json:"node_count,omitempty"`
	Tasks     int `json:"tasks,omitempty"`
	PerNode   int `json:"per_node,omitempty"`
	GPUs      int `json:"gpus,omitempty"` // for each task; 0 = all of the node's to each
	// Filled in by the keeper: the first task of each node and how many it has.
	First  int      `json:"first,omitempty"`
	Count  int      `json:"count,omitempty"`
	List   []string `json:"list,omitempty"`    // nodes of the step
	NodeID int      `json:"node_id,omitempty"` // this node's place in List
	Counts []int    `json:"counts,omitempty"`
}

// link sends and receives messages; Send may be called from anywhere.
type link struct {
	conn net.Conn
	in   *json.Decoder
	mu   sync.Mutex
	out  *json.Encoder
}

func newLink(conn net.Conn) *link {
	return &link{conn: conn, in: json.NewDecoder(conn), out: json.NewEncoder(conn)}
}

func (l *link) send(m message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Encode(m)
}

func (l *link) receive() (message, error) {
	var m message
	err := l.in.Decode(&m)
	return m, err
}

// identity derives the certificate that all keepers of one job share. Whoever
// has the job's key has it; nobody else is spoken to.
func identity(key string) (*tls.Config, error) {
	if len(key) < 16 {
		return nil, errors.New("the job has no key for its keepers")
	}
	seed := sha256.Sum256([]byte("sluice batch keeper " + key))
	private := ed25519.NewKeyFromSeed(seed[:])
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"keeper"}}
	der, err := x509.CreateCertificate(nil, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		ClientAuth:   tls.RequireAnyClientCert,
		// The name and the issuer say nothing here; the key is all.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) != 1 || !bytes.Equal(s.PeerCertificates[0].Raw, der) {
				return errors.New("the other side does not belong to this job")
			}
			return nil
		},
	}, nil
}

// socketName is the socket of srun in a run's own directory.
const socketName = "steps.sock"

// socket runs f with a short path of the socket: that of a Unix socket may have
// 107 bytes, which data directories exceed.
func socket(dir string, f func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), socketName))
}

func dialSocket(dir string) (*link, error) {
	var conn net.Conn
	err := socket(dir, func(path string) (err error) {
		conn, err = net.DialTimeout("unix", path, 5*time.Second)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the job's keeper does not answer: %w", err)
	}
	return newLink(conn), nil
}
