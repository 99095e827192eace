// Package config is what people write: every kind of policy document and the
// job, read from YAML with a place for each fault, checked, compared, rendered
// back, and evaluated at an instant. It is pure: it reads no clock, no file and
// no network; package config/etcd stores the documents.
//
// One struct tag drives reading, rendering and comparing, so that the three
// cannot disagree: `doc:"key,unit,flag"`, where unit names how the scalar is
// written (see units.go) and the flag "required" says that the key must be
// there. The json tags are the form in which documents travel in the log:
// integers in the units of package workload, snake_case, never changed.
package config

import (
	"cmp"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Kind names a kind of document as written after "kind:".
type Kind string

// The kinds of policy. KindJob is a kind of file, never a part of a Set.
const (
	KindCluster       Kind = "Cluster"
	KindSite          Kind = "Site"
	KindTariff        Kind = "Tariff"
	KindCalendar      Kind = "Calendar"
	KindTarget        Kind = "Target"
	KindOverride      Kind = "Override"
	KindCoin          Kind = "Coin"
	KindPool          Kind = "Pool"
	KindWallet        Kind = "Wallet"
	KindMiner         Kind = "Miner"
	KindDeviceProfile Kind = "DeviceProfile"
	KindTenant        Kind = "Tenant"
	KindFeed          Kind = "Feed"
	KindRoleBinding   Kind = "RoleBinding"

	KindJob Kind = "Job"
)

// Kinds lists the kinds of policy in the order in which pages list them.
var Kinds = []Kind{KindCluster, KindSite, KindTariff, KindCalendar, KindTarget, KindOverride, KindCoin, KindPool,
	KindWallet, KindMiner, KindDeviceProfile, KindTenant, KindFeed, KindRoleBinding}

func kindIndex(k Kind) int {
	for i, known := range Kinds {
		if k == known {
			return i
		}
	}
	return len(Kinds)
}

// Document is one policy document: its kind, its name and the body of that
// kind; the other bodies are nil. Documents are replaced, never edited.
type Document struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`

	Cluster       *Cluster       `json:"cluster,omitempty"`
	Site          *Site          `json:"site,omitempty"`
	Tariff        *Tariff        `json:"tariff,omitempty"`
	Calendar      *Calendar      `json:"calendar,omitempty"`
	Target        *Target        `json:"target,omitempty"`
	Override      *Override      `json:"override,omitempty"`
	Coin          *Coin          `json:"coin,omitempty"`
	Pool          *Pool          `json:"pool,omitempty"`
	Wallet        *Wallet        `json:"wallet,omitempty"`
	Miner         *Miner         `json:"miner,omitempty"`
	DeviceProfile *DeviceProfile `json:"device_profile,omitempty"`
	Tenant        *Tenant        `json:"tenant,omitempty"`
	Feed          *Feed          `json:"feed,omitempty"`
	RoleBinding   *RoleBinding   `json:"role_binding,omitempty"`
}

// Key identifies a document.
type Key struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// Key returns the document's kind and name.
func (d Document) Key() Key { return Key{d.Kind, d.Name} }

func (k Key) String() string { return string(k.Kind) + "/" + k.Name }

// Compare orders keys by kind as in Kinds, then by name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(kindIndex(k.Kind), kindIndex(other.Kind)), cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Name, other.Name))
}

// ParseKey reads "Target/ai-share"; the kind's case does not matter.
func ParseKey(s string) (Key, error) {
	kind, name, ok := strings.Cut(s, "/")
	if ok && name != "" {
		for _, k := range Kinds {
			if strings.EqualFold(kind, string(k)) {
				return Key{k, name}, nil
			}
		}
	}
	return Key{}, workload.Errorf(workload.Invalid, "%q is not of the form Kind/name", s).Hint("kinds: %s", joinKinds())
}

func joinKinds() string {
	names := make([]string, len(Kinds))
	for i, k := range Kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// Body returns a pointer to the body, or nil when the document has none.
func (d *Document) Body() any {
	switch {
	case d.Cluster != nil:
		return d.Cluster
	case d.Site != nil:
		return d.Site
	case d.Tariff != nil:
		return d.Tariff
	case d.Calendar != nil:
		return d.Calendar
	case d.Target != nil:
		return d.Target
	case d.Override != nil:
		return d.Override
	case d.Coin != nil:
		return d.Coin
	case d.Pool != nil:
		return d.Pool
	case d.Wallet != nil:
		return d.Wallet
	case d.Miner != nil:
		return d.Miner
	case d.DeviceProfile != nil:
		return d.DeviceProfile
	case d.Tenant != nil:
		return d.Tenant
	case d.Feed != nil:
		return d.Feed
	case d.RoleBinding != nil:
		return d.RoleBinding
	}
	return nil
}

// newBody gives the document an empty body of its kind and returns it, or nil
// for a kind that is none.
func (d *Document) newBody() any {
	switch d.Kind {
	case KindCluster:
		d.Cluster = new(Cluster)
	case KindSite:
		d.Site = new(Site)
	case KindTariff:
		d.Tariff = new(Tariff)
	case KindCalendar:
		d.Calendar = new(Calendar)
	case KindTarget:
		d.Target = new(Target)
	case KindOverride:
		d.Override = new(Override)
	case KindCoin:
		d.Coin = new(Coin)
	case KindPool:
		d.Pool = new(Pool)
	case KindWallet:
		d.Wallet = new(Wallet)
	case KindMiner:
		d.Miner = new(Miner)
	case KindDeviceProfile:
		d.DeviceProfile = new(DeviceProfile)
	case KindTenant:
		d.Tenant = new(Tenant)
	case KindFeed:
		d.Feed = new(Feed)
	case KindRoleBinding:
		d.RoleBinding = new(RoleBinding)
	}
	return d.Body()
}
