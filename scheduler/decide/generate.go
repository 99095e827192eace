package decide

// Shapes of Generate.
const (
	ShapeDefault    = "default"
	ShapeTightPower = "tight-power"
	ShapeTightCoin  = "tight-coin"
	ShapeHardAI     = "unattainable-ai"
)

// Shapes lists what Generate takes.
var Shapes = []string{ShapeDefault, ShapeTightPower, ShapeTightCoin, ShapeHardAI}

// splitmix is a tiny generator whose stream is fixed by this file alone, so
// that a published instance never changes with the toolchain.
type splitmix uint64

func (s *splitmix) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// below is uniform in [0, n).
func (s *splitmix) below(n int64) int64 { return int64(s.next() % uint64(n)) }

// between is uniform in [lo, hi].
func (s *splitmix) between(lo, hi int64) int64 { return lo + s.below(hi-lo+1) }

type genModel struct {
	watts, idle int64
	gross       int64 // micro per hour of the best coin, about
	train       int64 // relative speed for jobs, percent; 0: cannot
}

var genModels = []genModel{
	{230, 18, 52_000, 40}, {320, 22, 70_000, 55}, {350, 25, 85_000, 75}, {450, 28, 120_000, 115},
	{300, 24, 95_000, 100}, {400, 50, 140_000, 190}, {700, 70, 230_000, 420},
	{3250, 20, 290_000, 0}, {3400, 20, 340_000, 0}, {3000, 15, 260_000, 0}, {2800, 15, 250_000, 0},
}

// Generate builds a deterministic synthetic problem of about the given size;
// the figures in DESIGN.md name its shape and seed. It is not a market trace.
func Generate(devices, jobs int, shape string, seed uint64) Problem {
	rng := splitmix(seed*0x51ed27 + 1)
	g := &generator{rng: &rng, shape: shape, widest: 8}
	sites := 3
	if devices > 3000 {
		sites = 8
	}
	if devices > 40000 {
		sites = 24
		g.widest = 9
	}
	g.p.Coins = 40
	g.p.Tenants = 4 + sites
	g.p.Policy = Policy{HorizonMinutes: 120, HoldGapPPM: 5000}
	g.fleet(int64(devices), sites)
	g.mining()
	g.caps()
	for j := 0; j < jobs; j++ {
		g.job(j)
	}
	g.rows(sites)
	return g.p
}

type generator struct {
	rng    *splitmix
	p      Problem
	shape  string
	widest int64 // the logarithm of the widest gang that is not elastic
	model  []int // per class
	siteOf []int
}

var nodeSizes = []int64{8, 6, 8, 12, 8, 24}

func (g *generator) fleet(devices int64, sites int) {
	for z := 0; z < sites; z++ {
		g.p.Zones = append(g.p.Zones, Zone{Parent: None, CapW: -1, EnergyMicroPerKWh: g.rng.between(35_000, 95_000)})
	}
	perSite := devices / int64(sites)
	for z := 0; z < sites; z++ {
		kinds := g.rng.between(7, 10)
		for i := int64(0); i < kinds; i++ {
			m := int(g.rng.below(int64(len(genModels))))
			size := nodeSizes[g.rng.below(int64(len(nodeSizes)))]
			if genModels[m].train == 0 {
				size = 1
			}
			n := max(1, perSite/kinds*g.rng.between(50, 150)/100/size)
			c := Class{Zone: z, NodeSize: size, Devices: n * size, IdleWatts: genModels[m].idle, Trainable: genModels[m].train > 0}
			if c.Trainable {
				for k := int64(0); k < n; k++ {
					c.Nodes = append(c.Nodes, NodeShape{Node: int(k), Free: size, Total: size})
				}
			}
			g.p.Classes = append(g.p.Classes, c)
			g.model = append(g.model, m)
		}
	}
}

