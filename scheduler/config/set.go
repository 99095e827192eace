package config

import (
	"encoding/json"
	"iter"
	"slices"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Set is a whole policy: documents by kind and name. It is immutable; With
// makes another.
type Set struct {
	docs []Document // sorted by Key, keys unique
}

// NewSet builds a policy. Of documents with one key the last counts.
func NewSet(docs ...Document) *Set {
	sorted := slices.Clone(docs)
	slices.SortStableFunc(sorted, func(a, b Document) int { return a.Key().Compare(b.Key()) })
	out := sorted[:0]
	for _, d := range sorted {
		if n := len(out); n > 0 && out[n-1].Key() == d.Key() {
			out[n-1] = d
			continue
		}
		out = append(out, d)
	}
	return &Set{docs: slices.Clip(out)}
}

// Len returns the number of documents.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.docs)
}

// Get looks a document up.
func (s *Set) Get(k Key) (Document, bool) {
	if s == nil {
		return Document{}, false
	}
	i, ok := slices.BinarySearchFunc(s.docs, k, func(d Document, k Key) int { return d.Key().Compare(k) })
	if !ok {
		return Document{}, false
	}
	return s.docs[i], true
}

// All yields every document in order of Key.
func (s *Set) All() iter.Seq[Document] {
	return func(yield func(Document) bool) {
		if s == nil {
			return
		}
		for _, d := range s.docs {
			if !yield(d) {
				return
			}
		}
	}
}

// OfKind yields the documents of a kind in order of name.
func (s *Set) OfKind(kind Kind) iter.Seq[Document] {
	return func(yield func(Document) bool) {
		for d := range s.All() {
			if d.Kind == kind && !yield(d) {
				return
			}
		}
	}
}

// With returns the policy after the edits, in their order.
func (s *Set) With(edits ...Edit) *Set {
	gone := map[Key]bool{}
	put := map[Key]Document{}
	var order []Key
	for _, e := range edits {
		k := e.Key()
		if e.Put != nil {
			if _, seen := put[k]; !seen {
				order = append(order, k)
			}
			put[k] = *e.Put
		} else {
			delete(put, k)
			order = slices.DeleteFunc(order, func(o Key) bool { return o == k })
		}
		gone[k] = true
	}
	var docs []Document
	for d := range s.All() {
		if !gone[d.Key()] {
			docs = append(docs, d)
		}
	}
	for _, k := range order {
		docs = append(docs, put[k])
	}
	return NewSet(docs...)
}

// MarshalJSON writes the documents in order of Key.
func (s *Set) MarshalJSON() ([]byte, error) {
	if s.Len() == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(s.docs)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Set) UnmarshalJSON(data []byte) error {
	var docs []Document
	if err := json.Unmarshal(data, &docs); err != nil {
		return err
	}
	*s = *NewSet(docs...)
	return nil
}

// Site, Tariff and the rest look a body up by name; nil means that there is none.
func (s *Set) Site(name workload.SiteName) *Site {
	d, _ := s.Get(Key{KindSite, string(name)})
	return d.Site
}
func (s *Set) Tariff(name string) *Tariff { d, _ := s.Get(Key{KindTariff, name}); return d.Tariff }
func (s *Set) Coin(name workload.CoinName) *Coin {
	d, _ := s.Get(Key{KindCoin, string(name)})
	return d.Coin
}
func (s *Set) Pool(name workload.PoolName) *Pool {
	d, _ := s.Get(Key{KindPool, string(name)})
	return d.Pool
}
func (s *Set) Wallet(name string) *Wallet { d, _ := s.Get(Key{KindWallet, name}); return d.Wallet }
func (s *Set) Miner(name string) *Miner   { d, _ := s.Get(Key{KindMiner, name}); return d.Miner }
func (s *Set) Feed(name string) *Feed     { d, _ := s.Get(Key{KindFeed, name}); return d.Feed }
func (s *Set) Profile(model workload.ModelName) *DeviceProfile {
	d, _ := s.Get(Key{KindDeviceProfile, string(model)})
	return d.DeviceProfile
}
func (s *Set) Tenant(name workload.TenantName) *Tenant {
	d, _ := s.Get(Key{KindTenant, string(name)})
	return d.Tenant
}

// ClusterName is the name of the one Cluster document.
const ClusterName = "default"

// Cluster returns the cluster's settings with every default filled in.
func (s *Set) Cluster() Cluster {
	var c Cluster
	if d, ok := s.Get(Key{KindCluster, ClusterName}); ok && d.Cluster != nil {
		c = *d.Cluster
	}
	if c.Currency == "" {
		c.Currency = "USD"
	}
	if c.MaxGrace == 0 {
		c.MaxGrace = 10 * time.Minute
	}
	if c.MiningLease == 0 {
		c.MiningLease = workload.DefaultMiningLease
	}
	if c.MinDwell == 0 {
		c.MinDwell = 10 * time.Minute
	}
	if c.Horizon == 0 {
		c.Horizon = time.Hour
	}
	return c
}

// Issue is one fault of a document that may be well formed by itself.
type Issue struct {
	Document Key    `json:"document"`
	Path     string `json:"path,omitempty"` // inside the document, such as power.halls[1].cap
	Text     string `json:"text"`
	Next     string `json:"next,omitempty"` // what to do about it
}

func (i Issue) String() string {
	if i.Path == "" {
		return i.Document.String() + ": " + i.Text
	}
	return i.Document.String() + ": " + i.Path + ": " + i.Text
}
