package feed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// Poller reads the feeds of a policy. It keeps files that did not change and
// answers of URLs that are not due.
type Poller struct {
	// Replay shifts recorded series onto the market clock; without it a file is
	// taken at its word and grows stale when nobody appends to it.
	Replay bool
	// Client fetches URLs; http.DefaultClient with a deadline when nil.
	Client *http.Client

	mu    sync.Mutex
	files map[string]cachedFile
	urls  map[string]cachedURL
}

type cachedFile struct {
	stamp   stamp
	settled bool // it was read when nobody was writing it
	series  Series
}

type cachedURL struct {
	due   time.Time
	point Point
	err   error // an address that fails is not asked more often than one that answers
}

// Reading is what one feed came to: an observation, or why there is none.
type Reading struct {
	Feed        string
	Observation market.Observation
	Err         error
}

// Poll reads every feed of the policy at a market instant. A feed that cannot
// be read yields an error and leaves the others alone. Of several sources the
// first that answers counts.
func (p *Poller) Poll(ctx context.Context, set *config.Set, now workload.Instant) []Reading {
	var out []Reading
	for d := range set.OfKind(config.KindFeed) {
		r := Reading{Feed: d.Name}
		for i, src := range d.Feed.Sources {
			point, source, err := p.read(ctx, src, now)
			if err == nil {
				r.Observation, err = market.ConvertQuote(d.Name, point.Value, d.Feed.Unit, d.Feed.Currency, point.At, source)
			}
			if r.Err = err; err == nil {
				break
			}
			r.Err = fmt.Errorf("source %d: %w", i+1, err)
		}
		out = append(out, r)
	}
	return out
}

func (p *Poller) read(ctx context.Context, src config.FeedSource, now workload.Instant) (Point, string, error) {
	switch {
	case src.Value != "":
		// A constant is as fresh as the moment it is asked for, to the hour, so
		// that it does not become a new observation at every poll.
		return Point{At: now - now%workload.HourMillis, Value: src.Value}, "constant", nil
	case src.File != "":
		s, err := p.file(src)
		if err != nil {
			return Point{}, "", err
		}
		pt, ok := s.At(now, p.Replay)
		if !ok {
			return Point{}, "", workload.Errorf(workload.Unavailable, "%s begins only at %s", src.File, s.Points[0].At.Time().Format(time.RFC3339))
		}
		return pt, src.File, nil
	case src.URL != "":
		pt, err := p.url(ctx, src, now)
		return pt, src.URL, err
	}
	return Point{}, "", workload.Errorf(workload.Invalid, "the source names neither value, file nor url")
}

func (p *Poller) file(src config.FeedSource) (Series, error) {
	key := src.File + "\x00" + src.Column
	stamp, err := stampOf(src.File)
	if err != nil {
		return Series{}, workload.Errorf(workload.Unavailable, "cannot read %s: %w", src.File, err)
	}
	p.mu.Lock()
	c, ok := p.files[key]
	p.mu.Unlock()
	settled := stamp.settled()
	if ok && c.stamp == stamp && (c.settled || !settled) {
		return c.series, nil
	}
	s, err := ReadFile(src.File, src.Column)
	if err != nil {
		return Series{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.files == nil {
		p.files = map[string]cachedFile{}
	}
	p.files[key] = cachedFile{stamp, settled, s}
	return s, nil
}

// Limits of a fetched document.
const (
	maxBody     = 1 << 20
	urlDeadline = 10 * time.Second
	urlEvery    = time.Minute
)

func (p *Poller) url(ctx context.Context, src config.FeedSource, now workload.Instant) (Point, error) {
	key := src.URL + "\x00" + src.Path
	p.mu.Lock()
	c, ok := p.urls[key]
	p.mu.Unlock()
	if ok && time.Now().Before(c.due) {
		return c.point, c.err
	}
	ctx, cancel := context.WithTimeout(ctx, urlDeadline)
	defer cancel()
	value, err := p.fetch(ctx, src.URL, src.Path)
	if err != nil && ctx.Err() == context.Canceled {
		return Point{}, err // the poller ends; the address is not to blame
	}
	every := src.Every
	if every <= 0 {
		every = urlEvery
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.urls == nil {
		p.urls = map[string]cachedURL{}
	}
	pt := Point{At: now, Value: value}
	p.urls[key] = cachedURL{due: time.Now().Add(every), point: pt, err: err}
	return pt, err
}

func (p *Poller) fetch(ctx context.Context, url, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := p.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", workload.Errorf(workload.Unavailable, "%w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", workload.Errorf(workload.Unavailable, "%s answered %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return "", workload.Errorf(workload.Unavailable, "%s sent more than %d bytes, or broke off", url, maxBody)
	}
	return Select(body, path)
}

// Select takes a number out of a JSON document by a path of the form
// "$.data[0].usd"; an empty path takes the whole document.
func Select(body []byte, path string) (string, error) {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", workload.Errorf(workload.Invalid, "the answer is not JSON: %w", err)
	}
	rest := strings.TrimPrefix(path, "$")
	for rest != "" {
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[")
			key := rest[1:]
			if end >= 0 {
				key = rest[1 : end+1]
			}
			rest = rest[1+len(key):]
			m, ok := v.(map[string]any)
			if !ok {
				return "", workload.Errorf(workload.Invalid, "path %s: no object at %q", path, key)
			}
			if v, ok = m[key]; !ok {
				return "", workload.Errorf(workload.Invalid, "path %s: no key %q", path, key)
			}
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return "", workload.Errorf(workload.Invalid, "path %s: a bracket is not closed", path)
			}
			i, err := strconv.Atoi(rest[1:end])
			list, ok := v.([]any)
			if err != nil || !ok || i < 0 || i >= len(list) {
				return "", workload.Errorf(workload.Invalid, "path %s: no element %s", path, rest[:end+1])
			}
			v, rest = list[i], rest[end+1:]
		default:
			return "", workload.Errorf(workload.Invalid, "path %s is not of the form $.a.b[0]", path)
		}
	}
	switch n := v.(type) {
	case json.Number:
		return n.String(), nil
	case string:
		return n, nil
	}
	return "", workload.Errorf(workload.Invalid, "path %s does not lead to a number", path)
}
