package feed

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

func at(text string) workload.Instant {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return workload.InstantOf(t)
}

func TestReadCSV(t *testing.T) {
	for name, tt := range map[string]struct{ text, column, want, err string }{
		"one column":       {"time,usd\n2026-01-01T00,1.5\n2026-01-01T01,2\n", "", "1.5@0 2@3600", ""},
		"named":            {"time,a,b\n2026-01-01,1,2\n", "b", "2@0", ""},
		"gap":              {"time,a\n2026-01-01T00,1\n2026-01-01T01,\n2026-01-01T02,3\n", "", "1@0 3@7200", ""},
		"unix seconds":     {"time,a\n1767225600,1\n", "", "1@0", ""},
		"offset":           {"time,a\n2026-01-01T01:00:00+01:00,1\n", "", "1@0", ""},
		"choose":           {"time,a,b\n2026-01-01,1,2\n", "", "", "no column"},
		"the time itself":  {"time,a\n2026-01-01,1\n", "time", "", "no column"},
		"one field":        {"time\n", "", "", "no column"},
		"no header":        {"", "", "", "header"},
		"not a number":     {"time,a\n2026-01-01,NaN\n", "", "", ":2:"},
		"infinite":         {"time,a\n2026-01-01,1e999\n", "", "", ":2:"},
		"backwards":        {"time,a\n2026-01-02,1\n2026-01-01,1\n", "", "", "ascend"},
		"twice":            {"time,a\n2026-01-01,1\n2026-01-01,1\n", "", "", "ascend"},
		"no time":          {"time,a\nyesterday,1\n", "", "", "not a time"},
		"too few":          {"time,a\n2026-01-01\n", "", "", "fields"},
		"broken quote":     {"time,a\n\"2026-01-01,1\n", "", "", "quote"},
		"bare quote first": {"time,a\nx\"y,1\n", "", "", "quote"},
		"empty":            {"time,a\n", "", "", "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := ReadCSV("f.csv", strings.NewReader(tt.text), tt.column)
			check(t, s, err, tt.want, tt.err)
		})
	}
}

func TestReadJSON(t *testing.T) {
	for name, tt := range map[string]struct{ text, column, want, err string }{
		"one":       {`[{"time":"2026-01-01","usd":1.50},{"time":"2026-01-02","usd":"2"}]`, "", "1.50@0 2@86400", ""},
		"named":     {`[{"at":1767225600,"a":1,"b":2}]`, "b", "2@0", ""},
		"null":      {`[{"time":"2026-01-01","a":1},{"time":"2026-01-02","a":null}]`, "a", "1@0", ""},
		"no time":   {`[{"a":1,"b":2}]`, "a", "", "no time"},
		"no column": {`[{"time":"2026-01-01","a":1}]`, "b", "", `no "b"`},
		"object":    {`{"a":1}`, "", "", "array"},
		"nested":    {`[{"time":"2026-01-01","a":{"b":1}}]`, "", "", "row 1"},
		"cut":       {`[{"time":"2026-01-01","a":1}`, "", "", "array"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := ReadJSON("f.json", strings.NewReader(tt.text), tt.column)
			check(t, s, err, tt.want, tt.err)
		})
	}
}

func check(t *testing.T, s Series, err error, want, wantErr string) {
	t.Helper()
	if wantErr != "" {
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Fatalf("error %v, want one with %q", err, wantErr)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range s.Points {
		got = append(got, fmt.Sprintf("%s@%d", p.Value, (p.At-at("2026-01-01T00:00:00Z"))/1000))
	}
	if strings.Join(got, " ") != want {
		t.Fatalf("got %v, want %s", got, want)
	}
}

func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{"time,a\n2026-01-01,1\n", "time,a\nx\"y,1\n", "\"", "a\n", "time,a\n1,1\n2,-2.5\n", "a,b\r\n\"1\n\",2"} {
		f.Add([]byte(s), "a")
	}
	f.Fuzz(func(t *testing.T, data []byte, column string) {
		s, err := ReadCSV("f", bytes.NewReader(data), column)
		sane(t, s, err)
	})
}

func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`[{"time":"2026-01-01","a":1}]`, `[{"time":1,"a":null}]`, `[null]`, `[{}]`, `{`, `[{"time":[],"a":{}}]`} {
		f.Add([]byte(s), "a")
	}
	f.Fuzz(func(t *testing.T, data []byte, column string) {
		s, err := ReadJSON("f", bytes.NewReader(data), column)
		sane(t, s, err)
	})
}

