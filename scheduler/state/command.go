// Package state is what the cluster knows: the replicated state, the commands
// that change it and the one function, Apply, that does so. It is deterministic
// and knows nothing of Raft: equal states given equal commands stay equal, on
// every machine and in every version that knows the command.
//
// The log records outcomes, never instructions to think: a plan arrives decided
// and Apply only checks that what it was decided on still holds. Values inside
// the maps are replaced, never edited in place, so that View is a shallow copy.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// SchemaVersion is the version of the commands that this program writes. A
// command of a higher version stops a server rather than being skipped.
const SchemaVersion = 1

// Command is one entry of the log: a header and exactly one body.
type Command struct {
	Version int `json:"v"`
	// Request is unique to the request; a repeat within a day of log time is
	// answered with the first result and changes nothing.
	Request string `json:"req"`
	Actor   string `json:"actor"` // who asked: a person's name, node/<id> or scheduler
	// At is the proposer's market clock, Wall its real clock. Both are clamped
	// so that the log's time never runs backwards.
	At   workload.Instant `json:"at"`
	Wall workload.Instant `json:"wall"`

	Policy  *PolicyChanged     `json:"policy,omitempty"`
	Quotes  *QuotesObserved    `json:"quotes,omitempty"`
	Node    *NodeRegistered    `json:"node,omitempty"`
	Devices *DevicesChanged    `json:"devices,omitempty"`
	Silent  *NodesSilent       `json:"silent,omitempty"`
	Lost    *AttemptLost       `json:"lost,omitempty"`
	Fence   *NodeFenced        `json:"fence,omitempty"`
	Events  *WorkloadsReported `json:"events,omitempty"`
	Submit  *JobSubmitted      `json:"submit,omitempty"`
	Cancel  *JobCancelled      `json:"cancel,omitempty"`
	Plan    *Plan              `json:"plan,omitempty"`
	Server  *ServerAnnounced   `json:"server,omitempty"`
	Token   *TokenIssued       `json:"token,omitempty"`
	Consume *TokenConsumed     `json:"consume,omitempty"`
	Bearer  *BearerIssued      `json:"bearer,omitempty"`
	Summed  *StateSummed       `json:"summed,omitempty"`
}

// StateSummed tells the SHA-256 of a server's state, as Save writes it, after an
// entry. It changes nothing; the servers compare it with their own.
type StateSummed struct {
	Server string `json:"server"`
	Index  uint64 `json:"index"`
	Sum    string `json:"sum"` // hex
}

// PolicyChanged copies one revision of the policy out of etcd.
type PolicyChanged struct {
	Revision  int64       `json:"revision"`
	Documents *config.Set `json:"documents"` // the whole policy
}

// QuotesObserved carries what the feeds read, the energy prices that follow
// from them and from tariffs, and what simpler rules would now net.
type QuotesObserved struct {
	Observations []market.Observation                `json:"observations,omitempty"`
	Energy       map[workload.SiteName][]ledger.Step `json:"energy,omitempty"`
	Baseline     *ledger.Baseline                    `json:"baseline,omitempty"`
}

// NodeRegistered is a node's own account at the start of a session.
type NodeRegistered struct {
	Node     workload.NodeID         `json:"node"`
	Site     workload.SiteName       `json:"site"`
	Hall     workload.HallName       `json:"hall,omitempty"`
	Rack     workload.RackName       `json:"rack,omitempty"`
	Boot     workload.BootID         `json:"boot"`
	Instance string                  `json:"instance"`
	Version  string                  `json:"version"`
	Address  string                  `json:"address"`
	Sim      bool                    `json:"sim,omitempty"`
	Devices  []workload.Device       `json:"devices"`
	Running  []Running               `json:"running,omitempty"`
	Drivers  []workload.DriverStatus `json:"drivers,omitempty"`
}

// Running is one workload that a node says is alive.
type Running struct {
	Devices []workload.DeviceID `json:"devices"`
	Epoch   workload.Epoch      `json:"epoch"`
	Pid     int64               `json:"pid"`
}

// DevicesChanged replaces the description of some of a node's devices.
type DevicesChanged struct {
	Node    workload.NodeID   `json:"node"`
	Devices []workload.Device `json:"devices"`
	// Drivers replaces what is known of the node's drivers; nil = no change.
	Drivers []workload.DriverStatus `json:"drivers,omitempty"`
}

// NodesSilent is the leader's judgement of who no longer answers; registering
// anew takes it back.
type NodesSilent struct {
	Nodes []workload.NodeID `json:"nodes"`
}

// AttemptLost ends an attempt whose lease has certainly run out unheard.
type AttemptLost struct {
	Job     workload.JobID `json:"job"`
	Attempt int            `json:"attempt"`
}

// NodeFenced is a person's word that a node's boot is over: the machine is
// powered off. The boot is named, because a word about one that has ended stays
// true however late it is committed, while "the node is off" may not.
type NodeFenced struct {
	Node workload.NodeID `json:"node"`
	Boot workload.BootID `json:"boot"`
}

// WorkloadsReported carries events of one node in the order of its journal.
type WorkloadsReported struct {
	Node   workload.NodeID `json:"node"`
	Events []WorkloadEvent `json:"events"`
}

// EventKind says what happened to a workload.
type EventKind string

const (
	// Freed: nothing of an earlier epoch runs on the device any more; it is
	// ready for Epoch. Reported for every new epoch, also one that parks and
	// also where nothing ran: it is what tells that a rank that was never
	// started is not coming.
	EventFreed       EventKind = "freed"
	EventStarted     EventKind = "started"      // the workload of Epoch runs
	EventStopped     EventKind = "stopped"      // ended because it was told to
	EventExited      EventKind = "exited"       // ended by itself
	EventStartFailed EventKind = "start_failed" // could not be started
	EventRefused     EventKind = "refused"      // the order's epoch was stale
)

