package trainee

import "math"

// Shape and training terms. They are part of the checkpoint's identity.
const (
	inputs    = 2
	hidden    = 12
	batch     = 32
	learnRate = 0.3
	noise     = 0.12 // of the two moons
	evalSize  = 256
)

// Offsets of the layers in the parameter vector.
const (
	offW1     = 0
	offB1     = offW1 + inputs*hidden
	offW2     = offB1 + hidden
	offB2     = offW2 + hidden*hidden
	offW3     = offB2 + hidden
	offB3     = offW3 + hidden
	numParams = offB3 + 1
)

// network is a perceptron with two hidden layers that tells two moons apart.
// Batches are drawn from (seed, step) alone, so seed, step and parameters are
// the whole state, and a resumed run continues exactly.
type network struct {
	seed   uint64
	step   int64
	params []float64
	grad   []float64
	eval   []example
}

type example struct {
	x [inputs]float64
	y float64 // 0 or 1
}

func newNetwork(seed uint64) *network {
	n := &network{seed: seed, params: make([]float64, numParams), grad: make([]float64, numParams)}
	r := source(seed, 0)
	for i := range offB1 {
		n.params[offW1+i] = r.normal() / math.Sqrt(inputs)
	}
	for i := range hidden * hidden {
		n.params[offW2+i] = r.normal() / math.Sqrt(hidden)
	}
	for i := range hidden {
		n.params[offW3+i] = r.normal() / math.Sqrt(hidden)
	}
	r = source(seed, 1)
	for range evalSize {
		n.eval = append(n.eval, r.moon())
	}
	return n
}

// train makes one step of gradient descent on a fresh batch.
func (n *network) train() {
	n.step++
	r := source(n.seed, uint64(n.step)+1)
	clear(n.grad)
	for range batch {
		n.backward(r.moon())
	}
	for i, g := range n.grad {
		n.params[i] -= learnRate / batch * g
	}
}

// activations of one forward pass.
type activations struct {
	h1, h2 [hidden]float64
	p      float64 // probability of class 1
}

func (n *network) forward(x [inputs]float64, a *activations) {
	p := n.params
	for j := range hidden {
		s := p[offB1+j]
		for i := range inputs {
			s += x[i] * p[offW1+i*hidden+j]
		}
		a.h1[j] = math.Tanh(s)
	}
	for j := range hidden {
		s := p[offB2+j]
		for i := range hidden {
			s += a.h1[i] * p[offW2+i*hidden+j]
		}
		a.h2[j] = math.Tanh(s)
	}
	s := p[offB3]
	for j := range hidden {
		s += a.h2[j] * p[offW3+j]
	}
	a.p = 1 / (1 + math.Exp(-s))
}

// backward adds the gradient of the cross entropy at one example.
func (n *network) backward(e example) {
	var a activations
	n.forward(e.x, &a)
	p, g := n.params, n.grad
	d := a.p - e.y
	g[offB3] += d
	var d2, d1 [hidden]float64
	for j := range hidden {
		g[offW3+j] += d * a.h2[j]
		d2[j] = d * p[offW3+j] * (1 - a.h2[j]*a.h2[j])
	}
	for i := range hidden {
		var s float64
		for j := range hidden {
			g[offW2+i*hidden+j] += d2[j] * a.h1[i]
			s += d2[j] * p[offW2+i*hidden+j]
		}
		d1[i] = s * (1 - a.h1[i]*a.h1[i])
	}
	for j := range hidden {
		g[offB2+j] += d2[j]
		g[offB1+j] += d1[j]
		for i := range inputs {
			g[offW1+i*hidden+j] += d1[j] * e.x[i]
		}
	}
}

// evaluate returns mean cross entropy and accuracy on the fixed test set.
func (n *network) evaluate() (loss, acc float64) {
	var a activations
	for _, e := range n.eval {
		n.forward(e.x, &a)
		right := a.p
		if e.y == 0 {
			right = 1 - a.p
		}
		loss -= math.Log(max(right, 1e-12))
		if right > 0.5 {
			acc++
		}
	}
	return loss / evalSize, acc / evalSize
}

// rng is SplitMix64: small, and its streams are addressed by number.
type rng uint64

func source(seed, stream uint64) *rng {
	s := rng(seed)
	s = rng(s.next() ^ stream*0xd1342543de82ef95)
	return &s
}

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is uniform in [0, 1).
func (r *rng) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

func (r *rng) normal() float64 {
	u := 1 - r.unit() // in (0, 1]: its logarithm is finite
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*r.unit())
}

// moon draws a point of one of two interleaved half circles.
func (r *rng) moon() example {
	var e example
	angle := math.Pi * r.unit()
	if r.next()&1 == 0 {
		e.x = [inputs]float64{math.Cos(angle), math.Sin(angle)}
	} else {
		e.x, e.y = [inputs]float64{1 - math.Cos(angle), 0.5 - math.Sin(angle)}, 1
	}
	for i := range e.x {
		e.x[i] += noise * r.normal()
	}
	return e
}
