package decide

import (
	"reflect"
	"testing"
)

// inventoryOf lays a problem's classes out on its nodes.
func inventoryOf(p *Problem) Inventory {
	var inv Inventory
	for c, cl := range p.Classes {
		if len(cl.Nodes) == 0 {
			for range cl.Devices {
				inv.Devices = append(inv.Devices, Device{Class: c, Node: 1000})
			}
		}
		for _, n := range cl.Nodes {
			for range n.Total {
				inv.Devices = append(inv.Devices, Device{Class: c, Node: n.Node})
			}
		}
	}
	return inv
}

// takeUp writes a placement into the problem as the present state.
func takeUp(p *Problem, inv Inventory, pl Placement) {
	for k := range p.Mining {
		p.Mining[k].Current, p.Mining[k].Locked = 0, 0
	}
	on := map[int]map[int]int64{}
	for d, u := range pl.Uses {
		switch u.Kind {
		case UseMining:
			p.Mining[u.Index].Current++
			if inv.Devices[d].Dwell {
				p.Mining[u.Index].Locked++
			}
		case UseJob:
			if on[u.Index] == nil {
				on[u.Index] = map[int]int64{}
			}
			on[u.Index][inv.Devices[d].Node]++
		}
	}
	for j := range p.Jobs {
		p.Jobs[j].Current, p.Jobs[j].On = None, nil
	}
	for f := range p.Offers {
		j := &p.Jobs[p.Offers[f].Job]
		for node := 0; node <= 1000 && on[f] != nil; node++ {
			j.Current = f
			if n := on[f][node]; n > 0 {
				j.On = append(j.On, NodeUse{node, n})
			}
		}
	}
}

// checkPlacement compares a placement with its plan.
func checkPlacement(t *testing.T, p *Problem, inv Inventory, cur, got Placement, moves []Move, pl Plan) {
	t.Helper()
	count := make([]int64, len(p.Mining))
	on := map[int]map[int]int64{}
	width := map[int]int64{}
	for d, u := range got.Uses {
		switch u.Kind {
		case UseMining:
			count[u.Index]++
			if p.Mining[u.Index].Class != inv.Devices[d].Class {
				t.Fatalf("device %d of class %d mines cell %d", d, inv.Devices[d].Class, u.Index)
			}
		case UseJob:
			if p.Offers[u.Index].Class != inv.Devices[d].Class {
				t.Fatalf("device %d runs an offer of another class", d)
			}
			if on[u.Index] == nil {
				on[u.Index] = map[int]int64{}
			}
			on[u.Index][inv.Devices[d].Node]++
			width[u.Index]++
		}
	}
	left := map[int]bool{}
	for _, j := range got.Unplaced {
		left[j] = true
	}
	for j, f := range pl.Jobs {
		if f == None || left[j] {
			continue
		}
		o := p.Offers[f]
		if width[f] != o.Width {
			t.Fatalf("job %d has %d of %d devices", j, width[f], o.Width)
		}
		for node, n := range on[f] {
			if o.PerNode > 0 && n != o.PerNode {
				t.Fatalf("job %d has %d devices on node %d, wants %d", j, n, node, o.PerNode)
			}
			if p.Jobs[j].Current != f && j < len(inv.Local) && inv.Local[j] != nil && !seen(inv.Local[j], node) {
				t.Fatalf("job %d is on node %d without its checkpoint", j, node)
			}
		}
		delete(width, f)
	}
	if len(width) > 0 {
		t.Fatalf("offers outside the plan hold devices: %v", width)
	}
	if len(got.Unplaced) == 0 && len(got.Held) == 0 {
		for k, c := range pl.Cells {
			if count[k] != c.Keep+c.Enter {
				t.Fatalf("cell %d has %d devices, the plan %d", k, count[k], c.Keep+c.Enter)
			}
		}
	}
	n := 0
	for d := range got.Uses {
		was := parkedUse
		if d < len(cur.Uses) {
			was = cur.Uses[d]
		}
		if was != got.Uses[d] {
			if n >= len(moves) || moves[n] != (Move{d, was, got.Uses[d]}) {
				t.Fatalf("device %d changes without its move", d)
			}
			n++
			if inv.Devices[d].Dwell && was.Kind == UseMining && !p.Mining[was.Index].Banned {
				t.Fatalf("device %d left inside its dwell", d)
			}
		}
	}
	if n != len(moves) {
		t.Fatalf("%d moves for %d changes", len(moves), n)
	}
}

