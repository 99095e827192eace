package serial

import (
	"time"

	"github.com/sluice-project/sluice/workload"
)

// hashrateWindow is what a status reports, in seconds.
const hashrateWindow = 300

// plausible bounds a hashrate by what the chips can do at their clock: a figure
// above 3/2 of it is an error somewhere, not a gain.
func plausible(milli, expected int64) bool {
	return expected <= 0 || milli <= expected+expected/2
}

func (m *Miner) begin(c *chain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bringUps++
	m.status.Chip, m.status.Chips, m.status.Baud, m.status.Note = c.model.Name, c.chips, c.baud, ""
}

// mining starts the clock of the hashrate with the first job.
func (m *Miner) mining() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started < 0 {
		m.started = m.second()
	}
}

func (m *Miner) count(hashes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meter.add(m.second()-max(m.started, 0), hashes)
}

// note changes state and remark while no session publishes.
func (m *Miner) note(state, note string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.State, m.status.At = state, workload.Instant(time.Now().UnixMilli())
	if note != "" {
		m.status.Note = note
	}
}

func (m *Miner) lastNote() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status.Note
}

func (m *Miner) publish(st Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = st
}

// rates are those of the meter over some windows, -1 where unknown; a rate that
// the chips cannot have is unknown too.
func (m *Miner) rates(windows ...int64) (milli []int64, errPPM []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sec := int64(-1)
	if m.started >= 0 {
		sec = m.second() - m.started
	}
	for _, w := range windows {
		r, e := int64(-1), int64(-1)
		if sec >= 0 {
			r, e = m.meter.rate(sec, w)
		}
		if !plausible(r, m.status.ExpectedHashrate) {
			r, e = -1, -1
		}
		milli, errPPM = append(milli, r), append(errPPM, e)
	}
	return milli, errPPM
}

// Status is what the miner knows of its chain now.
func (m *Miner) Status() Status {
	milli, errPPM := m.rates(hashrateWindow)
	pool := m.client.Stats()
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.status
	st.Hashrate, st.HashrateError = milli[0], workload.PPM(errPPM[0])
	st.BringUps = m.bringUps
	st.Pool, st.Accepted, st.Rejected = pool.Pool, int64(pool.Accepted), int64(pool.Rejects())
	return st
}
