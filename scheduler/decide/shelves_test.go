package decide

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// yard is one class on nodes of the given sizes, each job with one offer.
func yard(sizes []int64, jobs ...Offer) (Problem, Inventory, Plan) {
	p := Problem{Zones: []Zone{{Parent: None, CapW: -1}}, Tenants: 1, Coins: 1, Policy: Policy{HorizonMinutes: 60}, Classes: []Class{{Trainable: true}}}
	var inv Inventory
	for n, size := range sizes {
		p.Classes[0].Nodes = append(p.Classes[0].Nodes, NodeShape{Node: n, Free: size, Total: size})
		p.Classes[0].Devices += size
		for range size {
			inv.Devices = append(inv.Devices, Device{Node: n})
		}
	}
	var pl Plan
	for j, o := range jobs {
		o.Job = j
		p.Jobs = append(p.Jobs, Job{Current: None})
		p.Offers = append(p.Offers, o)
		pl.Jobs = append(pl.Jobs, j)
	}
	return p, inv, pl
}

func nodesOf(inv Inventory, got Placement, offer int) map[int]int {
	on := map[int]int{}
	for d, u := range got.Uses {
		if u == (Use{UseJob, offer}) {
			on[inv.Devices[d].Node]++
		}
	}
	return on
}

func TestSinglesSpareRoomForGangs(t *testing.T) {
	// Gangs of two run here: a single goes to the node of three, where it leaves a
	// pair, and not to the fuller one of two, where it would break one up.
	p, inv, pl := yard([]int64{3, 2}, Offer{Width: 1}, Offer{Width: 2, PerNode: 2})
	pl.Jobs[1] = None
	got, _ := Place(inv, Placement{}, &p, pl)
	if on := nodesOf(inv, got, 0); on[0] != 1 {
		t.Errorf("the single is on %v", on)
	}
	p, inv, pl = yard([]int64{3, 2}, Offer{Width: 1}) // nobody else: the fullest
	if got, _ = Place(inv, Placement{}, &p, pl); nodesOf(inv, got, 0)[1] != 1 {
		t.Errorf("the single is on %v", nodesOf(inv, got, 0))
	}
}

func TestGangsPreferOneIslandAndOneRack(t *testing.T) {
	p, inv, pl := yard([]int64{8, 8}, Offer{Width: 4, PerNode: 4})
	for d := range inv.Devices { // linked in turn on the first node, in halves on the second
		i := d % 8
		if inv.Devices[d].Island = 1 + i%2; d >= 8 {
			inv.Devices[d].Island = 1 + i/4
		}
	}
	got, _ := Place(inv, Placement{}, &p, pl)
	seen := map[[2]int]int{}
	for d, u := range got.Uses {
		if u.Kind == UseJob {
			seen[[2]int{inv.Devices[d].Node, inv.Devices[d].Island}]++
		}
	}
	if len(seen) != 1 {
		t.Errorf("four linked devices are spread over %v", seen)
	}
	p, inv, pl = yard([]int64{4, 4, 4, 4}, Offer{Width: 8, PerNode: 4})
	for d := range inv.Devices {
		inv.Devices[d].Rack = []int{1, 2, 1, 2}[inv.Devices[d].Node]
	}
	got, _ = Place(inv, Placement{}, &p, pl)
	if on := nodesOf(inv, got, 0); on[0] != 4 || on[2] != 4 {
		t.Errorf("a gang of two nodes is on %v, racks 1 2 1 2", on)
	}
}