func TestPlaceFollowsThePlanOverRounds(t *testing.T) {
	for seed := range uint64(3) {
		p := Generate(400, 40, ShapeDefault, seed)
		inv := inventoryOf(&p)
		rng := splitmix(seed)
		inv.Local = make([][]int, len(p.Jobs))
		for j := range inv.Local {
			if rng.below(5) == 0 {
				inv.Local[j] = []int{0, 1, 2, 3}
			}
		}
		var cur Placement
		var warm *Warm
		for round := range 4 {
			r, w := Solve(&p, warm, Budget{})
			if err := Verify(&p, &r); err != nil {
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			}
			got, moves := Place(inv, cur, &p, r.Plan)
			checkPlacement(t, &p, inv, cur, got, moves, r.Plan)
			again, _ := Place(inv, cur, &p, r.Plan)
			if !reflect.DeepEqual(got, again) {
				t.Fatal("the same input gave two placements")
			}
			cur, warm = got, w
			for d, u := range cur.Uses {
				inv.Devices[d].Dwell = u.Kind == UseMining && rng.below(4) == 0
			}
			takeUp(&p, inv, cur)
			for k := range p.Mining { // prices move by up to 10 %
				p.Mining[k].GrossMicroPerHour = p.Mining[k].GrossMicroPerHour * rng.between(90, 110) / 100
			}
		}
	}
}

func TestPlaceMakesTheFewestMovesOnSettledCounts(t *testing.T) {
	p := Problem{Zones: []Zone{{Parent: None, CapW: -1}}, Coins: 2, Policy: Policy{HorizonMinutes: 60},
		Classes: []Class{{Devices: 4, Trainable: true}},
		Mining:  []MiningCell{{Option: 0, Current: 2}, {Option: 1, Coin: 1, Current: 2}}}
	inv := Inventory{Devices: make([]Device, 4)}
	a, b := Use{UseMining, 0}, Use{UseMining, 1}
	cur := Placement{Uses: []Use{b, a, b, a}}
	got, moves := Place(inv, cur, &p, Plan{Cells: []CellPlan{{Keep: 2}, {Keep: 2}}})
	if len(moves) != 0 || !reflect.DeepEqual(got.Uses, cur.Uses) {
		t.Errorf("settled fleet moved: %v", moves)
	}
	got, moves = Place(inv, cur, &p, Plan{Cells: []CellPlan{{Keep: 2, Enter: 1}, {Keep: 1}}})
	if len(moves) != 1 || moves[0] != (Move{2, b, a}) {
		t.Errorf("moves %v, want device 2 from cell 1 to 0; %v", moves, got)
	}
}

func TestPlaceLeavesOutAGangThatDoesNotFit(t *testing.T) {
	p := Problem{Zones: []Zone{{Parent: None, CapW: -1}}, Coins: 1, Tenants: 1, Policy: Policy{HorizonMinutes: 60},
		Classes: []Class{{Devices: 4, NodeSize: 2, Trainable: true}},
		Mining:  []MiningCell{{GrossMicroPerHour: 5, WattsMeter: 1}},
		Jobs:    []Job{{Current: None}}, Offers: []Offer{{Width: 4, PerNode: 2, NetMicroPerHour: 100, WattsMeter: 4}}}
	inv := Inventory{Devices: []Device{{Node: 0}, {Node: 0}, {Node: 1}, {Node: 1}}, Local: [][]int{{0}}}
	pl := Plan{Cells: []CellPlan{{}}, Jobs: []int{0}}
	got, moves := Place(inv, Placement{}, &p, pl)
	if !reflect.DeepEqual(got.Unplaced, []int{0}) || len(moves) != 4 || got.Uses[3] != (Use{UseMining, 0}) {
		t.Errorf("got %+v, want the gang unplaced and its devices mining", got)
	}
	inv.Local = nil
	if got, _ = Place(inv, Placement{}, &p, pl); len(got.Unplaced) != 0 || got.Uses[0] != (Use{UseJob, 0}) {
		t.Errorf("got %+v, want the gang on both nodes", got)
	}
}

func TestPlaceHoldsDwellAgainstThePlan(t *testing.T) {
	p := Problem{Zones: []Zone{{Parent: None, CapW: -1}}, Coins: 1, Policy: Policy{HorizonMinutes: 60},
		Classes: []Class{{Devices: 2}}, Mining: []MiningCell{{Current: 2, Locked: 1}}}
	inv := Inventory{Devices: []Device{{}, {Dwell: true}}}
	cur := Placement{Uses: []Use{{UseMining, 0}, {UseMining, 0}}}
	got, _ := Place(inv, cur, &p, Plan{Cells: []CellPlan{{}}})
	if got.Uses[1] != cur.Uses[1] || got.Uses[0] != parkedUse || !reflect.DeepEqual(got.Held, []int{1}) {
		t.Errorf("got %+v, want device 1 held and device 0 parked", got)
	}
	p.Mining[0].Banned = true
	if got, _ = Place(inv, cur, &p, Plan{Cells: []CellPlan{{}}}); got.Uses[1] != parkedUse {
		t.Errorf("a ban must end dwell, got %+v", got)
	}
}