func (g *generator) mining() {
	level := make([]int64, g.p.Coins)
	for m := range level {
		level[m] = g.rng.between(55, 105)
	}
	for c := range g.p.Classes {
		m := genModels[g.model[c]]
		for o := 0; o < 60; o++ {
			coin := o % g.p.Coins
			if g.rng.below(100) < 60 {
				continue // this model has no miner for it
			}
			mode := g.rng.between(70, 100)
			watts := max(m.idle, m.watts*mode/100)
			gross := m.gross * level[coin] / 100 * (40 + mode*60/100) / 100 * g.rng.between(90, 108) / 100
			g.p.Mining = append(g.p.Mining, MiningCell{Class: c, Option: o, Coin: coin, GrossMicroPerHour: gross,
				HaircutPPM: g.rng.between(5_000, 40_000), WattsMeter: watts, EnterMicro: gross * g.rng.between(1, 10) / 60})
		}
	}
}

// caps limits each site to 70-100 % of full draw.
func (g *generator) caps() {
	full := make([]int64, len(g.p.Zones))
	for c, k := range g.p.Classes {
		full[k.Zone] += k.Devices * genModels[g.model[c]].watts
	}
	for z := range g.p.Zones {
		lo, hi := int64(70), int64(100)
		if g.shape == ShapeTightPower {
			lo, hi = 40, 60
		}
		g.p.Zones[z].CapW = full[z] * g.rng.between(lo, hi) / 100
	}
}

func (g *generator) job(j int) {
	r := g.rng
	base := int64(1) << r.below(6) // 1..32
	if r.below(100) < 6 {
		base = int64(1) << r.between(6, g.widest)
	}
	g.p.Jobs = append(g.p.Jobs, Job{Tenant: int(r.below(int64(g.p.Tenants))), Priority: int(r.below(3)), Current: None,
		KillMicro: base * r.between(20_000, 200_000), MigrateMicro: base * 20_000, ResizeMicro: base * 10_000})
	bid := r.between(150_000, 420_000) // micro per hour and device of relative speed 100
	bound := r.below(2) == 0
	first, span := r.below(int64(len(g.p.Zones))), r.between(1, 4)
	widths := []int64{base}
	if r.below(100) < 30 {
		widths = append(widths, base*2, base*4)
	}
	for c, k := range g.p.Classes {
		away := (int64(k.Zone) - first + int64(len(g.p.Zones))) % int64(len(g.p.Zones))
		if !k.Trainable || (bound && away >= span) {
			continue
		}
		m := genModels[g.model[c]]
		for i, w := range widths {
			per := min(w, k.NodeSize)
			for w%per != 0 {
				per--
			}
			if w > k.Devices {
				continue
			}
			g.p.Offers = append(g.p.Offers, Offer{Job: j, Class: c, Width: w, PerNode: per,
				NetMicroPerHour: bid * m.train / 100 * w * (100 - 8*int64(i)) / 100, WattsMeter: m.watts * 85 / 100 * w})
		}
	}
}

func (g *generator) rows(sites int) {
	share, coin, quota := int64(200_000), int64(600_000), int64(100)
	if g.shape == ShapeHardAI {
		// Contracts hold the tenants far below what the target asks.
		quota = 25
		g.p.Rows = append(g.p.Rows, Row{Kind: RowAIShare, Tier: 2, Sense: AtLeast, Measure: MeasureOwned, SharePPM: 900_000})
	}
	if g.shape == ShapeTightCoin {
		coin = 120_000
	}
	for z := 0; z < sites; z += 2 {
		g.p.Rows = append(g.p.Rows, Row{Kind: RowAIShare, Tier: 3, Sense: AtLeast, Measure: MeasureOwned, SharePPM: share, Zones: []int{z}})
	}
	g.p.Rows = append(g.p.Rows, Row{Kind: RowAIShare, Tier: 4, Sense: AtLeast, Measure: MeasurePower, SharePPM: 150_000})
	for m := 0; m < g.p.Coins; m++ {
		g.p.Rows = append(g.p.Rows, Row{Kind: RowCoin, Tier: 5, Sense: AtMost, SharePPM: coin, Coin: m})
	}
	var trainable int64
	for _, c := range g.p.Classes {
		if c.Trainable {
			trainable += c.Devices
		}
	}
	for t := 0; t < g.p.Tenants; t++ {
		g.p.Rows = append(g.p.Rows, Row{Kind: RowTenant, Sense: AtMost, Tenant: t, Limit: max(1, trainable*g.rng.between(8, 25)*quota/10_000)})
	}
}