// sane: a series that is read ascends and can be asked at any time.
func sane(t *testing.T, s Series, err error) {
	if err != nil {
		return
	}
	if len(s.Points) == 0 {
		t.Fatal("an empty series without an error")
	}
	for i := 1; i < len(s.Points); i++ {
		if s.Points[i].At <= s.Points[i-1].At {
			t.Fatal("does not ascend")
		}
	}
	for _, now := range []workload.Instant{0, s.Points[0].At - 1, s.Points[0].At, s.Points[len(s.Points)-1].At + 1} {
		if p, ok := s.At(now, true); !ok || p.At > now {
			t.Fatalf("replayed at %d: %v %v", now, p, ok)
		}
	}
}

func FuzzSelect(f *testing.F) {
	f.Add([]byte(`{"data":[{"usd":1.5}]}`), "$.data[0].usd")
	f.Add([]byte(`1`), "")
	f.Add([]byte(`[[1]]`), "$[0][0]")
	f.Add([]byte(`{"":1}`), "$.")
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		Select(data, path) // returns, and does not panic
	})
}

func TestSelect(t *testing.T) {
	doc := []byte(`{"data":[{"usd":1.50,"text":"2"}],"n":null,"big":123456789012345678901234567890}`)
	for path, want := range map[string]string{"$.data[0].usd": "1.50", ".data[0].text": "2", "$.big": "123456789012345678901234567890"} {
		if got, err := Select(doc, path); err != nil || got != want {
			t.Errorf("%s: %q %v", path, got, err)
		}
	}
	for _, path := range []string{"", "$.n", "$.data", "$.data[1]", "$.data[-1]", "$.data[0", "$.data[x]", "$.none", "$x", "$.data.usd"} {
		if got, err := Select(doc, path); err == nil {
			t.Errorf("%s gives %q", path, got)
		}
	}
}

// A replayed series keeps the hour of the day, whatever the time zones do, holds
// the value in force, and begins anew.
func TestReplayKeepsTheHour(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		first := at("2025-03-01T00:00:00Z") + workload.Instant(rapid.IntRange(0, 23).Draw(rt, "hour"))*workload.HourMillis
		var s Series
		for h := range rapid.IntRange(1, 24*40).Draw(rt, "hours") {
			p := first + workload.Instant(h)*workload.HourMillis
			s.Points = append(s.Points, Point{At: p, Value: fmt.Sprint(p.Time().Hour())})
		}
		now := workload.Instant(rapid.Int64Range(0, 4e12).Draw(rt, "now"))
		p, ok := s.At(now, true)
		if !ok || p.At > now {
			rt.Fatalf("%v %v", p, ok)
		}
		if got := fmt.Sprint(p.At.Time().Hour()); got != p.Value {
			rt.Fatalf("the value of hour %s is in force from hour %s on", p.Value, got)
		}
		if now >= first && now < first+workload.Instant(len(s.Points))*workload.HourMillis {
			if q, _ := s.At(now, false); q != p {
				rt.Fatalf("within the record: %v, replayed %v", q, p)
			}
		}
		if again, _ := s.At(now+s.span(), true); again.Value != p.Value {
			rt.Fatalf("a span later: %v, was %v", again, p)
		}
	})
}

func TestBeforeTheBeginning(t *testing.T) {
	s := Series{Points: []Point{{At: day, Value: "1"}, {At: day + workload.HourMillis, Value: "2"}}}
	if _, ok := s.At(day-1, false); ok {
		t.Error("a record has no value before it begins")
	}
	if p, ok := s.At(0, true); !ok || p.Value != "1" || p.At != 0 {
		t.Errorf("a whole span before: %v %v", p, ok)
	}
}

func feeds(sources ...config.FeedSource) *config.Set {
	return config.NewSet(config.Document{Kind: config.KindFeed, Name: "f", Feed: &config.Feed{Sources: sources}})
}