// What the model says fits is placed, whatever islands and racks there are; no
// device leaves its option inside its dwell; and what stays in place is never
// moved: miners move exactly as often as the counts force them to.
func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := splitmix(rapid.Uint64().Draw(t, "seed"))
		var sizes []int64
		for range rng.between(1, 6) {
			sizes = append(sizes, rng.between(1, 9))
		}
		var offers []Offer
		for range rng.below(7) {
			o := Offer{Width: rng.between(1, 8)}
			if o.PerNode = rng.below(o.Width + 1); o.PerNode > 0 && o.Width%o.PerNode != 0 {
				o.PerNode = o.Width
			}
			offers = append(offers, o)
		}
		p, inv, pl := yard(sizes, offers...)
		for d := range inv.Devices {
			inv.Devices[d].Island, inv.Devices[d].Rack = int(rng.below(3)), 1+inv.Devices[d].Node%2
		}
		for o := range 3 {
			p.Mining = append(p.Mining, MiningCell{Option: o})
		}
		cur := Placement{Uses: make([]Use, len(inv.Devices))}
		for d := range cur.Uses {
			if cur.Uses[d] = parkedUse; rng.below(4) > 0 {
				k := int(rng.below(3))
				cur.Uses[d] = Use{UseMining, k}
				p.Mining[k].Current++
				if rng.below(5) == 0 {
					inv.Devices[d].Dwell = true
					p.Mining[k].Locked++
					p.Classes[0].Nodes[inv.Devices[d].Node].Free--
				}
			}
		}
		for j := range p.Jobs {
			pl.Jobs[j] = None
		}
		in := compile(&p)
		s := newState(in)
		s.promises()
		for f := range p.Offers { // as many gangs as the model allows
			if s.fits(f) {
				s.setOffer(f, f)
			}
		}
		for k := range p.Mining {
			s.addCell(k, rng.below(1+min(s.roomCell(k), p.Classes[0].Devices)))
		}
		pl = s.plan()
		got, moves := Place(inv, cur, &p, pl)
		if len(got.Unplaced) > 0 || len(got.Held) > 0 {
			t.Fatalf("unplaced %v, held %v: %+v", got.Unplaced, got.Held, p.Classes[0].Nodes)
		}
		count := map[Use]int64{}
		for d, u := range got.Uses {
			count[u]++
			if inv.Devices[d].Dwell && u != cur.Uses[d] {
				t.Fatalf("device %d left inside its dwell", d)
			}
		}
		for f := range p.Offers {
			if pl.Jobs[f] == None {
				continue
			}
			on := nodesOf(inv, got, f)
			for n, k := range on {
				if per := p.Offers[f].PerNode; per > 0 && int64(k) != per {
					t.Fatalf("offer %d has %d devices on node %d", f, k, n)
				}
			}
			if count[Use{UseJob, f}] != p.Offers[f].Width {
				t.Fatalf("offer %d has %d of %d devices", f, count[Use{UseJob, f}], p.Offers[f].Width)
			}
		}
		var forced int64 // every use that grows takes that many devices
		for k, c := range pl.Cells {
			if count[Use{UseMining, k}] != c.Keep+c.Enter {
				t.Fatalf("cell %d has %d of %d", k, count[Use{UseMining, k}], c.Keep+c.Enter)
			}
			forced += c.Enter
		}
		for _, f := range pl.Jobs {
			if f != None {
				forced += p.Offers[f].Width
			}
		}
		parked, was := count[parkedUse], int64(0)
		for _, u := range cur.Uses {
			if u == parkedUse {
				was++
			}
		}
		gangs := slices.ContainsFunc(pl.Jobs, func(f int) bool { return f != None })
		if forced += max(0, parked-was); int64(len(moves)) != forced && !gangs {
			t.Fatalf("%d moves, %d are forced", len(moves), forced)
		}
	})
}

// BenchmarkPlacements fills 10,000 nodes of ten devices in one call.
func BenchmarkPlacements(b *testing.B) {
	sizes := make([]int64, 10_000)
	for i := range sizes {
		sizes[i] = 10
	}
	for _, c := range []struct {
		name string
		n    int
		o    Offer
	}{{"single", 100_000, Offer{Width: 1}}, {"of300", 333, Offer{Width: 300}}, {"of10x8", 1000, Offer{Width: 80, PerNode: 8}}} {
		for _, racks := range []int{0, 250} {
			b.Run(fmt.Sprintf("%s/racks%d", c.name, racks), func(b *testing.B) {
				offers := make([]Offer, c.n)
				for i := range offers {
					offers[i] = c.o
				}
				p, inv, pl := yard(sizes, offers...)
				for d := range inv.Devices {
					if racks > 0 {
						inv.Devices[d].Rack = 1 + inv.Devices[d].Node/(10_000/racks)
					}
				}
				var got Placement
				for b.Loop() {
					got, _ = Place(inv, Placement{}, &p, pl)
				}
				if len(got.Unplaced) > 0 {
					b.Fatalf("%d of %d not placed", len(got.Unplaced), c.n)
				}
				each := b.Elapsed().Seconds() / float64(b.N)
				b.ReportMetric(float64(c.n)/each, "jobs/s")
				b.ReportMetric(float64(int64(c.n)*c.o.Width)/each, "devices/s")
			})
		}
	}
}