// WorkloadEvent is one thing that happened to one device's workload.
type WorkloadEvent struct {
	Seq     uint64            `json:"seq"`
	Kind    EventKind         `json:"kind"`
	Device  workload.DeviceID `json:"device"`
	Epoch   workload.Epoch    `json:"epoch"`
	Job     workload.JobID    `json:"job,omitempty"`
	Attempt int               `json:"attempt,omitempty"`
	Pid     int64             `json:"pid,omitempty"`
	Code    int               `json:"code,omitempty"`
	Saved   bool              `json:"saved,omitempty"`
	Cause   string            `json:"cause,omitempty"` // order | lease | self | reboot
	Note    string            `json:"note,omitempty"`
}

// JobSubmitted adds a job.
type JobSubmitted struct {
	Spec workload.Spec `json:"spec"`
	YAML string        `json:"yaml,omitempty"` // as the person wrote it
}

// JobCancelled ends a job.
type JobCancelled struct {
	Job workload.JobID `json:"job"`
}

// ServerAnnounced tells where a server's gRPC listener is, so that others can
// forward and agents be redirected.
type ServerAnnounced struct {
	ID   string `json:"id"`
	GRPC string `json:"grpc"`
	Raft string `json:"raft"`
	HTTP string `json:"http"`
}

// TokenIssued adds a join token (stored as a hash).
type TokenIssued struct {
	ID      string           `json:"id"`
	Hash    string           `json:"hash"`           // hex SHA-256
	Role    string           `json:"role"`           // node | server
	Name    string           `json:"name,omitempty"` // the only machine it is for
	Expires workload.Instant `json:"expires"`        // real clock
}

// TokenConsumed spends a join token: the log orders two uses of one token, so
// the second is refused on every server.
type TokenConsumed struct {
	ID   string `json:"id"`
	Hash string `json:"hash"`
	Name string `json:"name"`
}

// BearerIssued gives a person, or a program of theirs, a token.
type BearerIssued struct {
	ID      string           `json:"id"`
	Hash    string           `json:"hash"` // hex SHA-256 of the secret
	Name    string           `json:"name"`
	Roles   []string         `json:"roles"`
	Created workload.Instant `json:"created"` // real clock
}

// Encode gives the bytes that go into the log and the history.
func Encode(c Command) ([]byte, error) { return json.Marshal(c) }

// Decode reads a command. A command of a later schema, or with a field this
// version does not know, is an error of kind Internal: the caller must stop
// applying rather than skip it.
func Decode(data []byte) (Command, error) {
	var c Command
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&c)
	if err == nil {
		_, err = dec.Token()
		if err == io.EOF {
			err = strictPolicy(data, c)
		} else {
			err = errors.New("there is more after its end")
		}
	}
	if err != nil {
		return c, workload.Errorf(workload.Internal, "this version cannot read a command of the log: %w", err).
			Hint("upgrade this server to the version of the others")
	}
	if c.Version > SchemaVersion {
		return c, workload.Errorf(workload.Internal, "the log holds a command of schema %d, this version knows %d", c.Version, SchemaVersion).
			Hint("upgrade this server to the version of the others")
	}
	return c, nil
}

// strictPolicy reads the documents of a policy once more: their set decodes
// itself and lets fields pass that it does not know, which would make two
// versions hold two policies.
func strictPolicy(data []byte, c Command) error {
	if c.Policy == nil {
		return nil
	}
	var raw struct {
		Policy struct {
			Documents json.RawMessage `json:"documents"`
		} `json:"policy"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw.Policy.Documents))
	dec.DisallowUnknownFields()
	var docs []config.Document
	if err := dec.Decode(&docs); err != nil {
		return err
	}
	for i := range docs {
		if docs[i].Body() == nil {
			return fmt.Errorf("document %s has no body that this version knows", docs[i].Key())
		}
	}
	return nil
}

// bodies counts the bodies of a command; there must be one.
func (c Command) bodies() int {
	n := 0
	for _, set := range []bool{c.Policy != nil, c.Quotes != nil, c.Node != nil, c.Devices != nil, c.Silent != nil, c.Lost != nil, c.Fence != nil,
		c.Events != nil, c.Submit != nil, c.Cancel != nil, c.Plan != nil, c.Server != nil, c.Token != nil, c.Consume != nil, c.Bearer != nil, c.Summed != nil} {
		if set {
			n++
		}
	}
	return n
}

// Result is what applying a command came to.
type Result struct {
	Job  workload.JobID `json:"job,omitempty"`
	Kind workload.Kind  `json:"kind,omitempty"` // of Error
	// Error is empty on success. A refused command changed nothing but the
	// memory of its request.
	Error string `json:"error,omitempty"`
	Next  string `json:"next,omitempty"`
	// Refused lists the parts of a plan that no longer applied.
	Refused []Refusal `json:"refused,omitempty"`
	Role    string    `json:"role,omitempty"` // of a consumed token
	// Repeat is set when the request had been applied before.
	Repeat bool `json:"repeat,omitempty"`
}

// Err returns the refusal as an error, or nil.
func (r Result) Err() error {
	if r.Error == "" {
		return nil
	}
	return &workload.Error{Kind: r.Kind, Text: r.Error, Next: r.Next}
}

func refuse(err *workload.Error) Result {
	return Result{Kind: err.Kind, Error: err.Text, Next: err.Next}
}