func TestPollURL(t *testing.T) {
	var asked atomic.Int64
	body := atomic.Value{}
	body.Store(`{"price": 2.5}`)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/missing" {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		fmt.Fprint(w, body.Load())
	}))
	defer srv.Close()
	now := at("2026-01-01T00:00:00Z")
	poll := func(p *Poller, src config.FeedSource) Reading {
		return p.Poll(context.Background(), feeds(src), now)[0]
	}
	src := config.FeedSource{URL: srv.URL, Path: "$.price", Every: time.Hour}
	p := &Poller{}
	if r := poll(p, src); r.Err != nil || r.Observation.Value != 2_500_000 || r.Observation.At != now {
		t.Fatalf("%+v", r)
	}
	body.Store(`{"price": 9}`)
	if r := poll(p, src); r.Observation.Value != 2_500_000 || asked.Load() != 1 {
		t.Fatalf("asked %d times within an hour: %+v", asked.Load(), r)
	}
	for name, bad := range map[string]string{"not JSON": "<html>", "too long": `{"price": 1, "pad": "` + strings.Repeat("x", maxBody) + `"}`, "not a number": `{"price": "high"}`, "negative": `{"price": -1}`} {
		body.Store(bad)
		if r := poll(&Poller{}, src); r.Err == nil {
			t.Errorf("%s is taken: %+v", name, r)
		}
	}
	asked.Store(0)
	p = &Poller{}
	for range 3 {
		if r := poll(p, config.FeedSource{URL: srv.URL + "/missing", Every: time.Hour}); r.Err == nil || !strings.Contains(r.Err.Error(), "404") {
			t.Fatalf("%+v", r)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("an address that fails was asked %d times within an hour", asked.Load())
	}
	// The next source steps in.
	set := feeds(config.FeedSource{URL: srv.URL + "/missing"}, config.FeedSource{Value: "3"})
	if r := p.Poll(context.Background(), set, now)[0]; r.Err != nil || r.Observation.Value != 3_000_000 {
		t.Fatalf("%+v", r)
	}
}

func TestFileThatGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.csv")
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	p := &Poller{}
	now := at("2026-01-01T05:00:00Z")
	want := func(micro int64) {
		t.Helper()
		r := p.Poll(context.Background(), feeds(config.FeedSource{File: path}), now)[0]
		if r.Err != nil || r.Observation.Value != micro {
			t.Fatalf("%+v, want %d", r, micro)
		}
	}
	head := "time,usd\n2026-01-01T00,10\n"
	write(head, time.Hour)
	want(10_000_000)
	write(head+"2026-01-01T01,4", 0) // half of 47.5
	want(10_000_000)
	write(head+"2026-01-01T01,47.5\n", 0)
	want(47_500_000)
	write(head+"2026-01-01T01,47.5\n2026-01-01T02,3", time.Hour) // at rest, the last line needs no end
	want(3_000_000)
	now = at("2025-12-31T00:00:00Z")
	if r := p.Poll(context.Background(), feeds(config.FeedSource{File: path}), now)[0]; r.Err == nil {
		t.Fatalf("before its beginning: %+v", r)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if r := p.Poll(context.Background(), feeds(config.FeedSource{File: path}), now)[0]; r.Err == nil {
		t.Fatalf("a file that is gone: %+v", r)
	}
}

func TestLongFileIsRefused(t *testing.T) {
	r := &capped{r: strings.NewReader("time,a\n2026-01-01,12\n"), left: 19}
	if s, err := ReadCSV("f", r, ""); err == nil {
		t.Fatalf("a cut file is read as %v", s)
	}
}

// demoSums change only with the series themselves, which people compare runs by.
var demoSums = map[string]uint32{"power": 0x394053d1, "hashprice": 0xd76bc4a5}

func TestDemoSeriesIsTheSameAndSane(t *testing.T) {
	start := at("2026-01-01T09:30:00Z")
	for name, write := range map[string]func(*bytes.Buffer) error{
		"power":     func(b *bytes.Buffer) error { return WriteDemoPower(b, start) },
		"hashprice": func(b *bytes.Buffer) error { return WriteDemoHashprice(b, start) },
	} {
		t.Run(name, func(t *testing.T) {
			var a, b bytes.Buffer
			if err := write(&a); err != nil {
				t.Fatal(err)
			}
			if err := write(&b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Fatal("the same start gives other bytes")
			}
			if got := crc32.ChecksumIEEE(a.Bytes()); got != demoSums[name] {
				t.Errorf("the bytes have changed: %#08x", got)
			}
			header := strings.Split(strings.SplitN(a.String(), "\n", 2)[0], ",")
			for _, column := range header[1:] {
				s, err := ReadCSV(name, bytes.NewReader(a.Bytes()), column)
				if err != nil {
					t.Fatal(err)
				}
				lo, hi, below := int64(1<<62), int64(-1<<62), 0
				for _, p := range s.Points {
					v, err := workload.ParseMicro(p.Value)
					if err != nil {
						t.Fatal(err)
					}
					lo, hi = min(lo, v), max(hi, v)
					if v < 0 {
						below++
					}
				}
				if name == "power" && (lo < -30e6 || hi > 200e6 || below == 0 || below > len(s.Points)/20) {
					t.Errorf("%s: %d to %d, %d below zero", column, lo, hi, below)
				}
				if name == "hashprice" && (lo <= 0 || hi > 3*lo) {
					t.Errorf("%s: %d to %d", column, lo, hi)
				}
				if s.span() != demoDays*day {
					t.Errorf("%s repeats after %d h", column, s.span()/workload.HourMillis)
				}
			}
		})
	}
}
